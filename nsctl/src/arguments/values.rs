//! Values of options: times, TTLs, mailboxes.

use std::time::Duration;

use etcd::client;
use etcd::model::{Consistency, Name, TTL_MAX, Time, TimeError};

/// What a zone promises about freshness; none leaves that to the front-ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise(pub(crate) Option<Consistency>);

pub(super) fn ttl(text: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    match seconds(text) {
        Ok(ttl) if ttl <= TTL_MAX => Ok(ttl),
        // A number that has too many digits is none of the wrong form.
        Err(error) if !is_number => Err(error),
        _ => Err(format!("a TTL is {TTL_MAX} seconds at most (RFC 2181, 8)")),
    }
}

pub(super) fn log_directives(text: &str) -> Result<String, String> {
    client::log_directives(text, "error")
}

pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let time: Time = text.parse().map_err(|error: TimeError| error.to_string())?;
    time.seconds()
        .ok_or_else(|| "expected whole seconds, or a time such as 1h30m".into())
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(Time(Duration::ZERO)) => Err("expected a time greater than 0".into()),
        Ok(Time(time)) => Ok(time),
        Err(error) => Err(TimeError::to_string(&error)),
    }
}

pub(super) fn promise(text: &str) -> Result<Promise, String> {
    match text {
        "default" => Ok(Promise(None)),
        _ => text.parse().map(|consistency| Promise(Some(consistency))),
    }
}

/// A mailbox as people write it, or as RFC 1035 3.3.13 does.
pub(super) fn mailbox(text: &str) -> Result<Name, String> {
    let name = match text.split_once('@') {
        Some(("", _) | (_, "")) => return Err("not a mailbox: a side of the @ is empty".into()),
        // Labels of domains have a form for Unicode, local parts of mailboxes have none (RFC 6531).
        Some((local, _)) if !local.is_ascii() => {
            return Err(
                "not a mailbox for a SOA record: the part before the @ is not ASCII".into(),
            );
        }
        Some((local, domain)) => format!("{}.{domain}", escaped(local)),
        None => text.to_string(),
    };
    name.parse()
        .map_err(|error| format!("not a mailbox: {error}"))
}

/// A local part as a label: every special character is escaped.
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
        assert!(ttl("2147483648").is_err() && ttl("99999999999").is_err() && ttl("x").is_err());
    }
}
