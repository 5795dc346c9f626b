//! The secrets of a fleet for DNS cookies (RFC 7873, RFC 9018), and how they are replaced.
//!
//! A new secret is accepted from the moment a front-end knows it, and used from a later moment on, by when all of them
//! should know it. So there is no moment in which one front-end rejects the cookies of another:
//!
//! ```text
//!                     rotate                       next.from                    rotate
//! current   A ────────────────────────────────────────────────────────────────► B
//! next      - ──────► B ──────────────────────────────────────────────────────► C
//! previous  - ────────────────────────────────────────────────────────────────► A
//! makes     A ─────────────────────────────────────► B ───────────────────────────
//! accepted  A ──────► A, B ───────────────────────────────────────────────────► A, B, C
//! ```

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A secret for cookies. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; 16]);

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(hidden)")
    }
}

impl Serialize for CookieSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for CookieSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let secret = octets.and_then(|octets| octets.try_into().ok());
        secret
            .map(CookieSecret)
            .ok_or_else(|| de::Error::custom("a secret has 32 hexadecimal digits"))
    }
}

/// The secrets of a fleet. Cookies made with any of them are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieSecrets {
    /// Makes cookies until `next` takes over. From then on its cookies are only accepted, until a rotation makes it
    /// `previous`.
    pub current: CookieSecret,
    /// Made cookies before `current`.
    #[serde(default)]
    pub previous: Option<CookieSecret>,
    /// Makes cookies later.
    #[serde(default)]
    pub next: Option<NextSecret>,
    /// When these were written, in seconds of Unix time.
    #[serde(default)]
    pub rotated_at: u64,
}

/// A secret that makes cookies from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextSecret {
    /// The secret.
    pub secret: CookieSecret,
    /// The moment, in seconds of Unix time.
    pub from: u64,
}

impl CookieSecrets {
    /// One secret, which is used at once.
    pub fn only(current: CookieSecret, now: u64) -> Self {
        CookieSecrets {
            current,
            previous: None,
            next: None,
            rotated_at: now,
        }
    }

    /// The secret that makes cookies at this moment.
    pub fn in_use(&self, now: u64) -> &CookieSecret {
        match &self.next {
            Some(next) if now >= next.from => &next.secret,
            _ => &self.current,
        }
    }

    /// All secrets: the current one, the next one, the previous one.
    pub fn all(&self) -> impl Iterator<Item = &CookieSecret> {
        let next = self.next.as_ref().map(|next| &next.secret);
        [Some(&self.current), next, self.previous.as_ref()]
            .into_iter()
            .flatten()
    }

    /// The secrets after another one was added, which is used from `from` on. Fails if the one that was added last is not
    /// in use yet, as some front-ends may not know it; the error is the moment from which it is used.
    pub fn rotated(&self, added: CookieSecret, now: u64, from: u64) -> Result<Self, u64> {
        let (current, previous) = match self.next {
            None => (self.current, self.previous),
            Some(next) if now >= next.from => (next.secret, Some(self.current)),
            Some(next) => return Err(next.from),
        };
        let next = Some(NextSecret {
            secret: added,
            from,
        });
        Ok(CookieSecrets {
            current,
            previous,
            next,
            rotated_at: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CookieSecret = CookieSecret([1; 16]);
    const B: CookieSecret = CookieSecret([2; 16]);
    const C: CookieSecret = CookieSecret([3; 16]);

    #[test]
    fn a_rotation_is_announced_before_it_happens() {
        let first = CookieSecrets::only(A, 1000);
        let second = first.rotated(B, 2000, 2600).expect("nothing is under way");
        assert_eq!((second.in_use(2599), second.in_use(2600)), (&A, &B));
        assert_eq!(Vec::from_iter(second.all()), [&A, &B]);
        assert_eq!(second.rotated(C, 2599, 3200), Err(2600));
        let third = second.rotated(C, 2600, 3200).expect("it is over");
        assert_eq!((third.in_use(2600), third.in_use(3200)), (&B, &C));
        assert_eq!(Vec::from_iter(third.all()), [&B, &C, &A]);
        assert_eq!(third.rotated_at, 2600);
    }

    #[test]
    fn secrets_are_text_in_etcd_and_hidden_elsewhere() {
        let all = CookieSecrets::only(A, 7)
            .rotated(B, 8, 9)
            .expect("a rotation");
        let text = serde_json::to_string(&all).expect("JSON");
        let (a, b) = ("01".repeat(16), "02".repeat(16));
        assert_eq!(
            text,
            format!(
                r#"{{"current":"{a}","previous":null,"next":{{"secret":"{b}","from":9}},"rotated_at":8}}"#
            )
        );
        assert_eq!(serde_json::from_str::<CookieSecrets>(&text).ok(), Some(all));
        let short = format!(r#"{{"current":"{a}"}}"#);
        let read = serde_json::from_str::<CookieSecrets>(&short).expect("the rest may be missing");
        assert_eq!(read, CookieSecrets::only(A, 0));
        let shown = format!("{all:?}");
        assert!(!shown.contains("01") && !shown.contains("[1"), "{shown}");
    }
}
