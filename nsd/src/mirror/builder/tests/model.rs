//! Random writes, deletions, lists and acceptances, compared with a plain model of the guard.
//!
//! The model keeps maps, and counts after each step what a zone lacks; the builder keeps the counts up to date. A replica
//! of the view follows only the changes that the builder returns.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ZONES: [&str; 2] = ["x", "y"];
const OWNERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Owner and type -> value.
type Records = BTreeMap<(&'static str, &'static str), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Us,
    Others,
}

#[derive(Clone, Debug)]
enum Step {
    /// Somebody puts an address or an alias.
    Put(usize, usize, bool, Who),
    /// Somebody deletes all records of a name.
    Delete(usize, usize, Who),
    /// Somebody deletes a name and all names after it.
    DeleteFrom(usize, usize, Who),
    /// Somebody puts or deletes the key of a zone.
    Key(usize, bool, Who),
    Accept,
    /// The watch is lost: later changes come with a list.
    Lose,
    List,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = prop_oneof![Just(Who::Us), Just(Who::Others)];
    let at = (0..ZONES.len(), 0..OWNERS.len(), who);
    let step = prop_oneof![
        8 => (at.clone(), any::<bool>()).prop_map(|((z, o, w), alias)| Step::Put(z, o, alias, w)),
        5 => at.clone().prop_map(|(z, o, w)| Step::Delete(z, o, w)),
        2 => at.clone().prop_map(|(z, o, w)| Step::DeleteFrom(z, o, w)),
        2 => (at, any::<bool>()).prop_map(|((z, _, w), there)| Step::Key(z, there, w)),
        1 => Just(Step::Accept),
        1 => Just(Step::Lose),
        2 => Just(Step::List),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A zone as etcd has it.
#[derive(Clone, Debug, Default)]
struct Stored {
    is_there: bool,
    records: Records,
    serial: i64,
}

/// A zone as the model has it.
#[derive(Clone, Debug, Default)]
struct Model {
    /// What the front-end has seen of etcd.
    seen: Stored,
    kept: Option<Records>,
    is_held: bool,
}

impl Model {
    fn loss(&self) -> Option<Loss> {
        let kept = self.kept.as_ref()?;
        let is_lost = |key: &&(&str, &str)| !self.seen.records.contains_key(*key);
        let of = kept.len() + 1;
        let gone = match self.seen.is_there {
            true => kept.keys().filter(is_lost).count(),
            false => of,
        };
        (gone > 0).then_some(Loss { gone, of })
    }

    fn served(&self) -> Option<&Records> {
        match &self.kept {
            Some(kept) if self.is_held => Some(kept),
            _ => self.seen.is_there.then_some(&self.seen.records),
        }
    }

    /// A change that the watch brings.
    fn follow(&mut self, stored: &Stored, who: Who) {
        let is_lost = |key: &&(&str, &str)| !stored.records.contains_key(*key);
        let loses = !stored.is_there || self.seen.records.keys().any(|key| is_lost(&key));
        if who == Who::Us && stored.is_there != self.seen.is_there {
            self.kept = None;
        } else if who == Who::Others && self.seen.is_there && loses && self.kept.is_none() {
            self.kept = Some(self.seen.records.clone());
        }
        if let Some(kept) = self.kept.as_mut().filter(|_| stored.is_there) {
            for (key, value) in &stored.records {
                let is_new = self.seen.records.get(key) != Some(value);
                if is_new && (who == Who::Us || kept.contains_key(key) || !self.is_held) {
                    kept.retain(|other, _| other.0 != key.0 || stored.records.contains_key(other));
                    kept.insert(*key, value.clone());
                }
            }
            if who == Who::Us {
                for key in self.seen.records.keys().filter(is_lost) {
                    kept.remove(key);
                }
            }
        }
        self.seen = stored.clone();
    }

    /// A list takes the place of what was seen.
    fn replace(&mut self, stored: &Stored, is_accepted: bool) {
        let last = std::mem::replace(&mut self.seen, stored.clone());
        let is_same = last.is_there && stored.is_there;
        let is_meant = stored.serial > last.serial && !(self.is_held && is_same);
        let served = last.is_there.then_some(last.records);
        let before = self.kept.take().or(served);
        self.kept = before.filter(|_| !is_accepted && !is_meant).map(|before| {
            if !stored.is_there {
                return before;
            }
            let is_free = |owner| !stored.records.keys().any(|(other, _)| *other == owner);
            let lost = before.into_iter().filter(|((owner, _), _)| is_free(*owner));
            stored.records.clone().into_iter().chain(lost).collect()
        });
    }
}

/// All RRsets of all zones, SOA records included: apex -> owner and type -> RRset as text.
type Replica = BTreeMap<String, BTreeMap<(String, String), String>>;

/// All of a view, to compare a replica with.
fn replica_of(view: &View) -> Replica {
    let zones = view.zones().map(|zone| {
        let soa = (zone.apex().clone(), Rtype::SOA, zone.soa());
        let rrsets = zone.contents().iter().chain([soa]);
        let rrsets = rrsets.map(|(owner, rtype, rrset)| {
            let key = (owner.to_string(), rtype.to_string());
            (key, format!("{rrset:?}"))
        });
        (zone.apex().to_string(), rrsets.collect())
    });
    zones.collect()
}

/// Etcd, a front-end that follows it, and the model.
struct Run {
    etcd: [Stored; 2],
    accepted: i64,
    revision: i64,
    is_watching: bool,
    builder: Builder,
    zones: [Model; 2],
    are_all_losses_held: bool,
    replica: Replica,
}

impl Run {
    fn new() -> Self {
        let stored = || Stored {
            is_there: true,
            records: OWNERS.map(|owner| ((owner, "A"), ONE.to_string())).into(),
            serial: 5,
        };
        let mut run = Run {
            etcd: [stored(), stored()],
            accepted: 0,
            revision: 5,
            is_watching: false,
            builder: Builder::new(Prefix::default(), Consistency::default(), Guard::default()),
            zones: Default::default(),
            are_all_losses_held: false,
            replica: Replica::new(),
        };
        run.list();
        run
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(at, owner, is_alias, who) => {
                let (owner, ttl) = (OWNERS[owner], self.revision);
                let (rtype, other, rdata) = match is_alias {
                    true => ("CNAME", "A", "ns.x."),
                    false => ("A", "CNAME", "192.0.2.1"),
                };
                let value = format!(r#"{{"ttl":{ttl},"rdata":["{rdata}"]}}"#);
                self.commit(at, who, |stored| {
                    // An address and an alias cannot stand at one name.
                    if stored.is_there && !stored.records.contains_key(&(owner, other)) {
                        stored.records.insert((owner, rtype), value);
                    }
                });
            }
            Step::Delete(at, owner, who) => self.commit(at, who, |stored| {
                stored.records.retain(|key, _| key.0 != OWNERS[owner]);
            }),
            Step::DeleteFrom(at, owner, who) => self.commit(at, who, |stored| {
                stored.records.retain(|key, _| key.0 < OWNERS[owner]);
            }),
            Step::Key(at, is_there, who) => {
                self.commit(at, who, |stored| stored.is_there = is_there);
            }
            Step::Accept => self.accept(),
            Step::Lose => self.is_watching = false,
            Step::List => self.list(),
        }
    }

    /// One transaction on a zone.
    fn commit(&mut self, at: usize, who: Who, edit: impl FnOnce(&mut Stored)) {
        self.revision += 1;
        let (apex, revision) = (ZONES[at], self.revision);
        let before = self.etcd[at].clone();
        edit(&mut self.etcd[at]);
        let stored = &mut self.etcd[at];
        let key = |(owner, rtype): &(&str, &str)| format!("/ns/v1/rr/{apex}/2/{owner}/{rtype}");
        let mut changes = Vec::new();
        let records = stored.records.clone();
        for (name, value) in &records {
            if before.records.get(name) != Some(value) {
                changes.push((key(name), Some(&value[..])));
            }
        }
        for name in before
            .records
            .keys()
            .filter(|name| !records.contains_key(*name))
        {
            changes.push((key(name), None));
        }
        if before.is_there != stored.is_there {
            changes.push((
                format!("/ns/v1/zone/{apex}"),
                stored.is_there.then_some(ZONE),
            ));
        }
        if changes.is_empty() {
            return;
        }
        if who == Who::Us {
            stored.serial = revision;
            changes.push((format!("/ns/v1/serial/{apex}"), Some("{}")));
            changes.push((HEAD.0.into(), HEAD.1));
        }
        if self.is_watching {
            self.zones[at].follow(&self.etcd[at], who);
            let told = apply(&mut self.builder, revision, &changes);
            self.replicate(told.unwrap_or_default());
            self.judge();
        }
    }

    fn accept(&mut self) {
        self.revision += 1;
        self.accepted = self.revision;
        if self.is_watching {
            for zone in &mut self.zones {
                zone.kept = None;
            }
            let changes = [("/ns/v1/accepted", Some(r#"{"at":7}"#)), HEAD];
            let told = self.builder.apply(change(self.revision, &changes));
            self.replicate(told.unwrap_or_default());
            self.judge();
        }
    }

    fn list(&mut self) {
        let mut items = Vec::new();
        let mut item = |key: String, value: &str, mod_revision| {
            items.push(KeyValue {
                key: key.into(),
                value: value.into(),
                mod_revision,
            });
        };
        for (apex, stored) in ZONES.iter().zip(&self.etcd) {
            for ((owner, rtype), value) in &stored.records {
                item(format!("/ns/v1/rr/{apex}/2/{owner}/{rtype}"), value, 5);
            }
            item(format!("/ns/v1/serial/{apex}"), "{}", stored.serial);
            if stored.is_there {
                item(format!("/ns/v1/zone/{apex}"), ZONE, 5);
            }
        }
        if self.accepted > 0 {
            item("/ns/v1/accepted".into(), r#"{"at":7}"#, self.accepted);
        }
        let seen = self.builder.revision();
        let is_accepted = seen.is_some_and(|seen| self.accepted > seen);
        for (zone, stored) in self.zones.iter_mut().zip(&self.etcd) {
            zone.replace(stored, is_accepted);
        }
        let told = relist(&mut self.builder, self.revision, items);
        self.replicate(told);
        (self.is_watching, self.are_all_losses_held) = (true, false);
        self.judge();
    }

    /// Applies changes to the replica. Each has to fit what is there.
    fn replicate(&mut self, changes: Vec<ZoneChange>) {
        for change in changes {
            let apex = change.apex.to_string();
            let zone = self.replica.remove(&apex);
            assert_eq!(zone.is_some(), change.old.is_some(), "{apex}");
            let mut zone = zone.unwrap_or_default();
            let mut count = 0;
            for rrset in change.rrsets() {
                count += 1;
                let key = (rrset.owner.to_string(), rrset.rtype.to_string());
                let before = match rrset.new {
                    Some(new) => zone.insert(key, format!("{new:?}")),
                    None => zone.remove(&key),
                };
                assert_eq!(before, rrset.old.map(|old| format!("{old:?}")));
            }
            assert!(count > 0, "{apex} has not changed");
            match change.new {
                Some(_) => drop(self.replica.insert(apex, zone)),
                None => assert!(zone.is_empty(), "{apex} is gone, and not all of its RRsets"),
            }
        }
    }

    /// Finds out which zones are held back now.
    fn judge(&mut self) {
        let guard = Guard::default();
        let mut all = Loss::default();
        for zone in &mut self.zones {
            let loss = zone.loss();
            if loss.is_none() {
                zone.kept = None;
            }
            let is_large = loss.is_some_and(|loss| guard.is_large(loss));
            zone.is_held = is_large || (loss.is_some() && self.are_all_losses_held);
            let gone = loss.map_or(0, |loss| loss.gone);
            all.gone += gone;
            all.of += zone.served().map_or(0, |records| records.len() + 1);
            all.of += if zone.is_held { 0 } else { gone };
        }
        self.are_all_losses_held = guard.is_large(all);
        for zone in &mut self.zones {
            let is_large = |loss| self.are_all_losses_held || guard.is_large(loss);
            zone.is_held = zone.loss().is_some_and(is_large);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(&self.replica, &replica_of(self.builder.view()));
        for (apex, zone) in ZONES.iter().zip(&self.zones) {
            let apex = name(apex);
            let shown = self.builder.view().zone(&apex).map(|shown| {
                let records = shown.contents().iter();
                let mut records: Vec<_> = records
                    .map(|(owner, rtype, rrset)| {
                        (owner.to_string(), rtype.to_string(), rrset.ttl.to_string())
                    })
                    .collect();
                records.sort();
                records
            });
            let expected = zone.served().map(|records| {
                let ttl =
                    |value: &str| value[7..].split(',').next().unwrap_or_default().to_string();
                let records = records.iter();
                records
                    .map(|((owner, rtype), value)| {
                        (format!("{owner}.{apex}"), (*rtype).to_string(), ttl(value))
                    })
                    .collect::<Vec<_>>()
            });
            prop_assert_eq!(shown, expected, "what is served of {}", apex);
            let mut held = self.builder.held_zones();
            let held = held.find(|(held, _)| **held == apex);
            let expected = zone.loss().filter(|_| zone.is_held);
            prop_assert_eq!(
                held.map(|(_, loss)| loss),
                expected,
                "what {} has lost",
                apex
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_guard_does_what_a_plain_model_does(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            run.check()?;
        }
    }
}
