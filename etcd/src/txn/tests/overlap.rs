use std::collections::BTreeSet;

use super::*;

/// A parent that delegates `c.x`, with glue, and has more there.
fn parent() -> Vec<(Name, RrsetRead)> {
    [
        ("c.x", Rtype::NS, "ns.c.x."),
        (
            "c.x",
            Rtype::DS,
            "1 8 2 0101010101010101010101010101010101010101010101010101010101010101",
        ),
        ("c.x", Rtype::TXT, "a"),
        ("ns.c.x", Rtype::A, "192.0.2.1"),
        ("ns.c.x", Rtype::TXT, "b"),
        ("www.c.x", Rtype::A, "192.0.2.2"),
        ("www.c.x", Rtype::NS, "ns.c.x."),
    ]
    .map(|(owner, rtype, text)| (name(owner), read(rtype, &[text], 30)))
    .into()
}

fn above() -> Above {
    Above {
        parent: Some(zone()),
        closer: vec![name("b.x")],
        touched: 48,
        rrsets: parent(),
    }
}

fn content(items: &[(&str, Rtype, &str)]) -> Rrsets {
    let items = items.iter();
    items
        .map(|(owner, rtype, text)| ((name(owner), *rtype), rrset(*rtype, 300, &[text])))
        .collect()
}

fn changes(content: &Rrsets, overlap: Overlap) -> Result<ParentChanges, Refusal> {
    plan_parent_changes(&Prefix::default(), &name("c.x"), &above(), content, overlap)
}

#[test]
fn a_delegation_is_not_hidden_and_the_rest_is() {
    let children: BTreeSet<Name> = ["c.x", "www.c.x", "d.x"].map(name).into();
    let found = hidden_among_read(&name("x"), &children, &parent());
    let found: Vec<String> = found
        .iter()
        .map(|one| format!("{} {} {}", one.owner, one.rtype, one.by))
        .collect();
    assert_eq!(
        found,
        [
            "c.x. TXT c.x.",
            "ns.c.x. TXT c.x.",
            "www.c.x. A c.x.",
            "www.c.x. NS c.x.",
        ]
    );
    assert!(hidden_among_read(&name("x"), &[name("d.x")].into(), &parent()).is_empty());
    assert!(hidden_among_read(&name("c.x"), &[name("c.x")].into(), &parent()).is_empty());
}

#[test]
fn a_zone_that_would_hide_records_is_refused() {
    let refused = changes(&Rrsets::new(), Overlap::Refuse).expect_err("refused");
    let told = refused.to_string();
    for words in [
        "hide 3 names of x.",
        "(c.x., ns.c.x., www.c.x.)",
        "--move",
        "--force",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(
        changes(&Rrsets::new(), Overlap::Hide).ok(),
        Some(ParentChanges::default())
    );
    // What is in the zone, too, is not lost.
    let same = content(&[
        ("c.x", Rtype::TXT, "a"),
        ("ns.c.x", Rtype::TXT, "b"),
        ("www.c.x", Rtype::A, "192.0.2.2"),
        ("www.c.x", Rtype::NS, "ns.c.x."),
    ]);
    let changes = changes(&same, Overlap::Refuse).expect("nothing is lost");
    let plan = Plan {
        compares: changes.compares,
        ops: changes.ops,
        changes: changes.changes,
    };
    assert_eq!(
        shown_plan(&plan),
        [
            "if /ns/v1/zone/x.b = 0",
            "if /ns/v1/zone/x = 40",
            "if /ns/v1/rr/x/7/c.… <= 50",
        ]
    );
}

#[test]
fn what_moves_leaves_the_delegation_behind() {
    let own = content(&[
        ("c.x", Rtype::NS, "ns.c.x."),
        ("www.c.x", Rtype::A, "192.0.2.7"),
    ]);
    let moving = changes(&own, Overlap::Move).expect("it moves");
    let moved: Vec<String> = moving
        .moved
        .iter()
        .map(|((owner, rtype), rrset)| {
            format!("{owner} {rtype} {} {}", rrset.ttl(), rrset.rdata().len())
        })
        .collect();
    // With the address of the name server; and with what the zone has already, as the zone has it.
    assert_eq!(
        moved,
        [
            "c.x. TXT 60 1",
            "ns.c.x. A 60 1",
            "ns.c.x. TXT 60 1",
            "www.c.x. A 300 2",
            "www.c.x. NS 60 1",
        ]
    );
    let gone: Vec<&Op> = moving.ops.iter().collect();
    let prefix = Prefix::default();
    // A deletion in the parent shows nowhere else: what was removed meanwhile must not come back.
    assert!(moving.compares.contains(&Compare::Unchanged {
        key: prefix.encode(&Key::Serial(name("x"))),
        revision: 48,
    }));
    for (owner, read) in parent() {
        let key = prefix.encode(&Key::Rrset {
            zone: name("x"),
            generation: 7,
            owner: owner.clone(),
            rtype: read.rtype,
        });
        let is_gone = gone.iter().any(|op| match op {
            Op::DeleteRange { range } => range.contains(&key),
            _ => false,
        });
        let is_delegation = matches!(read.rtype, Rtype::NS | Rtype::DS) && owner == name("c.x")
            || read.rtype == Rtype::A && owner == name("ns.c.x");
        assert_eq!(is_gone, !is_delegation, "{owner} {}", read.rtype);
    }
    let touched = Op::Put {
        key: prefix.encode(&Key::Serial(name("x"))),
        value: b"{}".to_vec(),
    };
    assert!(moving.ops.contains(&touched), "{:?}", moving.ops);
}

#[test]
fn addresses_of_name_servers_are_copied_also_where_nothing_is_hidden() {
    let mut above = above();
    above.rrsets = vec![
        (name("c.x"), read(Rtype::NS, &["ns.c.x."], 30)),
        (name("ns.c.x"), read(Rtype::A, &["192.0.2.1"], 30)),
    ];
    let own = content(&[("c.x", Rtype::NS, "ns.c.x.")]);
    let changes =
        |overlap| plan_parent_changes(&Prefix::default(), &name("c.x"), &above, &own, overlap);
    let moving = changes(Overlap::Move).expect("it moves");
    let moved: Vec<_> = moving.moved.keys().collect();
    assert_eq!(moved, [&(name("ns.c.x"), Rtype::A)]);
    // The parent stays as it is, and must not lose them meanwhile.
    assert_eq!(moving.ops, []);
    assert!(moving.compares.contains(&Compare::Unchanged {
        key: Prefix::default().encode(&Key::Serial(name("x"))),
        revision: 48,
    }));
    assert!(
        changes(Overlap::Refuse)
            .expect("nothing hidden")
            .moved
            .is_empty()
    );
}

#[test]
fn what_would_be_lost_is_found_among_many() {
    let mut above = above();
    let owners: Vec<Name> = (0..100_000).map(|n| name(&format!("n{n}.c.x"))).collect();
    above.rrsets = owners
        .iter()
        .map(|owner| (owner.clone(), read(Rtype::A, &["192.0.2.1"], 30)))
        .collect();
    let changes = |content| {
        plan_parent_changes(
            &Prefix::default(),
            &name("c.x"),
            &above,
            content,
            Overlap::Refuse,
        )
    };
    let address = rrset(Rtype::A, 60, &["192.0.2.1"]);
    let hosts = owners.iter();
    let hosts: Rrsets = hosts
        .map(|owner| ((owner.clone(), Rtype::A), address.clone()))
        .collect();
    changes(&hosts).expect("all of it is in the zone, too");
    let refused = changes(&Rrsets::new()).expect_err("refused");
    let Refusal::WouldHide { names, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(names.len(), owners.len());
}

#[test]
fn what_makes_no_sound_zone_does_not_move() {
    let mut above = above();
    above.rrsets = vec![(name("c.x"), read(Rtype::CNAME, &["y."], 30))];
    let own = content(&[("c.x", Rtype::NS, "ns.y.")]);
    let refused = plan_parent_changes(
        &Prefix::default(),
        &name("c.x"),
        &above,
        &own,
        Overlap::Move,
    );
    assert!(
        matches!(refused, Err(Refusal::CannotMove { .. })),
        "{refused:?}"
    );
    above.rrsets = vec![(name("a.c.x"), poisoned(Rtype::TXT, 30))];
    let refused = plan_parent_changes(
        &Prefix::default(),
        &name("c.x"),
        &above,
        &own,
        Overlap::Move,
    );
    assert!(matches!(refused, Err(Refusal::Stored(..))), "{refused:?}");
}

#[test]
fn a_parent_is_not_written_behind_its_children() {
    let children: BTreeSet<Name> = [name("c.x")].into();
    let sound = content(&[
        ("c.x", Rtype::NS, "ns.c.x."),
        ("ns.c.x", Rtype::A, "192.0.2.1"),
    ]);
    assert!(check_below(&name("x"), &children, &sound, None).is_ok());
    let mut hidden = sound;
    hidden.extend(content(&[("www.c.x", Rtype::A, "192.0.2.1")]));
    let refused = check_below(&name("x"), &children, &hidden, None);
    assert!(
        matches!(refused, Err(Refusal::Hidden { .. })),
        "{refused:?}"
    );
    // It was so before.
    assert!(check_below(&name("x"), &children, &hidden, Some(&hidden)).is_ok());
}
