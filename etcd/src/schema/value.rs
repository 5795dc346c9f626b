//! Values.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    CookieSecrets, Rdata, RdataError, Rrset, RrsetError, Rtype, ZoneSettings, shown,
};

/// The registration of a front-end, stored under its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// The addresses that answer DNS, as `ADDRESS:PORT`.
    pub dns: Vec<String>,
    /// The address of the admin listener, as `ADDRESS:PORT`, if there is one.
    pub admin: Option<String>,
    /// The version of the program.
    pub version: String,
}

impl Frontend {
    /// Whether both have the same addresses.
    pub fn is_at(&self, other: &Frontend) -> bool {
        self.dns == other.dns && self.admin == other.admin
    }
}

/// An operator's statement that records were deleted on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// When it was made, in seconds of Unix time. It does not cover later losses.
    pub at: u64,
}

/// The number of an attempt at a change, which identifies one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub u128);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Attempt {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u128::from_str_radix(text, 16).map(Attempt)
    }
}

/// The form of the head key's value in etcd.
#[derive(Serialize, Deserialize)]
struct StoredHead<'a> {
    #[serde(borrow)]
    attempt: Cow<'a, str>,
}

/// What a removed zone leaves behind, so that a new zone of that name has later serials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialBase {
    /// What was added to revisions to give the zone's serials.
    pub serial_base: u32,
}

/// The form of an RRset in etcd.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredRrset<'a> {
    ttl: u32,
    #[serde(borrow)]
    rdata: Vec<Cow<'a, str>>,
}

impl StoredRrset<'_> {
    pub(super) fn of(rtype: Rtype, rrset: &Rrset) -> Self {
        let rdata = rrset.rdata().iter();
        StoredRrset {
            ttl: rrset.ttl(),
            rdata: rdata.map(|rdata| rdata.text(rtype).into()).collect(),
        }
    }

    pub(super) fn read(&self, rtype: Rtype) -> Result<Rrset, ValueError> {
        let rdata: Result<Vec<Rdata>, ValueError> = self
            .rdata
            .iter()
            .map(|text| {
                Rdata::parse(rtype, text)
                    .map_err(|error| ValueError::Rdata(text.to_string(), error))
            })
            .collect();
        Rrset::new(rtype, self.ttl, rdata?).map_err(ValueError::Rrset)
    }
}

/// Why a value cannot be read.
#[derive(Clone, Debug)]
pub enum ValueError {
    /// It is not JSON, or not of the form that belongs to its key.
    Json(Arc<serde_json::Error>),
    /// This member of an RRset is not rdata of its type.
    Rdata(String, RdataError),
    /// The members make no RRset.
    Rrset(RrsetError),
    /// A setting of a zone is out of range.
    Zone(&'static str),
    /// This is no record type.
    Type(String),
    /// SOA records have no key of their own.
    Soa,
    /// Records of this type cannot be leased.
    NotLeased(Rtype),
    /// They are not secrets for cookies. What they are is not told, as it may be a secret.
    Cookie,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Json(error) => {
                write!(f, "the value is not the JSON that belongs here: {error}")
            }
            ValueError::Rdata(text, error) => {
                let text = shown(text.as_bytes());
                write!(f, "'{text}' is no rdata of this type: {error}")
            }
            ValueError::Rrset(error) => error.fmt(f),
            ValueError::Zone(setting) => write!(f, "the {setting} is over 2147483647"),
            ValueError::Cookie => f.write_str(
                "the value is not the JSON of cookie secrets: nsctl cookie rotate --revoke replaces it",
            ),
            ValueError::Type(text) => write!(f, "'{}' is no record type", shown(text.as_bytes())),
            ValueError::Soa => f.write_str("the SOA record comes from the zone's settings"),
            ValueError::NotLeased(rtype) => write!(f, "{rtype} records cannot be leased"),
        }
    }
}

impl ValueError {
    pub(super) fn json(error: serde_json::Error) -> Self {
        ValueError::Json(Arc::new(error))
    }
}

impl Error for ValueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // `Display` prints the error inside already.
        match self {
            ValueError::Json(error) => error.source(),
            ValueError::Rdata(_, error) => error.source(),
            ValueError::Rrset(error) => error.source(),
            ValueError::Zone(_)
            | ValueError::Type(_)
            | ValueError::Soa
            | ValueError::NotLeased(_)
            | ValueError::Cookie => None,
        }
    }
}

/// Reads an RRset of the type that its key names.
pub fn decode_rrset(rtype: Rtype, value: &[u8]) -> Result<Rrset, ValueError> {
    if rtype == Rtype::SOA {
        return Err(ValueError::Soa);
    }
    let stored: StoredRrset<'_> = serde_json::from_slice(value).map_err(ValueError::json)?;
    stored.read(rtype)
}

/// Reads the settings of a zone.
pub fn decode_zone(value: &[u8]) -> Result<ZoneSettings, ValueError> {
    let zone: ZoneSettings = serde_json::from_slice(value).map_err(ValueError::json)?;
    match zone.fault() {
        Some(setting) => Err(ValueError::Zone(setting)),
        None => Ok(zone),
    }
}

/// Reads the registration of a front-end.
pub fn decode_frontend(value: &[u8]) -> Result<Frontend, ValueError> {
    serde_json::from_slice(value).map_err(ValueError::json)
}

/// Reads an operator's statement that records were deleted on purpose.
pub fn decode_accepted(value: &[u8]) -> Result<Accepted, ValueError> {
    serde_json::from_slice(value).map_err(ValueError::json)
}

/// Reads the secrets for cookies.
pub fn decode_cookie(value: &[u8]) -> Result<CookieSecrets, ValueError> {
    // The error of the parser would show a part of the value.
    serde_json::from_slice(value).map_err(|_| ValueError::Cookie)
}

/// Reads the serial base of a removed zone from its serial key. None for the key of a zone that exists.
pub fn decode_serial_base(value: &[u8]) -> Option<u32> {
    let base = serde_json::from_slice(value).map(|SerialBase { serial_base }| serial_base);
    base.ok()
}

/// Reads the serial base from a zone's settings, even if the rest of them cannot be read.
pub fn salvage_serial_base(value: &[u8]) -> u32 {
    let settings: Option<serde_json::Value> = serde_json::from_slice(value).ok();
    let base = settings.and_then(|settings| settings.get("serial_base")?.as_u64());
    base.and_then(|base| base.try_into().ok()).unwrap_or(0)
}

/// Reads which attempt wrote the head key. None if something else did.
pub fn decode_head(value: &[u8]) -> Option<Attempt> {
    let head: StoredHead<'_> = serde_json::from_slice(value).ok()?;
    head.attempt.parse().ok()
}

/// What can be stored in etcd.
pub trait Stored {
    /// The value to write.
    fn to_value(&self) -> Vec<u8>;
}

impl Stored for (Rtype, &Rrset) {
    fn to_value(&self) -> Vec<u8> {
        let (rtype, rrset) = self;
        json(&StoredRrset::of(*rtype, rrset))
    }
}

impl Stored for ZoneSettings {
    fn to_value(&self) -> Vec<u8> {
        json(self)
    }
}

impl Stored for SerialBase {
    fn to_value(&self) -> Vec<u8> {
        json(self)
    }
}

impl Stored for Frontend {
    fn to_value(&self) -> Vec<u8> {
        json(self)
    }
}

impl Stored for Attempt {
    fn to_value(&self) -> Vec<u8> {
        json(&StoredHead {
            attempt: self.to_string().into(),
        })
    }
}

impl Stored for CookieSecrets {
    fn to_value(&self) -> Vec<u8> {
        json(self)
    }
}

impl Stored for Accepted {
    fn to_value(&self) -> Vec<u8> {
        json(self)
    }
}

/// Writes a value.
pub fn encode(value: &impl Stored) -> Vec<u8> {
    value.to_value()
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of numbers and strings always serialize.
    serde_json::to_vec(value).expect("plain data has a JSON form")
}
