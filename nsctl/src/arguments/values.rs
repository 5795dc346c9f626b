//! Values of options: times, TTLs, mailboxes.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use etcd::model::{
    AddressPrefix, AddressPrefixError, Consistency, Name, NameError, TTL_MAX, Time, TimeError,
};

/// A zone's freshness promise; `None` leaves it to the front-ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise(pub(crate) Option<Consistency>);

/// A word of a list of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixWord {
    /// `any`: all clients. For --allow-query this means no list.
    Any,
    /// `none`: no client. For --deny-query this means no list.
    Nobody,
    Prefix(AddressPrefix),
}

/// Lifetimes that a lease may have, in seconds. etcd extends shorter ones; a longer one would keep the records of a dead
/// service for more than a day.
const LEASE: RangeInclusive<u32> = 2..=86_400;

/// Limit for a text for people, in octets.
const WORDS_MAX: usize = 500;

/// Why a text is not a value of its option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValueError {
    Time(TimeError),
    ZeroTime,
    FractionOfSecond,
    TtlTooLong,
    Lease,
    Count,
    NoWords,
    Words,
    MailboxSide,
    MailboxNotAscii,
    Mailbox(NameError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Time(error) => error.fmt(f),
            ValueError::ZeroTime => f.write_str("expected a time greater than 0"),
            ValueError::FractionOfSecond => {
                f.write_str("expected whole seconds, or a time such as 1h30m")
            }
            ValueError::TtlTooLong => {
                write!(f, "a TTL is at most {TTL_MAX} seconds (RFC 2181, 8)")
            }
            ValueError::Lease => write!(
                f,
                "a lease lasts from {} to {} seconds",
                LEASE.start(),
                LEASE.end()
            ),
            ValueError::Count => f.write_str("expected a number greater than 0"),
            ValueError::NoWords => f.write_str("expected some words"),
            ValueError::Words => write!(
                f,
                "expected one line of up to {WORDS_MAX} octets, without control characters"
            ),
            ValueError::MailboxSide => f.write_str("not a mailbox: one side of the @ is empty"),
            ValueError::MailboxNotAscii => {
                f.write_str("not a mailbox for an SOA record: the part before the @ is not ASCII")
            }
            ValueError::Mailbox(error) => write!(f, "not a mailbox: {error}"),
        }
    }
}

impl Error for ValueError {}

pub(super) fn ttl(text: &str) -> Result<u32, ValueError> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    match seconds(text) {
        Ok(ttl) if ttl <= TTL_MAX => Ok(ttl),
        // A number that does not parse is too long.
        Err(error) if !is_number => Err(error),
        _ => Err(ValueError::TtlTooLong),
    }
}

/// Reads the lifetime of a lease, in seconds.
pub(super) fn lease(text: &str) -> Result<u32, ValueError> {
    match seconds(text) {
        Ok(lease) if LEASE.contains(&lease) => Ok(lease),
        Ok(_) => Err(ValueError::Lease),
        Err(error) => Err(error),
    }
}

pub(super) fn seconds(text: &str) -> Result<u32, ValueError> {
    let time: Time = text.parse().map_err(ValueError::Time)?;
    time.seconds().ok_or(ValueError::FractionOfSecond)
}

/// Reads a number of whole seconds that is not 0.
pub(super) fn some_seconds(text: &str) -> Result<u32, ValueError> {
    match seconds(text)? {
        0 => Err(ValueError::ZeroTime),
        seconds => Ok(seconds),
    }
}

/// Reads a number that is not 0.
pub(super) fn count(text: &str) -> Result<usize, ValueError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(ValueError::Count),
        Ok(count) => Ok(count),
    }
}

pub(super) fn time(text: &str) -> Result<Duration, ValueError> {
    match text.parse().map_err(ValueError::Time)? {
        Time(Duration::ZERO) => Err(ValueError::ZeroTime),
        Time(time) => Ok(time),
    }
}

/// Reads a text for people: one line, without control characters.
pub(super) fn words(text: &str) -> Result<String, ValueError> {
    match text.trim() {
        "" => Err(ValueError::NoWords),
        text if text.chars().any(char::is_control) || text.len() > WORDS_MAX => {
            Err(ValueError::Words)
        }
        text => Ok(text.into()),
    }
}

pub(super) fn promise(text: &str) -> Result<Promise, <Consistency as FromStr>::Err> {
    match text {
        "default" => Ok(Promise(None)),
        _ => text.parse().map(|consistency| Promise(Some(consistency))),
    }
}

pub(super) fn prefix(text: &str) -> Result<PrefixWord, AddressPrefixError> {
    match text {
        "any" => Ok(PrefixWord::Any),
        "none" => Ok(PrefixWord::Nobody),
        _ => text.parse().map(PrefixWord::Prefix),
    }
}

/// Reads a mailbox with an @, or as a domain name (RFC 1035 3.3.13).
pub(super) fn mailbox(text: &str) -> Result<Name, ValueError> {
    let name = match text.split_once('@') {
        Some(("", _) | (_, "")) => return Err(ValueError::MailboxSide),
        // Unicode has an ASCII form in a domain, but not in a local part (RFC 6531).
        Some((local, _)) if !local.is_ascii() => return Err(ValueError::MailboxNotAscii),
        Some((local, domain)) => format!("{}.{domain}", escaped(local)),
        None => text.to_string(),
    };
    name.parse().map_err(ValueError::Mailbox)
}

/// Writes a local part as one label, with its special characters escaped.
fn escaped(local: &str) -> String {
    let mut label = String::with_capacity(local.len());
    for c in local.chars() {
        if !c.is_ascii_alphanumeric() && !c.is_ascii_control() {
            label.push('\\');
        }
        label.push(c);
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_and_times() {
        assert_eq!(
            mailbox("john.doe@example.org")
                .map(|name| name.to_string())
                .as_deref(),
            Ok("john\\.doe.example.org.")
        );
        assert_eq!(
            mailbox("hostmaster.example.org")
                .map(|name| name.to_string())
                .as_deref(),
            Ok("hostmaster.example.org.")
        );
        assert_eq!(
            mailbox("a;b@ü.org").map(|name| name.to_string()).as_deref(),
            Ok("a\\;b.xn--tda.org.")
        );
        for bad in ["@x..y", "a@b@c", "ü@example.org", "@"] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
        assert_eq!((ttl("1h"), ttl("2147483647")), (Ok(3600), Ok(TTL_MAX)));
        for long in ["2147483648", "99999999999"] {
            assert_eq!(ttl(long), Err(ValueError::TtlTooLong));
        }
        assert!(ttl("x").is_err());
    }
}
