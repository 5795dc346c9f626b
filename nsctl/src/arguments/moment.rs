//! Moments in the past: revisions and times.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use etcd::model::Time;
use etcd::txn::Moment;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MomentError {
    /// A revision would do, too.
    Moment,
    Time,
}

impl fmt::Display for MomentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = match self {
            MomentError::Moment => "a revision, ",
            MomentError::Time => "",
        };
        write!(
            f,
            "expected {revision}a time such as 2026-11-27T10:30:00Z (without a zone it is UTC), or how long ago, as in 90m or 2d"
        )
    }
}

impl Error for MomentError {}

/// Reads a revision or a time.
pub(super) fn moment(text: &str) -> Result<Moment, MomentError> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text
            .parse()
            .map(Moment::Revision)
            .map_err(|_| MomentError::Moment);
    }
    let time = past(text).map_err(|_| MomentError::Moment)?;
    // `history` shows whole seconds: such a time means all of the second.
    let is_whole = text.parse::<Time>().is_err() && time % 1000 == 0;
    Ok(Moment::Time(if is_whole { time + 999 } else { time }))
}

/// Reads a time, or how long ago it was, in milliseconds of Unix time.
pub(super) fn past(text: &str) -> Result<u64, MomentError> {
    let at = match text.parse() {
        Ok(Time(ago)) => before_now(ago),
        Err(_) => timestamp(text),
    };
    at.and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .ok_or(MomentError::Time)
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
        let time = 1_795_775_400_999;
        for (text, expected) in [
            ("17", Moment::Revision(17)),
            ("2026-11-27T10:30:00Z", Moment::Time(time)),
            ("2026-11-27T10:30", Moment::Time(time)),
            ("2026-11-27 10:30", Moment::Time(time)),
            ("2026-11-27T11:30:00+01:00", Moment::Time(time)),
            ("2026-11-27", Moment::Time(time - 37_800_000)),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        let now = Timestamp::now().as_millisecond() as u64;
        let ago = past("1h").expect("a time");
        assert!(ago.abs_diff(now - 3_600_000) < 10_000, "{ago}");
        for text in ["", "x", "-1", "2026-13-01", "99999999999999999999"] {
            assert_eq!(moment(text), Err(MomentError::Moment), "{text}");
        }
    }
}
