//! Changes planned from what a model of etcd holds: now, or some revisions ago.

use proptest::prelude::*;

use super::model::{Model, PlannedUpdate};
use super::*;
use crate::model::zonefile::Difference;
use crate::model::{Change, Edit, Update};
use crate::schema::Instance;

/// A change to plan.
#[derive(Clone, Debug)]
struct Wanted {
    owner: &'static str,
    zone: Option<(&'static str, bool)>,
    change: Change,
}

/// What happens to the model.
#[derive(Clone, Debug)]
enum Step {
    Edit(Wanted),
    /// A zone comes or goes.
    Toggle(&'static str),
    /// A zone serves another generation, which is empty.
    Switch(&'static str),
    /// Another default TTL.
    Ttl(&'static str, u32),
}

type Outcome = Result<(Option<PlannedUpdate>, Vec<Get>), Refusal>;

impl Model {
    fn with_zones(apexes: &[&'static str]) -> Self {
        let mut model = Model::default();
        for apex in apexes {
            model.take(&Step::Toggle(apex));
        }
        model
    }

    /// Plans from what was read, and reads what is missing here. Also returns all that was asked for.
    fn plan_wanted(&self, reads: Reads, wanted: &Wanted) -> Outcome {
        let apex = wanted.zone.map(|(apex, hide)| (name(apex), hide));
        let zone = apex
            .as_ref()
            .map(|(apex, hide)| InZone { apex, hide: *hide });
        self.plan_change(reads, zone, &name(wanted.owner), &wanted.change)
    }

    fn plan(&self, wanted: &Wanted) -> Outcome {
        self.plan_wanted(Reads::default(), wanted)
    }

    fn take(&mut self, step: &Step) {
        let apex = match step {
            Step::Edit(edit) => {
                let Ok((Some(planned), _)) = self.plan(edit) else {
                    return;
                };
                self.commit(&planned.plan);
                return;
            }
            Step::Toggle(apex) | Step::Switch(apex) | Step::Ttl(apex, _) => name(apex),
        };
        self.revision += 1;
        let key = Key::Zone(apex.clone());
        let get = Get::key(&Prefix::default(), &key);
        let read = self.read(&[get]).zone(&Prefix::default(), &apex);
        let mut settings = match (read.expect("it was read"), step) {
            (Some(_), Step::Toggle(_)) => {
                self.keys.remove(&Prefix::default().encode(&key));
                return;
            }
            (Some(read), _) => read.settings,
            (None, Step::Toggle(_)) => ZoneSettings::new(name("ns.x"), name("h.x")),
            (None, _) => return,
        };
        match step {
            Step::Ttl(_, ttl) => settings.default_ttl = *ttl,
            _ => settings.generation = self.revision.unsigned_abs(),
        }
        self.put(&key, encode(&settings));
    }
}

const OWNERS: [&str; 4] = ["x", "a.x", "b.a.x", "c.b.a.x"];
const ZONES: [&str; 3] = ["x", "a.x", "b.a.x"];

fn some_rdata(rtype: Rtype, which: usize) -> Vec<Rdata> {
    let text = match rtype {
        Rtype::A => ["192.0.2.1", "192.0.2.2"][which % 2],
        Rtype::AAAA => ["2001:db8::1", "2001:db8::2"][which % 2],
        Rtype::DS => "1 8 1 00000000000000000000000000000000000000aa",
        // The first makes the address at that name one of the delegation.
        _ => ["b.a.x.", "c.b.a.x."][which % 2],
    };
    rdata(rtype, &[text])
}

fn edits() -> impl Strategy<Value = Wanted> {
    let rtypes = [
        Rtype::A,
        Rtype::AAAA,
        Rtype::NS,
        Rtype::CNAME,
        Rtype::DNAME,
        Rtype::DS,
    ];
    let change = (0..6usize, 0..rtypes.len(), 0..2usize, 0..3usize);
    let change = change.prop_map(move |(kind, rtype, which, ttl)| {
        let rtype = rtypes[rtype];
        let rdata = some_rdata(rtype, which);
        let ttl = [None, Some(60), Some(90)][ttl];
        match kind {
            0 => Change::Add { rtype, ttl, rdata },
            1 => Change::Set { rtype, ttl, rdata },
            2 => Change::Replace { rtype, ttl, rdata },
            3 => Change::Ttl {
                rtype,
                ttl: ttl.unwrap_or(30),
            },
            4 => Change::Remove {
                rtype: Some(rtype),
                rdata,
            },
            _ => Change::Remove {
                rtype: Some(rtype).filter(|_| which == 0),
                rdata: Vec::new(),
            },
        }
    });
    let zone = prop_oneof![
        3 => Just(None),
        1 => (0..ZONES.len(), any::<bool>()).prop_map(|(zone, hide)| Some((ZONES[zone], hide))),
    ];
    (0..OWNERS.len(), zone, change).prop_map(|(owner, zone, change)| Wanted {
        owner: OWNERS[owner],
        zone,
        change,
    })
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let zone = 0..ZONES.len();
    let step = prop_oneof![
        12 => edits().prop_map(Step::Edit),
        1 => zone.clone().prop_map(|zone| Step::Toggle(ZONES[zone])),
        1 => zone.clone().prop_map(|zone| Step::Switch(ZONES[zone])),
        1 => (zone, 100..102u32).prop_map(|(zone, ttl)| Step::Ttl(ZONES[zone], ttl)),
    ];
    prop::collection::vec(step, 0..most)
}

/// What a plan does, and what it reports.
type Effect = (Vec<Op>, Vec<Difference>);

fn effect(outcome: Outcome) -> Result<Option<Effect>, String> {
    match outcome {
        Ok((planned, _)) => Ok(planned.map(|planned| {
            let changed = [planned.added, planned.removed].concat();
            (planned.plan.ops, changed)
        })),
        Err(refusal) => Err(refusal.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A plan from an old copy is committed only where one from the newest would do the same.
    #[test]
    fn a_plan_from_an_old_copy_is_right_or_lost(
        before in steps(12),
        meanwhile in steps(4),
        edit in edits(),
        same_owner in any::<bool>(),
    ) {
        let near = |step: Step| match step {
            Step::Edit(other) if same_owner => Step::Edit(Wanted { owner: edit.owner, ..other }),
            step => step,
        };
        let before: Vec<Step> = before.into_iter().map(near).collect();
        let meanwhile: Vec<Step> = meanwhile.into_iter().map(near).collect();
        let mut model = Model::with_zones(&["x"]);
        before.iter().for_each(|step| model.take(step));
        let old = model.plan(&edit);
        meanwhile.iter().for_each(|step| model.take(step));
        if let Ok((Some(planned), gets)) = old {
            if model.holds(&planned.plan) {
                let old = effect(Ok((Some(planned), gets)));
                prop_assert_eq!(old, effect(model.plan(&edit)));
            } else {
                // What the lost transaction returns is as good as reading anew.
                let again = model.plan_wanted(model.read(&gets), &edit);
                prop_assert_eq!(effect(again), effect(model.plan(&edit)));
            }
        }
    }
}

fn stops(model: &Model, edit: &Wanted) -> usize {
    let (mut reads, mut stops) = (Reads::default(), 0);
    let wanted = Update {
        prerequisites: Vec::new(),
        edits: vec![Edit {
            default_ttl: None,
            owner: name(edit.owner),
            change: edit.change.clone(),
        }],
    };
    while let Err(NoPlan::Read(gets)) = update(&Prefix::default(), &reads, None, &wanted) {
        reads.add(model.read(&gets));
        stops += 1;
    }
    stops
}

#[test]
fn a_change_takes_two_reads() {
    let model = Model::with_zones(&["x"]);
    for rtype in [Rtype::A, Rtype::DNAME, Rtype::CNAME] {
        let edit = Wanted {
            owner: "c.b.a.x",
            zone: None,
            change: Change::Set {
                rtype,
                ttl: None,
                rdata: some_rdata(rtype, 0),
            },
        };
        assert_eq!(
            stops(&model, &edit),
            2,
            "{rtype}: its zone, then what is around it"
        );
    }
}

#[test]
fn removing_everything_is_lost_if_something_was_added() {
    let mut model = Model::with_zones(&["x"]);
    let edit = |change| Wanted {
        owner: "a.x",
        zone: None,
        change,
    };
    model.take(&Step::Edit(edit(add(Rtype::A, &["192.0.2.1"]))));
    let (planned, _) = model.plan(&edit(remove(None, &[]))).expect("allowed");
    let plan = planned.expect("a change").plan;
    assert!(model.holds(&plan));
    model.take(&Step::Edit(edit(add(Rtype::AAAA, &["2001:db8::1"]))));
    assert!(!model.holds(&plan), "AAAA would stay");
}

#[test]
fn glue_below_a_zone_compares_its_delegation() {
    let mut model = Model::with_zones(&["x"]);
    let edit = |owner, zone, change| Wanted {
        owner,
        zone,
        change,
    };
    model.take(&Step::Edit(edit("a.x", None, add(Rtype::NS, &["b.a.x."]))));
    model.take(&Step::Toggle("a.x"));
    let glue = edit("b.a.x", Some(("x", false)), add(Rtype::A, &["192.0.2.1"]));
    let (planned, _) = model.plan(&glue).expect("it is glue");
    let plan = planned.expect("a change").plan;
    let other = edit("a.x", Some(("x", false)), remove(Some(Rtype::NS), &[]));
    model.take(&Step::Edit(other));
    assert!(!model.holds(&plan), "nothing delegates any more");
    assert!(matches!(model.plan(&glue), Err(Refusal::Hidden { .. })));
}

#[test]
fn glue_below_a_zone_compares_that_zone() {
    let mut model = Model::with_zones(&["x", "a.x", "b.a.x"]);
    let edit = |owner, change| Wanted {
        owner,
        zone: Some(("x", false)),
        change,
    };
    let servers = edit("a.x", add(Rtype::NS, &["c.b.a.x."]));
    model.take(&Step::Edit(servers));
    let glue = edit("c.b.a.x", add(Rtype::A, &["192.0.2.1"]));
    let (planned, _) = model.plan(&glue).expect("it is glue of a.x");
    let plan = planned.expect("a change").plan;
    model.take(&Step::Toggle("a.x"));
    assert!(
        !model.holds(&plan),
        "b.a.x answers now, and nothing delegates it"
    );
    assert!(matches!(model.plan(&glue), Err(Refusal::Hidden { .. })));
}

#[test]
fn a_missing_zone_is_not_a_lost_one() {
    let mut model = Model::default();
    let plain = Wanted {
        owner: "a.x",
        zone: None,
        change: add(Rtype::A, &["192.0.2.1"]),
    };
    let given = Wanted {
        zone: Some(("x", false)),
        ..plain.clone()
    };
    assert!(matches!(model.plan(&plain), Err(Refusal::NoZone(_))));
    assert!(matches!(model.plan(&given), Err(Refusal::UnknownZone(_))));
    model.put(&Key::Serial(name("x")), b"{}".to_vec());
    assert!(matches!(model.plan(&plain), Err(Refusal::ZoneLost(_))));
    assert!(matches!(model.plan(&given), Err(Refusal::ZoneLost(_))));
}

#[test]
fn what_is_so_already_must_stay_so_if_something_else_changes() {
    let mut model = Model::with_zones(&["x", "y"]);
    let edit = |owner: &str| Edit {
        default_ttl: None,
        owner: name(owner),
        change: add(Rtype::A, &["192.0.2.1"]),
    };
    model.take(&Step::Edit(Wanted {
        owner: "a.x",
        zone: None,
        change: add(Rtype::A, &["192.0.2.1"]),
    }));
    let wanted = Update {
        prerequisites: Vec::new(),
        edits: vec![edit("a.x"), edit("a.y")],
    };
    let planned = model.plan_from(Reads::default(), None, &wanted);
    let Ok((Planned::Plan(plan), ..)) = planned else {
        panic!("{planned:?}")
    };
    assert!(model.holds(&plan));
    model.take(&Step::Edit(Wanted {
        owner: "a.x",
        zone: None,
        change: remove(None, &[]),
    }));
    assert!(!model.holds(&plan), "a.x would not be written");
}

#[test]
fn many_edits_compare_the_zone_as_a_whole() {
    let mut model = Model::with_zones(&["x"]);
    let edits = |count: usize| Update {
        prerequisites: Vec::new(),
        edits: (0..count)
            .map(|n| Edit {
                default_ttl: None,
                owner: name(&format!("n{n}.x")),
                change: add(Rtype::A, &["192.0.2.1"]),
            })
            .collect(),
    };
    let planned = model.plan_from(Reads::default(), None, &edits(100));
    let Ok((Planned::Plan(plan), ..)) = planned else {
        panic!("{planned:?}")
    };
    assert!(
        plan.compares.len() < 10 && plan.fits(),
        "{:?}",
        plan.compares
    );
    model.take(&Step::Edit(Wanted {
        owner: "other.x",
        zone: None,
        change: add(Rtype::A, &["192.0.2.1"]),
    }));
    assert!(!model.holds(&plan));
    // What is announced has a serial key of its own.
    let mut with_alias = edits(100);
    with_alias.edits[0].change = add(Rtype::CNAME, &["www.x."]);
    let planned = model.plan_from(Reads::default(), None, &with_alias);
    let Ok((Planned::Plan(plan), ..)) = planned else {
        panic!("{planned:?}")
    };
    assert!(model.holds(&plan));
    let announced = Key::Leased {
        zone: name("x"),
        owner: name("n0.x"),
        rtype: Rtype::A,
        instance: Instance(1),
    };
    model.revision += 1;
    model.put(&announced, b"{}".to_vec());
    assert!(!model.holds(&plan));
    let planned = model.plan_from(Reads::default(), None, &edits(200));
    assert!(matches!(planned, Ok((Planned::TooLarge, ..))));
}
