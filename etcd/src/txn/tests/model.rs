//! A model of etcd, and what is planned from it.

use std::collections::BTreeMap;

use super::*;
use crate::model::zonefile::{self, Difference};
use crate::model::{Change, Edit, Update};
use crate::schema::KeyValue;

/// Keys with their values and the revisions that wrote them.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) revision: i64,
    pub(super) keys: BTreeMap<Vec<u8>, (Vec<u8>, i64)>,
    /// How often each key was written since it was created.
    pub(super) versions: BTreeMap<Vec<u8>, i64>,
    /// How many changes had to read a whole journal.
    pub(super) sorted: usize,
}

/// An update of one zone, as planned.
#[derive(Debug)]
pub(super) struct PlannedUpdate {
    pub(super) plan: Plan,
    pub(super) added: Vec<Difference>,
    pub(super) removed: Vec<Difference>,
    pub(super) unreadable: Vec<Rtype>,
}

impl Model {
    pub(super) fn read(&self, gets: &[Get]) -> Reads {
        let found = gets.iter().map(|get| {
            let end = match get.end.is_empty() {
                true => [&get.start[..], &[0]].concat(),
                false => get.end.clone(),
            };
            let limit = match get.limit {
                0 => usize::MAX,
                limit => limit as usize,
            };
            let range = self.keys.range(get.start.clone()..end);
            let count = range.clone().count();
            let mut range: Vec<_> = range.collect();
            if get.oldest_first {
                range.sort_by_key(|(_, (_, written))| *written);
            }
            let items = range
                .into_iter()
                .filter(|(_, (_, written))| get.after == 0 || *written > get.after)
                .take(limit)
                .map(|(key, (value, mod_revision))| KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    mod_revision: *mod_revision,
                });
            let items = items.collect();
            let version = self.versions.get(&get.start).copied().unwrap_or(0);
            let found = Found {
                items,
                count,
                version,
            };
            (get.clone(), found)
        });
        Reads::at(self.revision, found)
    }

    /// Plans from what was read, and reads what is missing here. Also returns all that was asked for.
    pub(super) fn plan_from(
        &self,
        mut reads: Reads,
        zone: Option<InZone<'_>>,
        wanted: &Update,
    ) -> Result<(Planned, Vec<ZoneUpdate>, Vec<Get>), Refusal> {
        for _ in 0..5 {
            match update(&Prefix::default(), &reads, zone, wanted) {
                Ok((planned, zones)) => return Ok((planned, zones, reads.gets())),
                Err(NoPlan::Read(gets)) => reads.add(self.read(&gets)),
                Err(NoPlan::Refused(refusal)) => return Err(refusal),
                Err(NoPlan::Unreadable(key)) => panic!("{key}"),
            }
        }
        panic!("{wanted:?} asks for ever more");
    }

    /// Plans a single change.
    pub(super) fn plan_change(
        &self,
        reads: Reads,
        zone: Option<InZone<'_>>,
        owner: &Name,
        change: &Change,
    ) -> Result<(Option<PlannedUpdate>, Vec<Get>), Refusal> {
        let edit = Edit {
            default_ttl: None,
            owner: owner.clone(),
            change: change.clone(),
        };
        let wanted = Update {
            prerequisites: Vec::new(),
            edits: vec![edit],
        };
        let (planned, zones, gets) =
            self.plan_from(reads, zone, &wanted)
                .map_err(|refusal| match refusal {
                    Refusal::Parts(parts) => parts.into_iter().next().expect("a part").1,
                    refusal => refusal,
                })?;
        let [of_zone] = &zones[..] else {
            panic!("a change is of one zone");
        };
        let plan = match planned {
            Planned::Nothing => return Ok((None, gets)),
            Planned::Plan(plan) => plan,
            Planned::TooLarge => panic!("{change:?} is small"),
        };
        let differences = zonefile::diff(&of_zone.before, &of_zone.after).into_iter();
        let (added, removed) = differences.partition(|difference| difference.added);
        let unreadable = of_zone.unreadable.iter();
        let planned = PlannedUpdate {
            plan,
            added,
            removed,
            unreadable: unreadable.map(|(_, rtype)| *rtype).collect(),
        };
        Ok((Some(planned), gets))
    }

    pub(super) fn holds(&self, plan: &Plan) -> bool {
        plan.compares.iter().all(|compare| match compare {
            Compare::Unchanged { key, revision } => {
                self.keys.get(key).map_or(0, |(_, written)| *written) == *revision
            }
            Compare::NotWrittenSince { range, revision } => self
                .keys
                .range(range.clone())
                .all(|(_, (_, written))| written <= revision),
        })
    }

    pub(super) fn commit(&mut self, plan: &Plan) {
        assert!(self.holds(plan), "planned from what is there");
        self.revision += 1;
        for op in &plan.ops {
            match op {
                Op::Put { key, value } | Op::PutLeased { key, value, .. } => {
                    let value = (value.clone(), self.revision);
                    drop(self.keys.insert(key.clone(), value));
                    *self.versions.entry(key.clone()).or_default() += 1;
                }
                Op::Delete { key } => drop(self.keys.remove(key)),
                Op::DeleteRange { range } => {
                    self.keys.retain(|key, _| !range.contains(key));
                }
            }
        }
    }

    pub(super) fn put(&mut self, key: &Key, value: Vec<u8>) {
        let key = Prefix::default().encode(key);
        self.keys.insert(key, (value, self.revision));
    }
}
