//! The pure folders stay pure: no runtime, no sockets, no files, no clock; and what answers questions does
//! not know of etcd.

use std::path::{Path, PathBuf};

/// Folders and what their sources must not name.
const RULES: &[(&str, &[&str])] = &[
    (
        "etcd/src/model",
        &["tokio", "std::net", "std::fs", "::now()", "etcd_client"],
    ),
    (
        "etcd/src/schema",
        &["tokio", "std::net", "std::fs", "::now()", "etcd_client"],
    ),
    (
        "etcd/src/txn",
        &["tokio", "std::net", "std::fs", "::now()", "etcd_client"],
    ),
    (
        "etcd/src/mirror",
        &["tokio", "std::net", "std::fs", "::now()", "etcd_client"],
    ),
    (
        "nsd/src/zone",
        &["tokio", "std::net", "std::fs", "::now()", "etcd::"],
    ),
    (
        "nsd/src/message",
        &["tokio", "std::net", "std::fs", "::now()", "etcd::"],
    ),
    ("nsd/src/server", &["etcd::", "etcd_client"]),
    (
        "tests/src/history",
        &["tokio", "std::net", "std::fs", "::now()", "etcd"],
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        // Tests turn their own clocks.
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

/// The features that packages may have: they leave parts out, and change nothing about those that are there.
const FEATURES: &[&str] = &["default", "client", "daemon"];

/// `cargo build --all-features` makes the programs that users run: no feature may change what they promise.
#[test]
fn features_only_leave_parts_out() {
    let root = root();
    for (package, programs) in [("etcd", 0), ("nsd", 1), ("nsctl", 0)] {
        let manifest = std::fs::read_to_string(root.join(package).join("Cargo.toml"));
        let manifest = manifest.expect("a manifest");
        let mut section = "";
        for line in manifest.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
            } else if let Some((key, _)) = line.split_once(" = ")
                && section == "[features]"
            {
                assert!(FEATURES.contains(&key), "{package} has the feature {key}");
            }
        }
        let found = manifest.matches("[[bin]]").count();
        assert_eq!(found, programs, "{package} has another program");
        let mut files = Vec::new();
        sources(&root.join(package).join("src"), &mut files);
        assert!(!files.is_empty(), "{package} has no sources");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("source text");
            assert!(!text.contains("cfg!("), "{}: cfg!", file.display());
        }
    }
}

#[test]
fn pure_folders_stay_pure() {
    let root = root();
    let mut offences = Vec::new();
    let mut read = 0;
    for (folder, words) in RULES {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        read += files.len();
        for file in files {
            let text = std::fs::read_to_string(&file).expect("source text");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let named = words.iter().filter(|word| code.contains(**word));
                offences
                    .extend(named.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
            }
        }
    }
    assert!(read > 20, "only {read} sources were found");
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}
