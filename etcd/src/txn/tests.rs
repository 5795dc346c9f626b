mod leased;
mod model;
mod overlap;
mod past;
mod update;

use std::sync::Arc;

use super::holder::zone_candidates;
use super::*;
use crate::model::rules::Violation;
use crate::model::zonefile::{self, Rrsets};
use crate::model::{Change, Rdata, RrsetError};
use crate::schema::{Attempt, encode};
use model::{Model, PlannedUpdate};

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn rdata(rtype: Rtype, texts: &[&str]) -> Vec<Rdata> {
    texts
        .iter()
        .map(|text| Rdata::parse(rtype, text).expect(text))
        .collect()
}

fn rrset(rtype: Rtype, ttl: u32, texts: &[&str]) -> Rrset {
    Rrset::new(rtype, ttl, rdata(rtype, texts)).expect("a set")
}

fn zone() -> ZoneRead {
    let mut settings = ZoneSettings::new(name("ns.x"), name("h.x"));
    settings.generation = 7;
    ZoneRead {
        apex: name("x"),
        settings,
        revision: 40,
        as_of: 50,
    }
}

fn read(rtype: Rtype, texts: &[&str], revision: i64) -> RrsetRead {
    RrsetRead {
        rtype,
        rrset: Ok(rrset(rtype, 60, texts)),
        revision,
    }
}

fn poisoned(rtype: Rtype, revision: i64) -> RrsetRead {
    let rrset = crate::schema::decode_rrset(rtype, b"garbage");
    RrsetRead {
        rtype,
        rrset,
        revision,
    }
}

fn plan(
    owner: &str,
    present: &[RrsetRead],
    change: &Change,
) -> Result<Option<PlannedUpdate>, Refusal> {
    plan_beside(owner, present, change, &[])
}

/// Plans a change of the zone x with these RRsets at the owner, and another one at another name.
fn plan_beside(
    owner: &str,
    present: &[RrsetRead],
    change: &Change,
    others: &[(&str, Rtype, &str)],
) -> Result<Option<PlannedUpdate>, Refusal> {
    let mut model = Model::default();
    let zone = zone();
    let mut put = |key: &Key, value, revision| {
        model.revision = revision;
        model.put(key, value);
    };
    put(
        &Key::Zone(zone.apex.clone()),
        encode(&zone.settings),
        zone.revision,
    );
    for (other, rtype, text) in others {
        let value = encode(&(*rtype, &rrset(*rtype, 60, &[text])));
        put(&zone.rrset_key(&name(other), *rtype), value, 45);
    }
    for read in present {
        let value = match &read.rrset {
            Ok(rrset) => encode(&(read.rtype, rrset)),
            Err(_) => b"garbage".to_vec(),
        };
        put(
            &zone.rrset_key(&name(owner), read.rtype),
            value,
            read.revision,
        );
    }
    model.revision = zone.as_of;
    let in_zone = InZone {
        apex: &zone.apex,
        hide: false,
    };
    let planned = model.plan_change(Reads::default(), Some(in_zone), &name(owner), change);
    Ok(planned?.0)
}

fn add(rtype: Rtype, texts: &[&str]) -> Change {
    Change::Add {
        rtype,
        ttl: None,
        rdata: rdata(rtype, texts),
    }
}

fn remove(rtype: Option<Rtype>, texts: &[&str]) -> Change {
    Change::Remove {
        rtype,
        rdata: rtype.map_or_else(Vec::new, |rtype| rdata(rtype, texts)),
    }
}

/// The plan as lines: comparisons, puts and deletes.
fn shown(planned: &PlannedUpdate) -> Vec<String> {
    shown_plan(&planned.plan)
}

fn shown_plan(plan: &Plan) -> Vec<String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let compares = plan.compares.iter().map(|compare| match compare {
        Compare::Unchanged { key, revision } => format!("if {} = {revision}", text(key)),
        Compare::NotWrittenSince { range, revision } => {
            format!("if {}… <= {revision}", text(&range.start))
        }
    });
    let ops = plan.ops.iter().map(|op| match op {
        Op::Put { key, value } | Op::PutLeased { key, value, .. } => {
            format!("put {} {}", text(key), text(value))
        }
        Op::Delete { key } => format!("del {}", text(key)),
        Op::DeleteRange { range } => format!("del {}…", text(&range.start)),
    });
    compares.chain(ops).collect()
}

#[test]
fn a_record_is_added_under_comparisons() {
    let planned = plan(
        "a.x",
        &[read(Rtype::A, &["192.0.2.1"], 45)],
        &add(Rtype::A, &["192.0.2.2"]),
    );
    let planned = planned.expect("allowed").expect("a change");
    assert_eq!(
        shown(&planned),
        [
            "if /ns/v1/rr/x/7/@/DNAME = 0",
            "if /ns/v1/rr/x/7/a/CNAME = 0",
            "if /ns/v1/rr/x/7/a/A = 45",
            "if /ns/v1/zone/x = 40",
            "if /ns/v1/zone/x.a = 0",
            "put /ns/v1/rr/x/7/a/A {\"ttl\":60,\"rdata\":[\"192.0.2.1\",\"192.0.2.2\"]}",
            "put /ns/v1/serial/x {}",
            "put /ns/v1/head {}",
        ]
    );
    assert_eq!((planned.added.len(), planned.removed.len()), (1, 0));
}

#[test]
fn an_attempt_says_that_it_is_and_can_be_withdrawn() {
    let (prefix, attempt) = (Prefix::default(), Attempt(0xbeef));
    let planned = plan("a.x", &[], &add(Rtype::A, &["192.0.2.1"]));
    let mut planned = planned.expect("allowed").expect("a change");
    let before = shown(&planned);
    planned.plan = planned.plan.attempted(&prefix, attempt);
    let mut after = shown(&planned);
    let condition = "if /ns/v1/withdrawn/0000000000000000000000000000beef = 0";
    let place = after.iter().position(|line| line == condition);
    after.remove(place.expect("a condition"));
    let head = after.pop().expect("the head is written last");
    let told = head
        .strip_prefix("put /ns/v1/head ")
        .expect("the head is written");
    assert_eq!(crate::schema::decode_head(told.as_bytes()), Some(attempt));
    assert_eq!(after, before[..before.len() - 1]);
    assert_eq!(crate::schema::decode_head(b"{}"), None);
}

#[test]
fn what_is_so_already_is_no_change() {
    let present = || {
        [
            read(Rtype::A, &["192.0.2.1"], 45),
            read(Rtype::MX, &["1 M."], 45),
        ]
    };
    for change in [
        add(Rtype::A, &["192.0.2.1"]),
        add(Rtype::MX, &["1 m."]),
        Change::Set {
            rtype: Rtype::A,
            ttl: None,
            rdata: rdata(Rtype::A, &["192.0.2.1"]),
        },
        Change::Set {
            rtype: Rtype::A,
            ttl: Some(60),
            rdata: rdata(Rtype::A, &["192.0.2.1", "192.0.2.1"]),
        },
        remove(Some(Rtype::A), &["192.0.2.9"]),
        remove(Some(Rtype::TXT), &[]),
    ] {
        assert!(
            plan("a.x", &present(), &change).expect("allowed").is_none(),
            "{change:?}"
        );
    }
    assert!(
        plan("a.x", &[], &remove(None, &[]))
            .expect("allowed")
            .is_none()
    );
}

#[test]
fn ttl_comes_from_the_command_the_set_or_the_zone() {
    let ttl = |present: &[RrsetRead], ttl| {
        let change = Change::Add {
            rtype: Rtype::A,
            ttl,
            rdata: rdata(Rtype::A, &["192.0.2.2"]),
        };
        plan("a.x", present, &change)
            .expect("allowed")
            .expect("a change")
            .added[0]
            .ttl
    };
    let present = [read(Rtype::A, &["192.0.2.1"], 45)];
    assert_eq!(
        (ttl(&[], None), ttl(&present, None), ttl(&present, Some(5))),
        (300, 60, 5)
    );
    // A new TTL is for the whole set.
    let change = Change::Add {
        rtype: Rtype::A,
        ttl: Some(5),
        rdata: rdata(Rtype::A, &["192.0.2.1"]),
    };
    let planned = plan("a.x", &present, &change)
        .expect("allowed")
        .expect("a change");
    assert_eq!((planned.added[0].ttl, planned.removed[0].ttl), (5, 60));
}

#[test]
fn removal_of_some_and_of_all() {
    let present = || {
        [
            read(Rtype::A, &["192.0.2.1", "192.0.2.2"], 45),
            read(Rtype::TXT, &["t"], 46),
        ]
    };
    let of = |change: &Change| {
        plan("a.x", &present(), change)
            .expect("allowed")
            .expect("a change")
    };
    let some = of(&remove(Some(Rtype::A), &["192.0.2.1", "192.0.2.9"]));
    assert!(
        shown(&some)
            .contains(&"put /ns/v1/rr/x/7/a/A {\"ttl\":60,\"rdata\":[\"192.0.2.2\"]}".into())
    );
    assert_eq!(some.removed.len(), 1);
    let all = shown(&of(&remove(None, &[])));
    assert!(
        all.contains(&"del /ns/v1/rr/x/7/a/A".into())
            && all.contains(&"del /ns/v1/rr/x/7/a/TXT".into())
    );
    let last = of(&remove(Some(Rtype::TXT), &["t"]));
    assert!(shown(&last).contains(&"del /ns/v1/rr/x/7/a/TXT".into()));
}

#[test]
fn a_cname_stands_alone() {
    let error = plan(
        "a.x",
        &[read(Rtype::A, &["192.0.2.1"], 45)],
        &add(Rtype::CNAME, &["b."]),
    )
    .expect_err("a clash");
    assert!(matches!(
        error,
        Refusal::Rule(Violation::CnameAndOther {
            present: Rtype::A,
            wanted: Rtype::CNAME,
            ..
        })
    ));
    let error = plan(
        "a.x",
        &[read(Rtype::CNAME, &["b."], 45)],
        &add(Rtype::A, &["192.0.2.1"]),
    )
    .expect_err("a clash");
    assert!(matches!(
        error,
        Refusal::Rule(Violation::CnameAndOther {
            present: Rtype::CNAME,
            wanted: Rtype::A,
            ..
        })
    ));
    // Nobody may slip anything in: nothing at the owner was written since the read.
    let planned = plan("a.x", &[], &add(Rtype::CNAME, &["b."]))
        .expect("allowed")
        .expect("a change");
    assert!(shown(&planned).contains(&"if /ns/v1/rr/x/7/a/… <= 50".into()));
    let error = plan(
        "a.x",
        &[read(Rtype::CNAME, &["b."], 45)],
        &add(Rtype::CNAME, &["c."]),
    )
    .expect_err("two");
    assert!(matches!(
        error,
        Refusal::Rrset(_, _, RrsetError::Singleton(_))
    ));
    assert!(matches!(
        plan("x", &[], &add(Rtype::CNAME, &["b."])),
        Err(Refusal::Rule(Violation::CnameAtApex(_)))
    ));
}

#[test]
fn ds_records_belong_to_the_parent() {
    let ds = add(Rtype::DS, &["1 8 2 aa"]);
    assert!(matches!(
        plan("x", &[], &ds),
        Err(Refusal::Rule(Violation::DsAtApex(_)))
    ));
    assert!(plan("a.x", &[], &ds).is_ok());
}

#[test]
fn nothing_comes_below_a_dname() {
    let a = add(Rtype::A, &["192.0.2.1"]);
    let dname = add(Rtype::DNAME, &["y."]);
    let above = [("b.x", Rtype::DNAME, "y.")];
    assert!(matches!(
        plan_beside("a.b.x", &[], &a, &above),
        Err(Refusal::Rule(Violation::BelowDname { .. }))
    ));
    let below = [("a.b.x", Rtype::A, "192.0.2.1")];
    assert!(matches!(
        plan_beside("b.x", &[], &dname, &below),
        Err(Refusal::Rule(Violation::BelowDname { .. }))
    ));
    // Nor later: whoever comes second finds the other's key.
    let planned = plan("a.b.x", &[], &a).expect("allowed").expect("a change");
    for line in [
        "if /ns/v1/rr/x/7/b/DNAME = 0",
        "if /ns/v1/rr/x/7/@/DNAME = 0",
    ] {
        assert!(shown(&planned).contains(&line.into()), "{line}");
    }
    let planned = plan("b.x", &[], &dname)
        .expect("allowed")
        .expect("a change");
    assert!(
        shown(&planned).contains(&"if /ns/v1/rr/x/7/b.… <= 50".into()),
        "{:?}",
        shown(&planned)
    );
}

#[test]
fn a_dname_is_no_cut() {
    let (ns, dname) = (
        || read(Rtype::NS, &["a."], 45),
        || read(Rtype::DNAME, &["y."], 45),
    );
    assert!(matches!(
        plan("a.x", &[ns()], &add(Rtype::DNAME, &["y."])),
        Err(Refusal::Rule(Violation::DnameAtCut(_)))
    ));
    assert!(matches!(
        plan("a.x", &[dname()], &add(Rtype::NS, &["a."])),
        Err(Refusal::Rule(Violation::DnameAtCut(_)))
    ));
    assert!(
        plan("x", &[ns()], &add(Rtype::DNAME, &["y."])).is_ok(),
        "the apex has both (RFC 6672, 2.3)"
    );
}

#[test]
fn the_apex_keeps_soa_and_ns() {
    let ns = || [read(Rtype::NS, &["a.", "b."], 45)];
    assert!(plan("x", &ns(), &remove(Some(Rtype::NS), &["a."])).is_ok());
    for change in [
        remove(Some(Rtype::NS), &[]),
        remove(None, &[]),
        remove(Some(Rtype::NS), &["a.", "b."]),
    ] {
        assert!(
            matches!(
                plan("x", &ns(), &change),
                Err(Refusal::Rule(Violation::Missing(_, Rtype::NS)))
            ),
            "{change:?}"
        );
    }
    assert!(plan("sub.x", &ns(), &remove(None, &[])).is_ok());
    assert!(matches!(
        plan("x", &[], &add(Rtype::SOA, &["a. b. 1 2 3 4 5"])),
        Err(Refusal::Rule(Violation::Soa(_)))
    ));
    assert!(matches!(
        plan("x", &[], &remove(Some(Rtype::SOA), &[])),
        Err(Refusal::Rule(Violation::Soa(_)))
    ));
}

#[test]
fn an_soa_record_among_the_rrsets_can_be_removed() {
    let present = || [poisoned(Rtype::SOA, 44), read(Rtype::A, &["192.0.2.1"], 45)];
    for change in [remove(None, &[]), replace(Rtype::A, &["192.0.2.2"])] {
        let planned = plan("a.x", &present(), &change);
        let planned = planned.expect("allowed").expect("a change");
        assert!(
            shown(&planned).contains(&"del /ns/v1/rr/x/7/a/SOA".into()),
            "{:?}",
            shown(&planned)
        );
    }
}

#[test]
fn records_of_signed_zones_are_refused_and_can_be_removed() {
    for (rtype, text) in [
        (
            Rtype::RRSIG,
            "A 13 1 60 20300101000000 20200101000000 1 x. aaaa",
        ),
        (Rtype::NSEC, "x. A"),
        (Rtype::NSEC3PARAM, "1 0 0 -"),
        (Rtype::DNSKEY, "257 3 13 aaaa"),
        (Rtype::CDS, "0 0 0 00"),
        (Rtype::CDNSKEY, "0 3 0 AA=="),
    ] {
        let refused = plan("x", &[], &add(rtype, &[text])).expect_err(text);
        assert!(
            matches!(refused, Refusal::Rule(Violation::Signed(_, refused)) if refused == rtype)
        );
        assert!(refused.is_usage());
        let present = [read(rtype, &[text], 45)];
        assert!(
            plan("x", &present, &remove(Some(rtype), &[])).is_ok(),
            "{rtype}"
        );
    }
    let ds = "1 13 1 0123456789abcdef0123456789abcdef01234567";
    assert!(plan("a.x", &[], &add(Rtype::DS, &[ds])).is_ok());
}

#[test]
fn sets_that_are_none_are_refused() {
    let set = |ttl, rdata| Change::Set {
        rtype: Rtype::A,
        ttl,
        rdata,
    };
    let one = || rdata(Rtype::A, &["192.0.2.1"]);
    assert!(matches!(
        plan("a.x", &[], &set(None, vec![])),
        Err(Refusal::Rrset(_, _, RrsetError::Empty))
    ));
    let error = plan("a.x", &[], &set(Some(1 << 31), one())).expect_err("too long a TTL");
    assert!(error.is_usage() && error.to_string().contains("2147483647"));
    let many: Vec<Rdata> = (0..5000u32)
        .map(|n| Rdata::from_wire(Rtype::A, &n.to_be_bytes()).expect("an address"))
        .collect();
    assert!(matches!(
        plan("a.x", &[], &set(None, many)),
        Err(Refusal::Rrset(_, _, RrsetError::TooLong(_)))
    ));
    // Names that are compressed take less in a message than in the store.
    let pointers = |count| -> Vec<String> {
        let target = |n| format!("host{n}.some.of.our.many.departments.example.");
        (0..count).map(target).collect()
    };
    for (count, is_taken) in [(1500, true), (6000, false)] {
        let targets = pointers(count);
        let texts: Vec<&str> = targets.iter().map(String::as_str).collect();
        let set = Rrset::new(Rtype::PTR, 300, rdata(Rtype::PTR, &texts));
        assert_eq!(set.is_ok(), is_taken, "{count}: {:?}", set.err());
    }
}

#[test]
fn a_poisoned_value_is_replaced_but_not_added_to() {
    let present = || [poisoned(Rtype::A, 45)];
    assert!(matches!(
        plan("a.x", &present(), &add(Rtype::A, &["192.0.2.1"])),
        Err(Refusal::Stored(..))
    ));
    let set = Change::Set {
        rtype: Rtype::A,
        ttl: None,
        rdata: rdata(Rtype::A, &["192.0.2.1"]),
    };
    assert!(
        shown(
            &plan("a.x", &present(), &set)
                .expect("allowed")
                .expect("a change")
        )
        .contains(&"if /ns/v1/rr/x/7/a/A = 45".into())
    );
    for change in [remove(Some(Rtype::A), &[]), remove(None, &[])] {
        let planned = plan("a.x", &present(), &change)
            .expect("allowed")
            .expect("a change");
        assert!(shown(&planned).contains(&"del /ns/v1/rr/x/7/a/A".into()));
        // It is told what went.
        assert_eq!(planned.unreadable, [Rtype::A]);
    }
    let planned = plan("a.x", &present(), &set);
    assert_eq!(
        planned.expect("allowed").expect("a change").unreadable,
        [Rtype::A]
    );
    assert!(matches!(
        plan("a.x", &present(), &remove(Some(Rtype::A), &["192.0.2.1"])),
        Err(Refusal::Stored(..))
    ));
}

#[test]
fn ds_belongs_to_the_parent() {
    assert_eq!(
        zone_candidates(&name("a.x"), Some(Rtype::DS)),
        [name("x"), Name::root()]
    );
    assert_eq!(
        zone_candidates(&name("a.x"), Some(Rtype::A)),
        [name("a.x"), name("x"), Name::root()]
    );
}

fn slot(present: Option<ZoneRead>) -> Slot {
    Slot {
        apex: name("x"),
        present,
        serial: SerialRead {
            base: 7,
            is_removed: true,
            revision: 5,
            version: 3,
        },
        revision: 9,
    }
}

#[test]
fn zones_are_added_once() {
    let servers = || rdata(Rtype::NS, &["ns.x."]);
    let settings = || ZoneSettings::new(name("ns.x"), name("h.x"));
    let apex = name("x");
    let wanted = new_zone(&apex, settings(), servers()).expect("allowed");
    let planned = |present, reserved| {
        write_difference(
            &Prefix::default(),
            &slot(present),
            &wanted,
            &Rrsets::new(),
            reserved,
        )
    };
    let plan = planned(None, 0).expect("small");
    let lines = shown_plan(&plan);
    assert_eq!(lines[0], "if /ns/v1/zone/x = 0");
    assert_eq!(lines[1], "if /ns/v1/serial/x = 5");
    let claim = Compare::NotWrittenSince {
        range: Prefix::default().generation(&name("x"), 10),
        revision: 0,
    };
    assert!(plan.compares.contains(&claim), "{lines:?}");
    let put = |of: &str| lines.iter().find(|line| line.starts_with(of));
    assert!(put("put /ns/v1/rr/x/10/@/NS").is_some(), "{lines:?}");
    let zone = put("put /ns/v1/zone/x").expect("the settings");
    assert!(zone.contains(r#""serial_base":7"#), "{zone}");
    assert!(planned(None, OPS_MAX).is_none());
    assert!(matches!(
        new_zone(&apex, settings(), vec![]),
        Err(Refusal::Rrset(..))
    ));
    let bad = ZoneSettings {
        default_ttl: u32::MAX,
        ..settings()
    };
    assert!(matches!(
        new_zone(&apex, bad, servers()),
        Err(Refusal::Setting(_))
    ));
}

#[test]
fn a_small_difference_is_one_guarded_transaction() {
    let old = many(50_000);
    let wanted = |rrsets: &Rrsets| WantedZone {
        settings: zone().settings,
        serial: Some(1),
        rrsets: Arc::new(rrsets.clone()),
    };
    let plan = |rrsets: &Rrsets| {
        let slot = slot(Some(zone()));
        write_difference(&Prefix::default(), &slot, &wanted(rrsets), &old, 0)
    };
    let mut new = old.clone();
    let changed = rrset(Rtype::A, 60, &["192.0.2.9"]);
    new.insert((name("n7.x"), Rtype::A), changed.clone());
    new.remove(&(name("n8.x"), Rtype::A));
    let lines = shown_plan(&plan(&new).expect("small"));
    assert_eq!(
        lines,
        [
            "if /ns/v1/zone/x = 40",
            "if /ns/v1/serial/x = 5",
            r#"put /ns/v1/rr/x/7/n7/A {"ttl":60,"rdata":["192.0.2.9"]}"#,
            "del /ns/v1/rr/x/7/n8/A",
            "put /ns/v1/serial/x {}",
            "put /ns/v1/head {}",
        ]
    );
    for n in 0..118 {
        new.insert((name(&format!("n{n}.x")), Rtype::A), changed.clone());
    }
    assert!(plan(&new).is_none(), "it does not fit");
}

fn many(count: u32) -> Rrsets {
    (0..count)
        .map(|n| {
            (
                (name(&format!("n{n}.x")), Rtype::A),
                rrset(Rtype::A, 60, &["192.0.2.1"]),
            )
        })
        .collect()
}

#[test]
fn whatever_deletes_touches_the_head() {
    let (prefix, zone) = (Prefix::default(), zone());
    let head = Op::Put {
        key: prefix.encode(&Key::Head),
        value: b"{}".to_vec(),
    };
    let range = prefix.generation(&zone.apex, 1);
    for plan in [
        sweep(&prefix, &zone.apex, Some(&zone), range.clone()),
        sweep(&prefix, &zone.apex, None, range),
        zone_remove(&prefix, &zone.apex, zone.revision, 7, None),
    ] {
        assert!(plan.ops.contains(&head), "{plan:?}");
    }
    // A removed zone leaves its serial key behind: front-ends see by it that the zone was not lost.
    let serial = Op::Put {
        key: prefix.encode(&Key::Serial(zone.apex.clone())),
        value: br#"{"serial_base":0}"#.to_vec(),
    };
    let plan = zone_remove(&prefix, &zone.apex, zone.revision, 0, None);
    assert!(plan.ops.contains(&serial), "{plan:?}");
}

#[test]
fn a_generation_is_staged_in_batches_that_etcd_takes() {
    let (prefix, apex) = (Prefix::default(), name("x"));
    let zone = zone();
    let plans: Vec<Plan> = stage(&prefix, &apex, Some(&zone), 9, &many(1000)).collect();
    assert_eq!(plans.len(), 9);
    assert!(plans.iter().all(|plan| plan.ops.len() <= OPS_MAX));
    assert_eq!(plans.iter().map(|plan| plan.ops.len()).sum::<usize>(), 1000);
    // The first claims the generation, and none touches the serial or the head, as nobody serves it.
    let claim = Compare::NotWrittenSince {
        range: prefix.generation(&apex, 9),
        revision: 0,
    };
    // A copy that comes late, after the switch, is not done.
    let in_time = Compare::Unchanged {
        key: prefix.encode(&Key::Zone(apex.clone())),
        revision: zone.revision,
    };
    assert_eq!(plans[0].compares, [claim, in_time.clone()]);
    assert!(
        plans[1..]
            .iter()
            .all(|plan| plan.compares == [in_time.clone()])
    );
    let long = rrset(
        Rtype::TXT,
        60,
        &[&format!("\"{}\" ", "x".repeat(250)).repeat(200)],
    );
    let big: Rrsets = (0..60)
        .map(|n| ((name(&format!("n{n}.x")), Rtype::TXT), long.clone()))
        .collect();
    let octets = |plan: &Plan| {
        plan.ops
            .iter()
            .map(|op| {
                if let Op::Put { value, .. } = op {
                    value.len()
                } else {
                    0
                }
            })
            .sum::<usize>()
    };
    assert!(stage(&prefix, &apex, None, 9, &big).all(|plan| octets(&plan) <= OCTETS_MAX));
}

#[test]
fn a_flip_never_takes_the_serial_back() {
    let flip_to = |present: Option<&ZoneRead>, serial| {
        let staged = Staged {
            generation: 9,
            first: b"k".to_vec(),
            revision: 99,
        };
        let slot = Slot {
            serial: SerialRead::default(),
            revision: 100,
            ..slot(present.cloned())
        };
        let wanted = WantedZone {
            settings: zone().settings,
            serial: Some(serial),
            rrsets: Arc::default(),
        };
        let plan = flip(&Prefix::default(), &slot, &wanted, &staged, false);
        assert!(plan.compares.contains(&Compare::Unchanged {
            key: b"k".to_vec(),
            revision: 99
        }));
        let value = plan.ops.iter().find_map(|op| match op {
            Op::Put { key, value } if key.ends_with(b"zone/x") => Some(value.clone()),
            _ => None,
        });
        let zone =
            crate::schema::decode_zone(&value.expect("the zone is written")).expect("a zone");
        assert_eq!(zone.generation, 9);
        zone.serial(101)
    };
    assert_eq!(flip_to(None, 5), 101);
    assert!(flip_to(None, 2_026_010_100) > 2_026_010_100);
    let mut present = zone();
    present.settings.serial_base = 3_000;
    assert_eq!(flip_to(Some(&present), 5), 3_101);
    // Serials compare modulo 2^32 (RFC 1982): 10 is ahead of 4294967290.
    present.settings.serial_base = u32::MAX - 105;
    assert_eq!(flip_to(Some(&present), 10), 11);
}

#[test]
fn a_merge_keeps_what_is_there() {
    let file = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns\na 60 A 192.0.2.2\nb 60 A 192.0.2.3\n";
    let checked = zonefile::check(
        &name("x"),
        zonefile::read(file.as_bytes(), &name("x")).expect("read"),
    )
    .expect("sound");
    let mut present = Rrsets::new();
    present.insert(
        (name("a.x"), Rtype::A),
        rrset(Rtype::A, 300, &["192.0.2.1"]),
    );
    present.insert((name("x"), Rtype::NS), rrset(Rtype::NS, 60, &["ns.x."]));
    let (merged, plans) =
        merge(&Prefix::default(), &zone(), &present, &checked.rrsets).expect("allowed");
    assert_eq!(
        merged[&(name("a.x"), Rtype::A)],
        rrset(Rtype::A, 60, &["192.0.2.1", "192.0.2.2"])
    );
    assert_eq!(plans.len(), 1);
    // a and b, serial and head; the NS RRset is as it was.
    assert_eq!(plans[0].ops.len(), 4);
    let (_, again) = merge(&Prefix::default(), &zone(), &merged, &checked.rrsets).expect("allowed");
    assert!(again.is_empty());
}

#[test]
fn settings_are_written_only_when_they_change() {
    let read = zone();
    assert!(
        zone_set(&Prefix::default(), &read, &read.settings)
            .expect("allowed")
            .is_none()
    );
    let other = ZoneSettings {
        default_ttl: 5,
        ..read.settings.clone()
    };
    let plan = zone_set(&Prefix::default(), &read, &other)
        .expect("allowed")
        .expect("a change");
    let value = encode(&other);
    assert!(
        plan.ops
            .iter()
            .any(|op| matches!(op, Op::Put { value: put, .. } if *put == value))
    );
    assert_eq!(plan.ops.len(), 3);
}

fn replace(rtype: Rtype, texts: &[&str]) -> Change {
    Change::Replace {
        rtype,
        ttl: None,
        rdata: rdata(rtype, texts),
    }
}

#[test]
fn everything_at_a_name_is_replaced_in_one_step() {
    let present = [
        read(Rtype::A, &["192.0.2.1"], 45),
        read(Rtype::TXT, &["\"t\""], 46),
    ];
    let planned = plan("a.x", &present, &replace(Rtype::CNAME, &["b.x."]));
    let planned = planned.expect("allowed").expect("a change");
    assert_eq!(
        shown(&planned),
        [
            "if /ns/v1/rr/x/7/a/… <= 50",
            "if /ns/v1/rr/x/7/@/DNAME = 0",
            "if /ns/v1/rr/x/7/a/A = 45",
            "if /ns/v1/rr/x/7/a/CNAME = 0",
            "if /ns/v1/rr/x/7/a/TXT = 46",
            "if /ns/v1/zone/x = 40",
            "if /ns/v1/zone/x.a = 0",
            "if /ns/v1/leased/x/a/… <= 50",
            "del /ns/v1/rr/x/7/a/A",
            r#"put /ns/v1/rr/x/7/a/CNAME {"ttl":300,"rdata":["b.x."]}"#,
            "del /ns/v1/rr/x/7/a/TXT",
            "put /ns/v1/serial/x {}",
            "put /ns/v1/head {}",
        ]
    );
    assert_eq!((planned.added.len(), planned.removed.len()), (1, 2));
    // And back; an unreadable set goes, too.
    let present = [read(Rtype::CNAME, &["b.x."], 45), poisoned(Rtype::TXT, 46)];
    let planned = plan("a.x", &present, &replace(Rtype::A, &["192.0.2.1"]));
    let planned = planned.expect("allowed").expect("a change");
    let lines = shown(&planned);
    for line in [
        "if /ns/v1/rr/x/7/a/CNAME = 45",
        "del /ns/v1/rr/x/7/a/CNAME",
        "del /ns/v1/rr/x/7/a/TXT",
    ] {
        assert!(lines.contains(&line.to_string()), "{line}: {lines:?}");
    }
    assert_eq!(planned.unreadable, [Rtype::TXT]);
    // What stays as it is, is compared all the same: its deletion would leave the name empty.
    let present = [
        read(Rtype::CNAME, &["b.x."], 45),
        read(Rtype::TXT, &["\"t\""], 46),
    ];
    let planned = plan("a.x", &present, &replace(Rtype::CNAME, &["b.x."]));
    let lines = shown(&planned.expect("allowed").expect("a change"));
    assert!(
        lines.contains(&"if /ns/v1/rr/x/7/a/CNAME = 45".into()),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("put /ns/v1/rr")),
        "{lines:?}"
    );
    // A zone cut becomes a DNAME, and a DNAME a zone cut.
    for (from, to) in [(Rtype::NS, Rtype::DNAME), (Rtype::DNAME, Rtype::NS)] {
        let present = [read(from, &["b.y."], 45)];
        let planned = plan("a.x", &present, &replace(to, &["c.y."]));
        let lines = shown(&planned.expect("allowed").expect("a change"));
        let gone = format!("del /ns/v1/rr/x/7/a/{from}");
        assert!(lines.contains(&gone), "{lines:?}");
        assert!(
            !lines.contains(&format!("if /ns/v1/rr/x/7/a/{from} = 0")),
            "{lines:?}"
        );
    }
    // The zone keeps its name servers, and its apex is no alias.
    let servers = || [read(Rtype::NS, &["ns.x."], 45)];
    assert!(matches!(
        plan("x", &servers(), &replace(Rtype::A, &["192.0.2.1"])),
        Err(Refusal::Rule(Violation::Missing(_, Rtype::NS)))
    ));
    assert!(matches!(
        plan("x", &servers(), &replace(Rtype::CNAME, &["a.y."])),
        Err(Refusal::Rule(Violation::CnameAtApex(_)))
    ));
}

#[test]
fn a_ttl_changes_alone() {
    let ttl = |ttl| Change::Ttl {
        rtype: Rtype::A,
        ttl,
    };
    let present = || [read(Rtype::A, &["192.0.2.1", "192.0.2.2"], 45)];
    let planned = plan("a.x", &present(), &ttl(5)).expect("allowed");
    let planned = planned.expect("a change");
    let put = "put /ns/v1/rr/x/7/a/A {\"ttl\":5,\"rdata\":[\"192.0.2.1\",\"192.0.2.2\"]}";
    let lines = shown(&planned);
    assert!(lines.contains(&put.into()), "{lines:?}");
    assert!(
        lines.contains(&"if /ns/v1/rr/x/7/a/A = 45".into()),
        "{lines:?}"
    );
    assert_eq!((planned.added.len(), planned.removed.len()), (2, 2));
    assert!(
        plan("a.x", &present(), &ttl(60))
            .expect("allowed")
            .is_none()
    );
    assert!(matches!(
        plan("a.x", &[], &ttl(5)),
        Err(Refusal::NothingThere(..))
    ));
    let poison = [poisoned(Rtype::A, 45)];
    assert!(matches!(
        plan("a.x", &poison, &ttl(5)),
        Err(Refusal::Stored(..))
    ));
}
