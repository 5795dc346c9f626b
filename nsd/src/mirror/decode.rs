//! From a key and its value to what they mean for the tables.

use std::fmt;

use etcd::mirror::KeyValue;
use etcd::schema::{self, Accepted, Instance, Key, KeyError, LeasedRrset, Prefix, ValueError};

use crate::model::{CookieSecrets, Digest, Name, Rtype, ZoneSettings};
use crate::zone::Rrset;

/// The fewest values that are worth a thread of their own.
const SHARE_MIN: usize = 1_000;

/// A decoded key and value.
pub(super) enum Decoded {
    /// Nothing that is served.
    Ignored,
    /// The serial key of a zone.
    Serial(Name),
    /// The serial key of the leased records of a zone.
    LeasedSerial(Name),
    /// The settings of a zone.
    Settings(Name, Result<Box<ZoneSettings>, Unusable>),
    /// An RRset.
    Rrset(RrsetKey, Result<Rrset, Unusable>),
    /// Leased records, and their digest.
    Leased(LeasedKey, Result<(Box<LeasedRrset>, Digest), Unusable>),
    /// An operator has accepted a loss.
    Accepted(Accepted),
    /// The secrets for cookies.
    Cookie(Box<CookieSecrets>),
    /// Not a key of the schema, or the `accepted` or `secret/cookie` key with a value that cannot be used.
    Unusable(Unusable),
}

/// The key of an RRset.
pub(super) struct RrsetKey {
    pub(super) zone: Name,
    pub(super) generation: u64,
    pub(super) owner: Name,
    pub(super) rtype: Rtype,
}

/// The key of leased records.
pub(super) struct LeasedKey {
    pub(super) zone: Name,
    /// Their owner and type.
    pub(super) place: (Name, Rtype),
    pub(super) instance: Instance,
}

/// Why a key or its value cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    Key(KeyError),
    Value(ValueError),
    /// The RRset does not fit into a message.
    TooLong,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Key(error) => error.fmt(f),
            Unusable::Value(error) => error.fmt(f),
            Unusable::TooLong => f.write_str("the RRset has more records than fit into a message"),
        }
    }
}

impl std::error::Error for Unusable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // `Display` prints the error inside already.
            Unusable::Key(error) => error.source(),
            Unusable::Value(error) => error.source(),
            Unusable::TooLong => None,
        }
    }
}

/// Decodes a key and its value.
pub(super) fn decode(prefix: &Prefix, key: &[u8], value: &[u8]) -> Decoded {
    match prefix.decode(key) {
        Err(error) => Decoded::Unusable(Unusable::Key(error)),
        Ok(
            Key::Head
            | Key::Frontend(_)
            | Key::Withdrawn(_)
            | Key::Journal { .. }
            | Key::Archived { .. },
        ) => Decoded::Ignored,
        Ok(Key::Accepted) => match schema::decode_accepted(value) {
            Ok(accepted) => Decoded::Accepted(accepted),
            Err(error) => Decoded::Unusable(Unusable::Value(error)),
        },
        Ok(Key::Cookie) => match schema::decode_cookie(value) {
            Ok(secrets) => Decoded::Cookie(Box::new(secrets)),
            Err(error) => Decoded::Unusable(Unusable::Value(error)),
        },
        Ok(Key::Serial(apex)) => Decoded::Serial(apex),
        Ok(Key::LeasedSerial(apex)) => Decoded::LeasedSerial(apex),
        Ok(Key::Zone(apex)) => {
            let settings = schema::decode_zone(value).map(Box::new);
            Decoded::Settings(apex, settings.map_err(Unusable::Value))
        }
        Ok(Key::Rrset {
            zone,
            generation,
            owner,
            rtype,
        }) => {
            let key = RrsetKey {
                zone,
                generation,
                owner,
                rtype,
            };
            Decoded::Rrset(key, decode_rrset(rtype, value))
        }
        Ok(Key::Leased {
            zone,
            owner,
            rtype,
            instance,
        }) => {
            let leased = schema::decode_leased(rtype, value).map_err(Unusable::Value);
            let leased = leased.map(|leased| {
                let digest = leased.digest(key, rtype);
                (Box::new(leased), digest)
            });
            let key = LeasedKey {
                zone,
                place: (owner, rtype),
                instance,
            };
            Decoded::Leased(key, leased)
        }
    }
}

fn decode_rrset(rtype: Rtype, value: &[u8]) -> Result<Rrset, Unusable> {
    let rrset = schema::decode_rrset(rtype, value).map_err(Unusable::Value)?;
    let rdata = rrset.rdata().iter().map(|rdata| rdata.wire());
    Rrset::new(rrset.ttl(), rdata).ok_or(Unusable::TooLong)
}

/// Decodes many, on all cores: most of the time of a first sync goes into this.
pub(super) fn decode_all(prefix: &Prefix, items: &[KeyValue]) -> Vec<Decoded> {
    let decode_some = |items: &[KeyValue]| -> Vec<Decoded> {
        let decode = |item: &KeyValue| decode(prefix, &item.key, &item.value);
        items.iter().map(decode).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SHARE_MIN);
    if items.len() <= share {
        return decode_some(items);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(move || decode_some(items)))
            .collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
