//! Durations as people write them: in flags, variables, configuration files and zone files.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest time that is accepted: 2^32 - 1 seconds, the range of a TTL field.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// A duration: numbers with units (`ms`, `s`, `m`, `h`, `d`, `w`), as in `500ms`, `1.5m` or `1h30m`. A number without a
/// unit counts seconds. A configuration file may have a number instead of a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeError;

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a time such as 500ms, 30s or 1h30m; a number alone counts seconds")
    }
}

impl std::error::Error for TimeError {}

impl Time {
    /// The duration in seconds, if it is a whole number of seconds.
    pub fn seconds(self) -> Option<u32> {
        let is_whole = self.0.subsec_nanos() == 0;
        u32::try_from(self.0.as_secs()).ok().filter(|_| is_whole)
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse(text)
            .filter(|time| *time <= LONGEST)
            .map(Time)
            .ok_or(TimeError)
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(number.unwrap_or(rest.len()));
        let unit = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        let unit = match unit.to_ascii_lowercase().as_str() {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            "w" => Duration::from_secs(604_800),
            "" if rest.len() == text.len() => Duration::from_secs(1),
            _ => return None,
        };
        total = total.checked_add(multiple(unit, number)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// A unit times a decimal number.
fn multiple(unit: Duration, number: &str) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit());
    if number.is_empty() || number == "." || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: u32 = match whole {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let mut total = unit.checked_mul(whole)?;
    if !fraction.is_empty() {
        let part = u128::from(fraction.parse::<u32>().ok()?) * unit.as_nanos();
        let nanos = part / 10_u128.pow(fraction.len() as u32);
        total = total.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))?;
    }
    Some(total)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds() {
            Some(seconds) => write!(f, "{seconds}s"),
            None => write!(f, "{}s", self.0.as_secs_f64()),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"500ms\", \"30s\" or \"1h30m\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
        self.visit_str(&seconds.to_string())
    }
}

/// Reads a TTL or another period of a zone file: whole seconds, or whole numbers with units as in `1h30m`.
pub(super) fn period(text: &str) -> Option<u32> {
    let is_usual =
        |octet: u8| octet.is_ascii_digit() || b"smhdw".contains(&octet.to_ascii_lowercase());
    if !text.bytes().all(is_usual) || text.to_ascii_lowercase().contains("ms") {
        return None;
    }
    text.parse::<Time>().ok()?.seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, millis) in [
            ("0", 0),
            ("500ms", 500),
            ("2", 2_000),
            ("0.5", 500),
            (".5s", 500),
            ("30s", 30_000),
            ("1.5m", 90_000),
            ("1h30m", 5_400_000),
            ("1H30M", 5_400_000),
            ("1m500ms", 60_500),
            ("1d", 86_400_000),
            ("2w", 1_209_600_000),
        ] {
            let time: Time = text.parse().expect(text);
            assert_eq!(time, Time(Duration::from_millis(millis)), "{text}");
            assert_eq!(time.to_string().parse(), Ok(time), "{text}");
        }
        for bad in [
            "",
            "s",
            "ms",
            ".",
            "-1s",
            "+1",
            "1x",
            "1e9s",
            "1h5",
            "5 s",
            "1.2.3s",
            "1..5",
            "9999999w",
            "99999999999",
            "1µs",
        ] {
            assert_eq!(bad.parse::<Time>(), Err(TimeError), "{bad}");
        }
    }

    #[test]
    fn a_configuration_file_may_have_numbers() {
        for (json, seconds) in [("60", 60.0), ("0.5", 0.5), ("\"1m\"", 60.0), ("0", 0.0)] {
            let time: Time = serde_json::from_str(json).expect(json);
            assert_eq!(time, Time(Duration::from_secs_f64(seconds)));
        }
        for bad in ["-1", "true", "\"often\"", "1e300", "[1]"] {
            assert!(serde_json::from_str::<Time>(bad).is_err(), "{bad}");
        }
        let json = serde_json::to_string(&Time(Duration::from_millis(1_500)));
        assert_eq!(json.expect("it has a text"), "\"1.5s\"");
    }

    #[test]
    fn periods() {
        for (text, seconds) in [
            ("0", 0),
            ("300", 300),
            ("1h", 3600),
            ("4294967295", u32::MAX),
            ("1W2d3H4m5s", 788_645),
        ] {
            assert_eq!(period(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "h",
            "1x",
            "1h5",
            "-1",
            "+1",
            "4294967296",
            "9999999w",
            "1.5h",
            "1000ms",
        ] {
            assert_eq!(period(text), None, "{text}");
        }
    }
}
