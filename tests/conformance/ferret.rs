//! The Ferret data set (Kakarla and others, "SCALE: Automatically Finding RFC Compliance Bugs in DNS
//! Nameservers", NSDI 2022), in `../shared` beside the repository.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use etcd::model::Name;
use flate2::read::GzDecoder;
use serde_json::Value;

/// The cases of a file, or a line that says that it is missing.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let path = folder.join(file);
    let Ok(file) = File::open(&path) else {
        tests::skipped!("it is not there: {}", path.display());
        return Vec::new();
    };
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// The name of a zone, which is the owner of its SOA record.
pub(crate) fn origin(zone: &str) -> Name {
    let is_soa = |line: &&str| line.split_whitespace().any(|word| word == "SOA");
    let line = zone.lines().find(is_soa).expect("an SOA record");
    let owner = line.split_whitespace().next().unwrap();
    owner.parse().expect(owner)
}

/// A text of a case.
pub(crate) fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {value}"))
}
