//! How fresh an answer has to be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Time;

/// The least limit of `bounded`, in seconds: freshness is proved every second, and the proof takes a moment.
const LIMIT_MIN: u32 = 2;

/// What a zone's answers promise about freshness. Ordered: what is greater promises more.
///
/// Its text form is `available`, `bounded:TIME` or `linearizable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Consistency {
    /// There is always an answer, from the last data that came.
    #[default]
    Available,
    /// There is an answer as long as the data was proved complete so many seconds ago at the most.
    Bounded(u32),
    /// An answer has every write in it that was acknowledged before the query came.
    Linearizable,
}

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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "available" => Ok(Consistency::Available),
            None if text == "linearizable" => Ok(Consistency::Linearizable),
            Some(("bounded", limit)) => match limit.parse().ok().and_then(Time::seconds) {
                Some(limit) if limit >= LIMIT_MIN => Ok(Consistency::Bounded(limit)),
                _ => Err(format!(
                    "'{limit}' is not a limit: expected whole seconds, {LIMIT_MIN} or more, as in bounded:10s or bounded:1m"
                )),
            },
            _ => Err(format!(
                "'{text}' is not a consistency: expected available, bounded:TIME or linearizable"
            )),
        }
    }
}

impl TryFrom<String> for Consistency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
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
