//! How fresh an answer has to be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Time;

/// The shortest limit of `bounded`, in seconds. Freshness is proved about once a second, so a shorter limit would
/// expire between proofs.
const LIMIT_MIN: u32 = 2;

/// What a zone, or a front-end by default, promises about the freshness of its answers.
///
/// Its text form is `available`, `bounded:TIME` or `linearizable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Consistency {
    /// Always answer, from the last data received.
    #[default]
    Available,
    /// Answer only while the data was proved complete within this many seconds.
    Bounded(u32),
    /// Every answer includes all writes that were acknowledged before its query arrived.
    Linearizable,
}

/// Why a text is not a [`Consistency`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsistencyError {
    /// This is none of the three.
    Unknown(String),
    /// This limit is not a time, is too short, or is not in whole seconds.
    Limit(String),
}

impl fmt::Display for ConsistencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsistencyError::Unknown(text) => write!(
                f,
                "'{text}' is not a consistency: expected available, bounded:TIME or linearizable"
            ),
            ConsistencyError::Limit(limit) => write!(
                f,
                "'{limit}' is not a limit: expected whole seconds, {LIMIT_MIN} or more, as in bounded:10s or bounded:1m"
            ),
        }
    }
}

impl std::error::Error for ConsistencyError {}

impl Consistency {
    /// The one that promises more.
    pub fn stricter(self, other: Self) -> Self {
        use Consistency::{Available, Bounded, Linearizable};
        match (self, other) {
            (Linearizable, _) | (_, Linearizable) => Linearizable,
            (Bounded(one), Bounded(two)) => Bounded(one.min(two)),
            (Bounded(limit), Available) | (Available, Bounded(limit)) => Bounded(limit),
            (Available, Available) => Available,
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Consistency::Available => f.write_str("available"),
            Consistency::Bounded(limit) => write!(f, "bounded:{limit}s"),
            Consistency::Linearizable => f.write_str("linearizable"),
        }
    }
}

impl FromStr for Consistency {
    type Err = ConsistencyError;

    fn from_str(text: &str) -> Result<Self, ConsistencyError> {
        match text.split_once(':') {
            None if text == "available" => Ok(Consistency::Available),
            None if text == "linearizable" => Ok(Consistency::Linearizable),
            Some(("bounded", limit)) => match limit.parse().ok().and_then(Time::seconds) {
                Some(limit) if limit >= LIMIT_MIN => Ok(Consistency::Bounded(limit)),
                _ => Err(ConsistencyError::Limit(limit.into())),
            },
            _ => Err(ConsistencyError::Unknown(text.into())),
        }
    }
}

impl TryFrom<String> for Consistency {
    type Error = ConsistencyError;

    fn try_from(text: String) -> Result<Self, ConsistencyError> {
        text.parse()
    }
}

impl From<Consistency> for String {
    fn from(consistency: Consistency) -> String {
        consistency.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for (text, shown) in [
            ("available", "available"),
            ("bounded:1m", "bounded:60s"),
            ("bounded:2", "bounded:2s"),
            ("bounded:1h30m", "bounded:5400s"),
            ("bounded:3000ms", "bounded:3s"),
            ("linearizable", "linearizable"),
        ] {
            let parsed: Consistency = text.parse().expect(text);
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(shown.parse(), Ok(parsed));
        }
        for bad in [
            "",
            "bounded",
            "bounded:",
            "bounded:1s",
            "bounded:2500ms",
            "bounded:x",
            "Available",
            "linearizable:1s",
        ] {
            assert!(bad.parse::<Consistency>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_stricter_wins() {
        use Consistency::{Available, Bounded, Linearizable};
        let all = [Available, Bounded(9), Bounded(5), Linearizable];
        for (index, one) in all.into_iter().enumerate() {
            for (other_index, other) in all.into_iter().enumerate() {
                assert_eq!(one.stricter(other), all[index.max(other_index)]);
            }
        }
    }
}
