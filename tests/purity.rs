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

#[test]
fn pure_folders_stay_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
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
