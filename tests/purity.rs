//! The rooms of the house: which folder may use which. The pure ones stay pure: no runtime, no sockets, no files, no
//! clock; and what answers questions does not know of etcd. The paths that documents name exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A room, and the others that it may use.
type Room = (&'static str, &'static [&'static str]);

/// Each room of each crate, and the others that it may use. A room is a folder in `src`, or a file beside them; each
/// stands above all that it uses, so that there is no circle. Those without a line are not there. A folder in a room
/// may be a room of its own, as `client/read`.
const ROOMS: &[(&str, &[Room])] = &[
    (
        "etcd",
        &[
            ("model", &[]),
            ("schema", &["model"]),
            ("txn", &["model", "schema"]),
            ("mirror", &["schema"]),
            ("client/connect", &["mirror", "schema"]),
            (
                "client/read",
                &["client/connect", "mirror", "model", "schema", "txn"],
            ),
            (
                "client/write",
                &[
                    "client/connect",
                    "client/read",
                    "mirror",
                    "model",
                    "schema",
                    "txn",
                ],
            ),
            (
                "client/watch",
                &[
                    "client/connect",
                    "client/read",
                    "mirror",
                    "model",
                    "schema",
                    "txn",
                ],
            ),
            ("client/lease", &["client/connect", "txn"]),
            (
                "client/registration",
                &["client/connect", "client/lease", "schema", "txn"],
            ),
            (
                "client/announcement",
                &["client/connect", "client/lease", "client/write", "txn"],
            ),
            (
                "client",
                &[
                    "client/announcement",
                    "client/connect",
                    "client/read",
                    "client/registration",
                    "client/watch",
                    "client/write",
                ],
            ),
            ("options", &["client", "schema"]),
            ("lib", &[]),
        ],
    ),
    (
        "nsd",
        &[
            ("policy", &["model"]),
            ("zone", &["model", "policy"]),
            ("message", &["model", "zone"]),
            ("memory", &[]),
            ("supervisor", &[]),
            ("served", &["memory", "model", "supervisor", "zone"]),
            ("metrics", &["served", "zone"]),
            (
                "answer",
                &[
                    "message",
                    "metrics",
                    "model",
                    "policy",
                    "served",
                    "supervisor",
                    "zone",
                ],
            ),
            (
                "server",
                &["answer", "message", "metrics", "supervisor", "zone"],
            ),
            (
                "mirror",
                &["memory", "model", "policy", "served", "supervisor", "zone"],
            ),
            ("config", &["mirror", "model", "policy", "server"]),
            ("fleet", &["config", "served"]),
            (
                "admin",
                &[
                    "answer", "fleet", "metrics", "mirror", "model", "served", "zone",
                ],
            ),
            (
                "run",
                &[
                    "admin",
                    "answer",
                    "config",
                    "fleet",
                    "metrics",
                    "mirror",
                    "policy",
                    "served",
                    "server",
                    "supervisor",
                ],
            ),
            ("dev", &["config", "model", "run", "server"]),
            ("lib", &[]),
            ("main", &[]),
        ],
    ),
    (
        "nsctl",
        &[
            ("error", &[]),
            ("rdata", &["error"]),
            ("output", &["error"]),
            ("frontends", &["error", "output"]),
            ("arguments", &["error", "frontends", "output"]),
            ("context", &["arguments", "error", "frontends", "output"]),
            (
                "command",
                &[
                    "arguments",
                    "context",
                    "error",
                    "frontends",
                    "output",
                    "rdata",
                ],
            ),
            ("lib", &[]),
            ("main", &[]),
        ],
    ),
];

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
        "nsd/src/policy",
        &["tokio", "std::net", "std::fs", "::now()", "etcd::"],
    ),
    (
        "nsd/src/zone",
        &["tokio", "std::net", "std::fs", "::now()", "etcd::"],
    ),
    (
        "nsd/src/message",
        &["tokio", "std::net", "std::fs", "::now()", "etcd::"],
    ),
    (
        "nsd/src/answer",
        &[
            "std::fs",
            "UdpSocket",
            "TcpListener",
            "TcpStream",
            "etcd::",
            "etcd_client",
        ],
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

/// The sources of a room without their unit tests and comments.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("source text");
    let product = text.split("#[cfg(test)]\nmod tests {").next();
    let lines = product.unwrap_or_default().lines();
    lines
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms after each `crate::`, as `a` or `a/b`, also those of a list in braces.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_string()
    };
    let room = |text: &str| -> String {
        let first = word(text.trim_start());
        let rest = text.trim_start()[first.len()..].strip_prefix("::");
        match rest.map(word) {
            Some(second) if second.starts_with(char::is_lowercase) => format!("{first}/{second}"),
            _ => first,
        }
    };
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(room(rest));
            continue;
        };
        let (mut depth, mut item) = (1, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.insert(room(&list[item..at]));
                item = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Whether code in a file so many folders below `src` leaves its room by `super::`.
fn leaves_by_super(code: &str, depth: usize) -> bool {
    let steps = |path: &str| {
        path.split("super::")
            .take_while(|before| before.is_empty())
            .count()
    };
    code.match_indices("super::")
        .any(|(at, _)| steps(&code[at..]) > depth)
}

#[test]
fn names_are_found() {
    let code = "use crate::a::{x, y};\nuse crate::{b, c::{d, e}, f};\nlet x = crate::g(1);";
    let found: Vec<String> = rooms_named(code).into_iter().collect();
    assert_eq!(found, ["a", "b", "c", "f", "g"]);
    let found = rooms_named("use crate::a::b::C; use crate::{d::e, f::G};");
    assert_eq!(Vec::from_iter(found), ["a/b", "d/e", "f"]);
    assert!(rooms_named("use crate::*;").contains(""));
    assert!(!leaves_by_super("use super::a;", 1));
    assert!(leaves_by_super("use super::super::a;", 1));
}

/// The room that a path is in: that of its first two parts if there is one, otherwise that of its first.
fn room_of(path: &str, rooms: &BTreeMap<&str, &[&str]>) -> String {
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let inner = parts.next().map(|second| format!("{first}/{second}"));
    inner
        .filter(|inner| rooms.contains_key(inner.as_str()))
        .unwrap_or_else(|| first.to_string())
}

#[test]
fn each_room_uses_only_those_below() {
    let mut offences = Vec::new();
    for (package, rooms) in ROOMS {
        let src = root().join(package).join("src");
        let mut above = BTreeSet::new();
        let allowed: BTreeMap<_, _> = rooms.iter().copied().collect();
        for (room, uses) in *rooms {
            let missing = uses
                .iter()
                .find(|used| !above.contains(*used) && **used != "model");
            assert_eq!(
                missing, None,
                "{package}: {room} is listed before what it uses"
            );
            above.insert(room);
        }
        let mut files = Vec::new();
        sources(&src, &mut files);
        for file in files {
            let inside = file.strip_prefix(&src).expect("it was found there");
            let path = inside.to_string_lossy().replace(".rs", "");
            let room = room_of(&path, &allowed);
            let Some(uses) = allowed.get(room.as_str()) else {
                offences.push(format!("{package}: there is no room {room}"));
                continue;
            };
            let named = rooms_named(&code(&file));
            let named = named.iter().map(|name| room_of(name, &allowed));
            let wrong = named.filter(|name| *name != room && !uses.contains(&name.as_str()));
            offences.extend(wrong.map(|name| format!("{}: crate::{name}", file.display())));
            // `src/a.rs` is in the crate itself, `src/a/b.rs` in `a`; a `mod.rs` is its folder.
            let folders = inside.components().count() - 1;
            let of_room = usize::from(room.contains('/'));
            let depth = folders - usize::from(inside.ends_with("mod.rs")) - of_room;
            if leaves_by_super(&code(&file), depth) {
                offences.push(format!("{}: super:: leaves the room", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// How many lines a file of product code may have. How long a function may be, `.clippy.toml` says.
const LINES_MAX: usize = 500;

#[test]
fn no_file_is_too_long() {
    let mut offences = Vec::new();
    for (package, _) in ROOMS {
        let mut files = Vec::new();
        sources(&root().join(package).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("source text");
            let lines = text.lines().count();
            if lines > LINES_MAX {
                offences.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// The features that packages may have: they leave parts out, and change nothing about those that are there.
const FEATURES: &[&str] = &["default", "client", "daemon", "options"];

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

/// All that is in the workspace, as paths from its root.
fn everything(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if name == "target" || name == ".git" {
            continue;
        }
        found.push(path.strip_prefix(root()).expect("it is below").to_owned());
        if path.is_dir() && !path.is_symlink() {
            everything(&path, found);
        }
    }
}

/// The paths of the workspace that a document has between backticks. Fenced blocks also have those of other places.
fn paths_named(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    spans
        .flat_map(str::split_whitespace)
        .filter(|word| !word.starts_with('/') && !word.contains([':', '<', '@', '=']))
        .filter(|word| word.contains('/') || word.ends_with(".rs") || word.ends_with(".md"))
        .collect()
}

#[test]
fn paths_in_documents_are_found() {
    let text = "`a/b.rs`, `sh c/d x` and `e.md`\n```sh\nf/g `h.rs`\n```\n`/status` `http://i/` `j/<k>` `l`";
    assert_eq!(paths_named(text), ["a/b.rs", "c/d", "e.md"]);
}

/// A path may leave out the folders that it begins with, as in `zone/trie.rs`.
#[test]
fn paths_in_documents_exist() {
    let root = root();
    let mut all = Vec::new();
    everything(root, &mut all);
    let documents = all.iter().filter(|path| {
        let is_of_deploy = path.starts_with("deploy");
        let is_at_top = path.components().count() == 1;
        (is_at_top || is_of_deploy) && path.extension().is_some_and(|extension| extension == "md")
    });
    let mut missing = Vec::new();
    let mut read = 0;
    for document in documents {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        for named in paths_named(&text) {
            read += 1;
            if !all.iter().any(|path| path.ends_with(named)) {
                missing.push(format!("{}: {named}", document.display()));
            }
        }
    }
    assert!(read > 20, "only {read} paths were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
