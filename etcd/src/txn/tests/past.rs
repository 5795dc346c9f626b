//! Updates of several edits, and the way back through the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::model::Model;
use super::*;
use crate::model::zonefile::Rrsets;
use crate::model::{Change, Edit, Update};
use crate::schema::{Author, EntryId, decode_journal, decode_rrset};

const OWNERS: [&str; 4] = ["x", "a.x", "b.a.x", "c.x"];

/// What happens to the zone x.
#[derive(Clone, Debug)]
enum Step {
    Update(Vec<Edit>),
    /// Another default TTL.
    Ttl(u32),
    /// All records are replaced: the NS record and these addresses.
    Replace(Vec<usize>),
}

fn some_rdata(rtype: Rtype, which: usize) -> Vec<Rdata> {
    let text = match rtype {
        Rtype::A => ["192.0.2.1", "192.0.2.2"][which],
        Rtype::TXT => ["one", "two"][which],
        _ => ["a.x.", "c.x."][which],
    };
    rdata(rtype, &[text])
}

fn edit() -> impl Strategy<Value = Edit> {
    let rtypes = [Rtype::A, Rtype::TXT, Rtype::NS, Rtype::CNAME, Rtype::DNAME];
    let parts = (
        0..OWNERS.len(),
        0..7usize,
        0..rtypes.len(),
        0..2usize,
        0..3usize,
    );
    parts.prop_map(move |(owner, kind, rtype, which, ttl)| {
        let rtype = rtypes[rtype];
        let rdata = some_rdata(rtype, which);
        let ttl = [None, Some(60), Some(90)][ttl];
        let change = match kind {
            0 | 1 => Change::Add { rtype, ttl, rdata },
            2 => Change::Set { rtype, ttl, rdata },
            3 => Change::Replace { rtype, ttl, rdata },
            4 => Change::Ttl { rtype, ttl: 30 },
            5 => Change::Remove {
                rtype: Some(rtype),
                rdata,
            },
            _ => Change::Remove {
                rtype: Some(rtype).filter(|_| which == 0),
                rdata: Vec::new(),
            },
        };
        Edit {
            default_ttl: None,
            owner: name(OWNERS[owner]),
            change,
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec(edit(), 1..5).prop_map(Step::Update),
        1 => (100..103u32).prop_map(Step::Ttl),
        1 => prop::collection::vec(0..2usize, 0..3).prop_map(Step::Replace),
    ];
    prop::collection::vec(step, 1..12)
}

/// A zone as it is in the model.
#[derive(Clone, Debug, PartialEq)]
struct State {
    settings: Option<ZoneSettings>,
    rrsets: Rrsets,
}

impl Model {
    fn x(&self) -> Option<ZoneRead> {
        let get = Get::key(&Prefix::default(), &Key::Zone(name("x")));
        let read = self.read(&[get]).zone(&Prefix::default(), &name("x"));
        read.expect("it was read")
    }

    fn slot(&self) -> Slot {
        let key = Prefix::default().encode(&Key::Serial(name("x")));
        let written = self.keys.get(&key);
        Slot {
            apex: name("x"),
            present: self.x(),
            serial: SerialRead {
                revision: written.map_or(0, |(_, revision)| *revision),
                version: self.versions.get(&key).copied().unwrap_or(0),
                ..SerialRead::default()
            },
            revision: self.revision,
        }
    }

    fn state(&self) -> State {
        let prefix = Prefix::default();
        let Some(read) = self.x() else {
            return State {
                settings: None,
                rrsets: Rrsets::new(),
            };
        };
        let range = prefix.generation(&read.apex, read.settings.generation);
        let rrsets = self.keys.range(range).map(|(key, (value, _))| {
            let Ok(Key::Rrset { owner, rtype, .. }) = prefix.decode(key) else {
                panic!("{key:?}")
            };
            (
                (owner, rtype),
                decode_rrset(rtype, value).expect("it was written so"),
            )
        });
        State {
            settings: Some(read.settings),
            rrsets: rrsets.collect(),
        }
    }

    /// Commits a plan with its entry in the journal.
    fn record(&mut self, plan: &Plan) {
        self.record_at(plan, self.revision as u64 * 10);
    }

    /// The same at this time.
    fn record_at(&mut self, plan: &Plan, at: u64) {
        let plan = self.recorded_at(plan, at);
        self.commit(&plan);
    }

    fn recorded_at(&mut self, plan: &Plan, at: u64) -> Plan {
        let prefix = Prefix::default();
        let stamp = Stamp {
            author: Author::default(),
            id: EntryId { at, random: 7 },
        };
        let mut reads = Reads::default();
        let plan = loop {
            match plan.recorded(&prefix, &reads, &stamp) {
                Ok(plan) => break plan,
                Err(NoPlan::Read(gets)) => reads.add(self.read(&gets)),
                Err(refused) => panic!("{refused:?}"),
            }
        };
        self.sorted += usize::from(reads.gets().iter().any(|get| get.oldest_first));
        plan
    }

    fn journal(&self) -> Vec<Recorded> {
        let prefix = Prefix::default();
        let range = self.keys.range(prefix.journal(&name("x")));
        let entry = |(key, (value, revision)): (&Vec<u8>, &(Vec<u8>, i64))| {
            let Ok(Key::Journal { zone, id }) = prefix.decode(key) else {
                panic!("{key:?}")
            };
            Recorded {
                zone,
                id,
                revision: *revision,
                entry: decode_journal(value).expect("it was written so"),
            }
        };
        let mut entries: Vec<Recorded> = range.map(entry).collect();
        entries.sort_by_key(|one| std::cmp::Reverse(one.revision));
        entries
    }

    fn updated(&self, edits: &[Edit]) -> Result<Option<Plan>, Refusal> {
        let wanted = Update {
            prerequisites: Vec::new(),
            edits: edits.to_vec(),
        };
        let (planned, ..) = self.plan_from(Reads::default(), None, &wanted)?;
        Ok(match planned {
            Planned::Plan(plan) => Some(plan),
            Planned::Nothing => None,
            Planned::TooLarge => panic!("it is small"),
        })
    }
}

fn add_zone(model: &mut Model) {
    let settings = ZoneSettings::new(name("ns.x"), name("h.x"));
    let wanted = new_zone(&name("x"), settings, rdata(Rtype::NS, &["ns.y."])).expect("allowed");
    let slot = model.slot();
    let plan = write_difference(&Prefix::default(), &slot, &wanted, &Rrsets::new(), 0);
    model.record(&plan.expect("it fits"));
}

#[test]
fn a_plan_that_comes_twice_is_refused_and_finds_its_entry() {
    let edit = |change| Edit {
        default_ttl: None,
        owner: name("a.x"),
        change,
    };
    let (rtype, records) = (Rtype::A, rdata(Rtype::A, &["192.0.2.1"]));
    let add = edit(Change::Add {
        rtype,
        ttl: None,
        rdata: records,
    });
    let remove = edit(Change::Remove {
        rtype: None,
        rdata: Vec::new(),
    });
    let mut model = Model::default();
    add_zone(&mut model);
    let plan = model.updated(&[add]).expect("allowed").expect("a change");
    let plan = model.recorded_at(&plan, 70);
    model.commit(&plan);
    let written = model.revision;
    // What it was planned from is so again.
    let removal = model
        .updated(&[remove])
        .expect("allowed")
        .expect("a change");
    model.record_at(&removal, 80);
    assert!(!model.holds(&plan));
    let without_entry = Plan {
        compares: plan.compares[..plan.compares.len() - 1].to_vec(),
        ..plan.clone()
    };
    assert!(model.holds(&without_entry), "nothing else refuses it");
    let id = EntryId { at: 70, random: 7 };
    let entry = plan.entry(&Prefix::default(), id).expect("it has one");
    let mut found = model.read(std::slice::from_ref(&entry));
    assert_eq!(found.take(&entry), Some(written));
}

fn take(model: &mut Model, archives: &mut BTreeMap<u64, Rrsets>, step: &Step) {
    let prefix = Prefix::default();
    match step {
        Step::Update(edits) => {
            if let Ok(Some(plan)) = model.updated(edits) {
                model.record(&plan);
            }
        }
        Step::Ttl(ttl) => {
            let read = model.x().expect("a zone");
            let settings = ZoneSettings {
                default_ttl: *ttl,
                ..read.settings.clone()
            };
            if let Some(plan) = zone_set(&prefix, &read, &settings).expect("allowed") {
                model.record(&plan);
            }
        }
        Step::Replace(which) => {
            let slot = model.slot();
            let old = model.state();
            let settings = old.settings.expect("a zone");
            archives.insert(settings.generation, old.rrsets);
            let mut rrsets: Rrsets = which
                .iter()
                .enumerate()
                .map(|(index, which)| {
                    let rrset = Rrset::new(Rtype::A, 60, some_rdata(Rtype::A, *which));
                    ((name(OWNERS[index + 1]), Rtype::A), rrset.expect("a set"))
                })
                .collect();
            rrsets.insert((name("x"), Rtype::NS), rrset(Rtype::NS, 60, &["ns.z."]));
            let generation = model.revision.unsigned_abs() + 1;
            for plan in stage(
                &prefix,
                &name("x"),
                slot.present.as_ref(),
                generation,
                &rrsets,
            ) {
                model.commit(&plan);
            }
            let staged = Staged {
                generation,
                first: prefix.encode(&Key::Rrset {
                    zone: name("x"),
                    generation,
                    owner: name("x"),
                    rtype: Rtype::NS,
                }),
                revision: model.revision,
            };
            let wanted = WantedZone {
                settings,
                serial: None,
                rrsets: Arc::new(rrsets),
            };
            let plan = flip(&prefix, &slot, &wanted, &staged, true);
            model.record(&plan);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What the zone was at every revision follows from its journal.
    #[test]
    fn the_journal_leads_to_every_revision(steps in steps()) {
        let (mut model, mut archives) = (Model::default(), BTreeMap::new());
        let mut states = vec![(0, model.state())];
        add_zone(&mut model);
        for step in &steps {
            states.push((model.revision, model.state()));
            take(&mut model, &mut archives, step);
        }
        states.push((model.revision, model.state()));
        let (entries, slot) = (model.journal(), model.slot());
        for (revision, state) in states {
            let present = slot.present.as_ref().map(|present| &present.settings);
            let moment = Moment::Revision(revision);
            let way = WayBack::to(moment, present, slot.serial, &entries).expect("it leads there");
            let begin = match way.replaced {
                Some((_, settings)) => archives[&settings.generation].clone(),
                None => model.state().rrsets,
            };
            let past = way.go(begin).expect("it leads there");
            prop_assert_eq!(past.rrsets, state.rrsets);
            prop_assert_eq!(past.settings, state.settings);
        }
    }

    /// An update that fits into a transaction does the same as one that is applied to all of the zone.
    #[test]
    fn both_ways_to_update_a_zone_agree(steps in steps(), edits in prop::collection::vec(edit(), 1..6)) {
        let mut model = Model::default();
        add_zone(&mut model);
        for step in &steps {
            take(&mut model, &mut BTreeMap::new(), step);
        }
        let (read, before) = (model.x().expect("a zone"), model.state().rrsets);
        let numbered: Vec<(usize, &Edit)> = edits.iter().enumerate().collect();
        let whole = edited(&read, &before, &numbered);
        match model.updated(&edits) {
            Ok(plan) => {
                if let Some(plan) = plan {
                    model.record(&plan);
                }
                let whole = whole.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
                prop_assert_eq!(whole, model.state().rrsets);
            }
            Err(refusal) => prop_assert!(whole.is_err(), "refused: {refusal}"),
        }
    }

    /// Whoever has lost a race catches up with what others have written.
    #[test]
    fn the_journal_tells_what_others_have_written(steps in steps(), others in steps()) {
        let mut model = Model::default();
        add_zone(&mut model);
        for step in &steps {
            take(&mut model, &mut BTreeMap::new(), step);
        }
        let (slot, content) = (model.slot(), model.state().rrsets);
        let is_replaced = |step: &Step| !matches!(step, Step::Update(_));
        for step in &others {
            take(&mut model, &mut BTreeMap::new(), step);
        }
        let now = model.read(&changes_since(&Prefix::default(), &slot));
        match caught_up(&Prefix::default(), &slot, &now) {
            Some((_, zone, changes)) => {
                let mut content = content;
                prop_assert!(changes.iter().all(|change| change.apply(&mut content)));
                prop_assert_eq!(zone.settings, model.state().settings.expect("a zone"));
                prop_assert_eq!(content, model.state().rrsets);
            }
            None => prop_assert!(others.iter().any(is_replaced), "{others:?}"),
        }
    }
}

#[test]
fn a_journal_keeps_what_its_zone_says() {
    let mut model = Model::default();
    add_zone(&mut model);
    let read = model.x().expect("a zone");
    let settings = ZoneSettings {
        journal_entries: Some(5),
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &settings).expect("allowed");
    model.record(&plan.expect("a change"));
    let add = |model: &mut Model, n: usize| {
        let edit = Edit {
            default_ttl: None,
            owner: name(&format!("n{n}.x")),
            change: add(Rtype::A, &["192.0.2.1"]),
        };
        let plan = model.updated(&[edit]).expect("allowed").expect("a change");
        model.record(&plan);
    };
    for n in 0..20 {
        add(&mut model, n);
        assert!(model.journal().len() <= 5, "{n}");
    }
    let entries = model.journal();
    let slot = model.slot();
    let present = slot.present.as_ref().map(|present| &present.settings);
    let way = |revision| WayBack::to(Moment::Revision(revision), present, slot.serial, &entries);
    let first = entries.last().expect("an entry").revision;
    assert!(way(first - 1).is_ok());
    assert_eq!(way(first - 2).err(), Some(NotRecorded::Before(first)));
    // Something else writes the serial key: the journal does not tell of it.
    model.revision += 1;
    model.put(&Key::Serial(name("x")), b"{}".to_vec());
    let touched = model.revision;
    let serial = model.slot().serial;
    let way = WayBack::to(Moment::Revision(first), present, serial, &entries);
    assert_eq!(way.err(), Some(NotRecorded::LastChange(touched)));
    // By age, a few at a time.
    let read = model.x().expect("a zone");
    let settings = ZoneSettings {
        journal_entries: None,
        journal_age: Some(0),
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &settings).expect("allowed");
    model.record(&plan.expect("a change"));
    assert_eq!(model.journal().len(), 2, "four go, one comes");
    add(&mut model, 21);
    assert_eq!(model.journal().len(), 1);
}

#[test]
fn a_full_journal_is_rarely_read_to_find_the_oldest() {
    let mut model = Model::default();
    add_zone(&mut model);
    let read = model.x().expect("a zone");
    let settings = ZoneSettings {
        journal_entries: Some(64),
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &settings).expect("allowed");
    model.record(&plan.expect("a change"));
    let mut lengths = Vec::new();
    for n in 0..160 {
        let edit = Edit {
            default_ttl: None,
            owner: name(&format!("n{n}.x")),
            change: add(Rtype::A, &["192.0.2.1"]),
        };
        let plan = model.updated(&[edit]).expect("allowed").expect("a change");
        model.record(&plan);
        lengths.push(model.journal().len());
    }
    let full = lengths
        .iter()
        .position(|length| *length == 64)
        .expect("it is full");
    assert!(
        lengths[full..]
            .iter()
            .all(|length| (57..=64).contains(length)),
        "{lengths:?}"
    );
    assert_eq!(model.sorted, (160 - full - 1).div_ceil(8));
}

#[test]
fn what_something_else_has_changed_is_found_out() {
    let mut model = Model::default();
    add_zone(&mut model);
    let edit = Edit {
        default_ttl: None,
        owner: name("a.x"),
        change: add(Rtype::A, &["192.0.2.1"]),
    };
    let plan = model.updated(&[edit]).expect("allowed").expect("a change");
    model.record(&plan);
    let (entries, slot) = (model.journal(), model.slot());
    let present = slot.present.as_ref().map(|present| &present.settings);
    let way = WayBack::to(Moment::Revision(1), present, slot.serial, &entries);
    let differs = NotRecorded::Differs(name("a.x"), Rtype::A, 2);
    assert_eq!(
        way.expect("a way").go(Rrsets::new()).err(),
        Some(differs.clone())
    );
    // Also at the moment of the entry itself; the present is what it is.
    let way = WayBack::to(Moment::Revision(2), present, slot.serial, &entries);
    assert_eq!(way.expect("a way").go(Rrsets::new()).err(), Some(differs));
    let way = WayBack::to(Moment::Now, present, slot.serial, &entries);
    assert!(way.expect("a way").go(Rrsets::new()).is_ok());
    let time = |at| {
        let way = WayBack::to(Moment::Time(at), present, slot.serial, &entries);
        way.map(|way| way.revision)
    };
    // The entries were made at 0 and 10.
    assert_eq!(
        (time(0), time(9), time(10), time(u64::MAX)),
        (Ok(1), Ok(1), Ok(2), Ok(2))
    );
}

#[test]
fn a_journal_is_pruned_in_the_order_of_revisions_whatever_the_clocks() {
    let mut model = Model::default();
    add_zone(&mut model);
    let read = model.x().expect("a zone");
    let settings = ZoneSettings {
        journal_entries: Some(6),
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &settings).expect("allowed");
    model.record(&plan.expect("a change"));
    for n in 0..30u64 {
        let edit = Edit {
            default_ttl: None,
            owner: name(&format!("n{n}.x")),
            change: add(Rtype::A, &["192.0.2.1"]),
        };
        let plan = model.updated(&[edit]).expect("allowed").expect("a change");
        // Every second writer's clock is behind.
        let at = if n % 2 == 0 { 1_000_000 + n } else { n };
        model.record_at(&plan, at);
        let entries = model.journal();
        let revisions: Vec<i64> = entries.iter().map(|one| one.revision).collect();
        let expected: Vec<i64> = (0..revisions.len() as i64)
            .map(|back| model.revision - back)
            .collect();
        assert_eq!(revisions, expected);
        assert!(revisions.len() <= 6);
    }
    // Without a journal nothing is left that could be taken for all of it.
    let read = model.x().expect("a zone");
    let settings = ZoneSettings {
        journal_entries: Some(0),
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &settings).expect("allowed");
    model.record(&plan.expect("a change"));
    assert_eq!(model.journal(), []);
}

#[test]
fn before_a_zone_was_added_again_it_may_have_been_there() {
    let mut model = Model::default();
    add_zone(&mut model);
    let (entries, slot) = (model.journal(), model.slot());
    let present = slot.present.as_ref().map(|present| &present.settings);
    let before = |serial| {
        let way = WayBack::to(Moment::Revision(-1), present, serial, &entries);
        way.map(|way| way.settings().cloned())
    };
    assert_eq!(before(slot.serial), Ok(None));
    // The journal has no longer what was before.
    let serial = SerialRead {
        version: slot.serial.version + 2,
        ..slot.serial
    };
    let first = entries.last().expect("an entry").revision;
    assert_eq!(before(serial), Err(NotRecorded::Before(first)));
}
