//! Moments in the past: revisions and times.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use etcd::client::Since;
use etcd::model::Time;
use etcd::txn::Moment;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Why a text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MomentError {
    Syntax,
    Future,
}

impl fmt::Display for MomentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MomentError::Syntax => {
                "expected a revision, a time such as 2026-11-27T10:30:00Z (without a zone it is UTC), or how long ago, as in 90m or 2d"
            }
            MomentError::Future => "this time is still to come",
        })
    }
}

impl Error for MomentError {}

/// Reads a revision or a time.
pub(super) fn moment(text: &str) -> Result<Moment, MomentError> {
    if let Some(revision) = revision(text)? {
        return Ok(Moment::Revision(revision));
    }
    let time = past(text)?;
    if time > Timestamp::now().as_millisecond() as u64 {
        return Err(MomentError::Future);
    }
    // `history` shows whole seconds: such a time means all of the second.
    let is_whole = text.parse::<Time>().is_err() && time % 1000 == 0;
    Ok(Moment::Time(if is_whole { time + 999 } else { time }))
}

/// Reads a revision or a time since which changes are meant.
pub(super) fn since(text: &str) -> Result<Since, MomentError> {
    match revision(text)? {
        Some(revision) => Ok(Since::Revision(revision)),
        None => past(text).map(Since::Time),
    }
}

/// Reads a revision, if it is one.
fn revision(text: &str) -> Result<Option<i64>, MomentError> {
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    let read = is_number.then(|| text.parse().map_err(|_| MomentError::Syntax));
    read.transpose()
}

/// Reads a time, or how long ago it was, in milliseconds of Unix time.
fn past(text: &str) -> Result<u64, MomentError> {
    let at = match text.parse() {
        Ok(Time(ago)) => before_now(ago),
        Err(_) => timestamp(text),
    };
    at.and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .ok_or(MomentError::Syntax)
}

fn before_now(ago: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_sub(ago).ok()
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let in_utc = || {
        let civil: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    };
    text.parse().ok().or_else(in_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let time = 1_764_239_400_999;
        for (text, expected) in [
            ("17", Moment::Revision(17)),
            ("2025-11-27T10:30:00Z", Moment::Time(time)),
            ("2025-11-27T10:30", Moment::Time(time)),
            ("2025-11-27 10:30", Moment::Time(time)),
            ("2025-11-27T11:30:00+01:00", Moment::Time(time)),
            ("2025-11-27", Moment::Time(time - 37_800_000)),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        let now = Timestamp::now().as_millisecond() as u64;
        let ago = past("1h").expect("a time");
        assert!(ago.abs_diff(now - 3_600_000) < 10_000, "{ago}");
        assert_eq!(moment("9999-01-01"), Err(MomentError::Future));
        for text in ["", "x", "-1", "2026-13-01", "99999999999999999999"] {
            assert_eq!(moment(text), Err(MomentError::Syntax), "{text}");
        }
    }
}
