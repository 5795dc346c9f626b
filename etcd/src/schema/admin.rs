//! The JSON that `nsd` serves over HTTP and `nsctl` reads.
//!
//! Fields are only ever added. The reader has a default for each field that was added later.

use serde::{Deserialize, Serialize};

use crate::model::{Digest, Name};

/// `/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// Name in the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it has data to serve.
    pub ready: bool,
    /// The revision served.
    pub applied: Option<i64>,
    /// Milliseconds since the copy was last proved complete.
    pub fresh_age_ms: Option<u64>,
    /// Whether it is registered in etcd, where `nsctl` finds it.
    #[serde(default)]
    pub registered: bool,
    /// Why it is not registered, if it should be.
    #[serde(default)]
    pub registration_trouble: Option<String>,
    /// Whether the watch is established.
    #[serde(default)]
    pub watching: bool,
    /// Whether the data served may differ from etcd at that revision, until everything was listed again.
    #[serde(default)]
    pub doubted: bool,
    /// The etcd endpoint in use.
    pub endpoint: String,
    /// The id of the mirrored etcd cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The id of the member behind the endpoint.
    #[serde(default)]
    pub member: Option<String>,
    /// Zones served.
    pub zones: u64,
    /// RRsets served.
    pub rrsets: u64,
    /// Keys whose values cannot be read.
    pub quarantined: u64,
    /// The first of these keys.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
    /// Large deletions not made by `nsctl` that are held back: the old records are kept, and served unless the zone
    /// promises freshness.
    #[serde(default)]
    pub held: Option<Held>,
    /// The number of zones whose serial is lower than one served before.
    #[serde(default)]
    pub serials_behind: u64,
    /// The last comparison of the mirror with etcd.
    #[serde(default)]
    pub audit: Option<Audit>,
    /// The revision of the local snapshot.
    #[serde(default)]
    pub snapshot: Option<i64>,
    /// The number of requests to etcd for `linearizable` answers.
    #[serde(default)]
    pub barriers: u64,
    /// Messages received.
    #[serde(default)]
    pub queries: u64,
    /// Malformed messages: answered with FORMERR, or dropped.
    #[serde(default)]
    pub malformed: u64,
    /// The current problem, if there is one.
    pub trouble: Option<String>,
}

/// A key whose value cannot be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// The key.
    pub key: String,
    /// What is wrong with its value.
    pub reason: String,
}

/// A mass deletion that is held back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The number of RRsets that etcd has lost.
    pub gone: u64,
    /// The number of RRsets that these zones had, plus one for each zone's key.
    pub of: u64,
    /// The number of these zones.
    #[serde(default)]
    pub zones: u64,
    /// The first of them.
    #[serde(default)]
    pub named: Vec<HeldZone>,
}

/// A zone that is held back; `/held` is a list of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldZone {
    /// Its name.
    pub zone: Name,
    /// The number of RRsets that etcd has lost.
    pub gone: u64,
    /// The number of RRsets that it had, plus one for its key.
    pub of: u64,
}

/// What an audit found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Audit {
    /// Milliseconds since it ended.
    pub age_ms: u64,
    /// The revision that was compared.
    pub revision: i64,
    /// Whether the mirror equalled etcd.
    pub agrees: bool,
}

/// `/digest`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DigestAt {
    /// The revision asked for.
    pub revision: i64,
    /// The digest; none if it is unknown, or if the front-end has not reached that revision.
    pub digest: Option<Digest>,
}
