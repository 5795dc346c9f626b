//! Keeping what a zone had before all of it was replaced, for a rollback.

use std::collections::BTreeSet;

use crate::model::Name;
use crate::model::zonefile::Rrsets;
use crate::schema::{Key, KeyValue, Prefix, encode_archive};

use super::{Op, Plan};

/// Plans to archive a generation, a transaction for each part. They may be sent repeatedly.
pub fn archive(
    prefix: &Prefix,
    zone: &Name,
    generation: u64,
    rrsets: &Rrsets,
) -> impl Iterator<Item = Plan> {
    let parts = encode_archive(rrsets).into_iter().zip(0..);
    parts.map(move |(value, chunk)| {
        let mut plan = Plan::default();
        let zone = zone.clone();
        let key = Key::Archived {
            zone,
            generation,
            chunk,
        };
        plan.put(prefix, &key, value);
        plan
    })
}

/// Plans to delete the archives of a zone but for the newest ones. `keys` are all that there are.
pub fn forget_archives(prefix: &Prefix, zone: &Name, keys: &[KeyValue], kept: u32) -> Plan {
    let generations: BTreeSet<u64> = keys
        .iter()
        .filter_map(|item| match prefix.decode(&item.key) {
            Ok(Key::Archived { generation, .. }) => Some(generation),
            _ => None,
        })
        .collect();
    let gone = generations.iter().rev().skip(kept as usize);
    let ops = gone.map(|generation| Op::DeleteRange {
        range: prefix.archived(zone, *generation),
    });
    Plan {
        ops: ops.take(super::OPS_MAX).collect(),
        ..Plan::default()
    }
}
