//! What a front-end says of itself over HTTP: `nsd` writes it, and `nsctl` reads it.
//!
//! Fields are only ever added. Those that the first release did not have may be missing when they are read.

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
    /// Whether there is something to serve.
    pub ready: bool,
    /// The revision served.
    pub applied: Option<i64>,
    /// Milliseconds since the copy was last proved complete.
    pub fresh_age_ms: Option<u64>,
    /// Whether it is registered in etcd, where `nsctl` finds it.
    #[serde(default)]
    pub registered: bool,
    /// Why it may not be registered.
    #[serde(default)]
    pub registration_trouble: Option<String>,
    /// Whether the watch is established.
    #[serde(default)]
    pub watching: bool,
    /// Whether what is served is not to be taken for what etcd holds, however high its revision, until all of it is
    /// listed again.
    #[serde(default)]
    pub doubted: bool,
    /// The etcd endpoint in use.
    pub endpoint: String,
    /// The id of the cluster that is mirrored.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The id of the member there.
    #[serde(default)]
    pub member: Option<String>,
    /// Zones served.
    pub zones: u64,
    /// RRsets served.
    pub rrsets: u64,
    /// Keys whose values cannot be read.
    pub quarantined: u64,
    /// The first of them, and why.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
    /// What others than we have deleted from etcd, if that is held back and the old records stay in service.
    #[serde(default)]
    pub held: Option<Held>,
    /// How many zones have a serial that is behind one that was served before.
    #[serde(default)]
    pub serials_behind: u64,
    /// The last time that the mirror was compared with etcd.
    #[serde(default)]
    pub audit: Option<Audit>,
    /// The revision of the local snapshot.
    #[serde(default)]
    pub snapshot: Option<i64>,
    /// How often etcd was asked for `linearizable` answers.
    #[serde(default)]
    pub barriers: u64,
    /// Messages received.
    #[serde(default)]
    pub queries: u64,
    /// Messages that were not queries.
    #[serde(default)]
    pub malformed: u64,
    /// What is wrong, if something is.
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

/// A loss of records that is held back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// How many RRsets are gone.
    pub gone: u64,
    /// Of how many, in all zones that are held back.
    pub of: u64,
    /// How many zones those are.
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
    /// How many RRsets etcd has lost.
    pub gone: u64,
    /// Of how many, which stay in service.
    pub of: u64,
}

/// What an audit found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Audit {
    /// Milliseconds since it ended.
    pub age_ms: u64,
    /// The revision that was looked at.
    pub revision: i64,
    /// Whether the mirror was what etcd held.
    pub agrees: bool,
}

/// `/digest`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DigestAt {
    /// The revision asked for.
    pub revision: i64,
    /// The digest; none if it is not known, or if that revision has not come yet.
    pub digest: Option<Digest>,
}
