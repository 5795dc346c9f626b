//! Plans for leased records.

use super::*;
use crate::schema::Instance;

const LEASE: Lease = Lease { id: 77, ttl: 10 };

/// A model with the zone x, and these RRsets in it.
fn model(rrsets: &[(&str, Rtype, &str)]) -> Model {
    let (mut model, zone) = (Model::default(), zone());
    model.revision = zone.revision;
    model.put(&Key::Zone(zone.apex.clone()), encode(&zone.settings));
    for (owner, rtype, text) in rrsets {
        let value = encode(&(*rtype, &rrset(*rtype, 60, &[text])));
        model.put(&zone.rrset_key(&name(owner), *rtype), value);
    }
    model.revision = zone.as_of;
    model
}

fn wanted(owner: &str, rtype: Rtype, text: &str) -> Announcement {
    Announcement {
        zone: None,
        owner: name(owner),
        rtype,
        ttl: None,
        rdata: rdata(rtype, &[text]),
        instance: Instance(1),
    }
}

fn planned<T>(model: &Model, planner: impl Fn(&Reads) -> Result<T, NoPlan>) -> Result<T, Refusal> {
    let mut reads = Reads::default();
    for _ in 0..5 {
        match planner(&reads) {
            Ok(planned) => return Ok(planned),
            Err(NoPlan::Read(gets)) => reads.add(model.read(&gets)),
            Err(NoPlan::Refused(refusal)) => return Err(refusal),
            Err(NoPlan::Unreadable(key)) => panic!("{key}"),
        }
    }
    panic!("it asks for ever more");
}

fn announced(model: &Model, wanted: &Announcement) -> Result<(Plan, Announced), Refusal> {
    announced_under(LEASE, model, wanted)
}

fn announced_under(
    lease: Lease,
    model: &Model,
    wanted: &Announcement,
) -> Result<(Plan, Announced), Refusal> {
    planned(model, |reads| {
        announce(&Prefix::default(), reads, wanted, lease)
    })
}

#[test]
fn they_are_put_under_the_lease_and_withdrawn() {
    let mut model = model(&[("a.x", Rtype::A, "192.0.2.1")]);
    let (plan, there) = announced(&model, &wanted("a.x", Rtype::A, "192.0.2.2")).expect("allowed");
    assert_eq!(
        shown_plan(&plan),
        [
            "if /ns/v1/zone/x = 40",
            "if /ns/v1/zone/x.a = 0",
            "if /ns/v1/rr/x/7/@/DNAME = 0",
            "if /ns/v1/rr/x/7/a/CNAME = 0",
            "if /ns/v1/leased/x/a/A/0000000000000001 = 0",
            r#"put /ns/v1/leased/x/a/A/0000000000000001 {"ttl":10,"rdata":["192.0.2.2"],"lease":10}"#,
            "put /ns/v1/leased-serial/x {}",
            "put /ns/v1/head {}",
        ]
    );
    assert!(matches!(plan.ops[0], Op::PutLeased { lease: 77, .. }));
    assert!(
        plan.changes.is_empty(),
        "the journal is about what people decide"
    );
    model.commit(&plan);
    // It may be put again under another lease.
    let other = Lease { id: 78, ..LEASE };
    let again = announced_under(other, &model, &wanted("a.x", Rtype::A, "192.0.2.2"));
    let (again, _) = again.expect("allowed");
    assert!(matches!(again.ops[0], Op::PutLeased { lease: 78, .. }));
    model.commit(&again);
    let plan = planned(&model, |reads| withdraw(&Prefix::default(), reads, &there));
    let plan = plan.expect("allowed").expect("it is there");
    assert_eq!(
        shown_plan(&plan),
        [
            "if /ns/v1/leased/x/a/A/0000000000000001 = 52",
            "del /ns/v1/leased/x/a/A/0000000000000001",
            "put /ns/v1/leased-serial/x {}",
            "put /ns/v1/head {}",
        ]
    );
    model.commit(&plan);
    let gone = planned(&model, |reads| withdraw(&Prefix::default(), reads, &there));
    assert!(gone.expect("allowed").is_none());
}

#[test]
fn they_follow_the_rules_of_zones() {
    let model = model(&[
        ("alias.x", Rtype::CNAME, "a.x."),
        ("moved.x", Rtype::DNAME, "y."),
    ]);
    for (owner, rtype, text, why) in [
        ("alias.x", Rtype::A, "192.0.2.1", "a CNAME stands alone"),
        ("b.moved.x", Rtype::A, "192.0.2.1", "below the DNAME record"),
        ("a.y", Rtype::A, "192.0.2.1", "is in no zone"),
        ("a.x", Rtype::CNAME, "b.x.", "cannot be announced"),
        ("a.x", Rtype::NS, "b.x.", "cannot be announced"),
        ("a.x", Rtype::DNAME, "b.x.", "cannot be announced"),
    ] {
        let refused = announced(&model, &wanted(owner, rtype, text));
        let told = refused.expect_err(owner).to_string();
        assert!(told.contains(why), "{told}");
    }
    let in_zone = Announcement {
        zone: Some(name("x")),
        ..wanted("a.x", Rtype::SRV, "0 0 80 b.x.")
    };
    assert!(announced(&model, &in_zone).is_ok());
}

#[test]
fn a_cname_record_and_leased_records_keep_each_other_away() {
    let alias = |model: &Model| {
        let change = add(Rtype::CNAME, &["b.x."]);
        model.plan_change(Reads::default(), None, &name("a.x"), &change)
    };
    let mut model = model(&[]);
    let (leased, _) = announced(&model, &wanted("a.x", Rtype::A, "192.0.2.2")).expect("allowed");
    let (planned, _) = alias(&model).expect("allowed");
    let planned = planned.expect("a change").plan;
    // Whichever comes first, the other one fails.
    let mut other = model.clone();
    other.commit(&planned);
    assert!(!other.holds(&leased));
    model.commit(&leased);
    assert!(!model.holds(&planned));
    assert!(alias(&model).is_err());
    // Other records may stand beside them.
    let change = add(Rtype::A, &["192.0.2.1"]);
    let (planned, _) = model
        .plan_change(Reads::default(), None, &name("a.x"), &change)
        .expect("allowed");
    assert!(planned.is_some());
}

#[test]
fn a_serial_follows_an_expiry_once() {
    let mut model = model(&[]);
    let plan = follow_expiry(&Prefix::default(), &name("x"), 49);
    assert!(model.holds(&plan));
    model.commit(&plan);
    // It was written at 51.
    for (revision, is_news) in [(49, false), (50, false), (51, true), (60, true)] {
        let plan = follow_expiry(&Prefix::default(), &name("x"), revision);
        assert_eq!(model.holds(&plan), is_news, "{revision}");
    }
}

#[test]
fn they_go_with_their_zone() {
    let mut model = model(&[]);
    let (plan, _) = announced(&model, &wanted("a.x", Rtype::A, "192.0.2.2")).expect("allowed");
    model.commit(&plan);
    let removal = zone_remove(&Prefix::default(), &name("x"), 40, 5, None);
    model.commit(&removal);
    let left: Vec<_> = model
        .keys
        .keys()
        .map(|key| crate::schema::key_text(key))
        .collect();
    assert_eq!(left, ["/ns/v1/head", "/ns/v1/serial/x"]);
}
