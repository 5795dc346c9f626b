//! `ferret-invalid.jsonl.gz`: zones that break one rule each.

use std::collections::{BTreeMap, BTreeSet};

use etcd::model::zonefile::FileFinding;

use crate::ferret::{cases, origin, text};
use crate::zones;

/// A class of zones, each of which breaks a condition of a valid zone in the paper.
struct Class {
    name: &'static str,
    /// Words of the faults that are to be named: of one of them.
    words: &'static [&'static str],
    /// Name servers load such a zone, so a warning will do.
    is_warning_enough: bool,
}

const fn class(
    name: &'static str,
    is_warning_enough: bool,
    words: &'static [&'static str],
) -> Class {
    Class {
        name,
        words,
        is_warning_enough,
    }
}

const OUTSIDE: &str = "is outside of the zone";
const TWO_CNAMES: &str = "a name has one CNAME record at most";

const CLASSES: &[Class] = &[
    class("FalseCond_1", true, &["is there twice with the same rdata"]),
    class(
        "FalseCond_2",
        true,
        &["the SOA record is there twice", OUTSIDE],
    ),
    // Such records are left out, as BIND does.
    class("FalseCond_3", true, &[OUTSIDE]),
    class(
        "FalseCond_4",
        false,
        &[
            "a CNAME stands alone",
            "a CNAME cannot stand beside it",
            TWO_CNAMES,
        ],
    ),
    class(
        "FalseCond_5",
        false,
        &["a name has one DNAME record at most", TWO_CNAMES],
    ),
    class(
        "FalseCond_6",
        false,
        &["cannot have a DNAME record and NS records"],
    ),
    class("FalseCond_7", false, &["is below the DNAME record of"]),
    class("FalseCond_8", true, &["is below the zone cut"]),
    class(
        "FalseCond_9",
        true,
        &[
            "whose glue is missing",
            "which is below a zone cut and has no glue",
            "has no address",
            "(RFC 2181, 10.3)",
        ],
    ),
];

#[test]
fn every_fault_is_named() {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missing = Vec::new();
    for case in &cases("ferret-invalid.jsonl.gz") {
        let zone = text(case, "zone");
        let class = CLASSES.iter().find(|class| class.name == case["class"]);
        let class = class.unwrap_or_else(|| panic!("an unknown class: {case}"));
        let (is_refused, found) = match zones::check(&origin(zone), zone) {
            Ok(checked) => (false, checked.warnings),
            Err(faults) => (true, faults),
        };
        if is_flawless(class, zone) {
            assert!(!is_refused, "{case}: {found:?}");
        } else if is_named(class, &found) && (is_refused || class.is_warning_enough) {
            *named.entry(class.name).or_default() += 1;
        } else {
            let found: Vec<String> = found.iter().map(FileFinding::to_string).collect();
            missing.push(format!("{} {}: {found:?}\n{zone}", class.name, case["id"]));
        }
    }
    println!("faults are named: {named:?}");
    let count = missing.len();
    assert!(count == 0, "{count} are not named\n{}", missing.join("\n"));
}

/// Some duplicates of the model got addresses of their own when it was made a zone, or were lost.
fn is_flawless(class: &Class, zone: &str) -> bool {
    let mut lines = BTreeSet::new();
    class.name == "FalseCond_1"
        && zone
            .lines()
            .all(|line| lines.insert(line) || line.is_empty())
}

fn is_named(class: &Class, found: &[FileFinding]) -> bool {
    let is_it = |fault: &FileFinding| class.words.iter().any(|words| fault.reason.contains(words));
    found.iter().any(is_it)
}

#[test]
fn no_valid_zone_is_refused() {
    let cases = cases("ferret-valid.jsonl.gz");
    let zones: BTreeSet<&str> = cases.iter().map(|case| text(case, "zone")).collect();
    for zone in &zones {
        if let Err(faults) = zones::check(&origin(zone), zone) {
            panic!("{zone}{faults:#?}");
        }
    }
    println!("accepted: {} zones", zones.len());
}
