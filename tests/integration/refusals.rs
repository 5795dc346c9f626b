//! What bad input gets: one line on standard error that says what and why, an exit code, and nothing
//! written.

use tests::{Cluster, Nsctl, TempDir};

/// A command that is refused: its exit code, and words that the complaint has.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str]);

const USAGE: i32 = 2;
const UNMET: i32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_and_writes_nothing() {
    let cluster = Cluster::start(3, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    for command in [
        "zone add example.org --ns ns1.example.org",
        "add www.example.org A 192.0.2.1",
        "add alias.example.org CNAME www.example.org.",
    ] {
        nsctl.write(command).await;
    }
    let before = cluster.revision().await;
    let mut faults = Vec::new();
    let folder = TempDir::new();
    let files = bad_files(&folder);
    let files: Vec<Case<'_>> = files
        .iter()
        .map(|(args, words)| (args.as_slice(), UNMET_OR_USAGE, words.as_slice()))
        .collect();
    for (args, code, words) in records().iter().chain(&zones()).chain(&files) {
        faults.extend(refuse(&nsctl, args, *code, words).await.err());
        let after = cluster.revision().await;
        if after != before {
            faults.push(format!(
                "{args:?}: it wrote something: revision {before} -> {after}"
            ));
            break;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Either will do.
const UNMET_OR_USAGE: i32 = -1;

async fn refuse(nsctl: &Nsctl, args: &[&str], code: i32, words: &[&str]) -> Result<(), String> {
    let output = nsctl.run_args(args).await;
    let told = |fault: &str| {
        Err(format!(
            "{}: {fault}: exit {}, {:?}",
            output.command, output.code, output.stderr
        ))
    };
    let right = if code == UNMET_OR_USAGE {
        [USAGE, UNMET].contains(&output.code)
    } else {
        output.code == code
    };
    if !right {
        return told(&format!("not exit {code}"));
    }
    if output.stderr.lines().count() != 1 {
        return told("not one line on standard error");
    }
    if !output.stdout.is_empty() {
        return told(&format!(
            "something on standard output: {:?}",
            output.stdout
        ));
    }
    match words.iter().find(|word| !output.stderr.contains(**word)) {
        Some(word) => told(&format!("it does not say '{word}'")),
        None => Ok(()),
    }
}

fn records() -> Vec<Case<'static>> {
    const LABEL: &str =
        "a23456789012345678901234567890123456789012345678901234567890bcde.example.org";
    const NAME: &str = "a2345678901234567890123456789012345678901234567890.\
                        a2345678901234567890123456789012345678901234567890.\
                        a2345678901234567890123456789012345678901234567890.\
                        a2345678901234567890123456789012345678901234567890.\
                        a2345678901234567890123456789012345678901234567890.example.org";
    vec![
        (
            &["add", "www..example.org", "A", "192.0.2.1"],
            USAGE,
            &["www..example.org"],
        ),
        (&["add", LABEL, "A", "192.0.2.1"], USAGE, &["63"]),
        (&["add", NAME, "A", "192.0.2.1"], USAGE, &["255"]),
        (
            &["add", "www.example.org", "NOTYPE", "x"],
            USAGE,
            &["NOTYPE"],
        ),
        (
            &["add", "www.example.org", "A", "192.0.2.256"],
            USAGE,
            &["192.0.2.256"],
        ),
        (
            &["add", "www.example.org", "AAAA", "192.0.2.1"],
            USAGE,
            &["192.0.2.1"],
        ),
        (
            &["add", "www.example.org", "MX", "ten mail.example.org."],
            USAGE,
            &["ten"],
        ),
        (
            &["add", "www.example.org", "TYPE65280", "\\# 2 AB"],
            USAGE,
            &["\\# 2 AB"],
        ),
        (
            &[
                "add",
                "www.example.org",
                "A",
                "192.0.2.2",
                "--ttl",
                "2147483648",
            ],
            USAGE,
            &["2147483648"],
        ),
        (
            &["add", "www.example.org", "A", "192.0.2.2", "--ttl", "-1"],
            USAGE,
            &["-1"],
        ),
        (
            &["add", "www.example.org", "A", "192.0.2.2", "--ttl", "soon"],
            USAGE,
            &["soon"],
        ),
        (&["set", "www.example.org", "A"], USAGE, &["RDATA"]),
        (&["add", "www.example.org", "A"], USAGE, &["RDATA"]),
        (&["add", "www.example.org", "A", ""], USAGE, &["''"]),
        (&["add", "www.example.org", "ANY", "x"], USAGE, &["ANY"]),
        (&["add", "www.example.org", "OPT", "x"], USAGE, &["OPT"]),
        (
            &["add", "example.org", "SOA", "a. b. 1 2 3 4 5"],
            USAGE,
            &["SOA"],
        ),
        (
            &["add", "www.example.net", "A", "192.0.2.1"],
            UNMET,
            &["www.example.net.", "no zone"],
        ),
        (
            &["remove", "www.example.net", "A"],
            UNMET,
            &["www.example.net.", "no zone"],
        ),
        (
            &["add", "www.example.org", "CNAME", "alias.example.org."],
            UNMET,
            &["www.example.org.", "CNAME"],
        ),
        (
            &["set", "www.example.org", "CNAME", "alias.example.org."],
            UNMET,
            &["www.example.org.", "CNAME"],
        ),
        (
            &["add", "alias.example.org", "A", "192.0.2.1"],
            UNMET,
            &["alias.example.org.", "CNAME"],
        ),
        (
            &["add", "alias.example.org", "CNAME", "other.example.org."],
            UNMET,
            &["alias.example.org.", "CNAME"],
        ),
        (
            &[
                "add",
                "new.example.org",
                "CNAME",
                "a.example.org.",
                "b.example.org.",
            ],
            USAGE,
            &["CNAME"],
        ),
        (
            &["add", "example.org", "CNAME", "www.example.org."],
            UNMET,
            &["example.org.", "CNAME"],
        ),
        (&["remove", "example.org", "NS"], UNMET, &["NS"]),
    ]
}

fn zones() -> Vec<Case<'static>> {
    vec![
        (
            &["zone", "add", "example.org", "--ns", "ns1.example.org"],
            UNMET,
            &["example.org.", "exists"],
        ),
        (&["zone", "add", "example.net"], USAGE, &["--ns"]),
        (
            &["zone", "add", "bad..example", "--ns", "ns1.example.org"],
            USAGE,
            &["bad..example"],
        ),
        (&["zone", "show", "example.net"], UNMET, &["example.net."]),
        (&["zone", "remove", "example.net"], UNMET, &["example.net."]),
        (&["zone", "export", "example.net"], UNMET, &["example.net."]),
        (
            &["zone", "import", "example.net", "/no/such/file"],
            1,
            &["/no/such/file"],
        ),
        (&["frobnicate"], USAGE, &["frobnicate"]),
        (&["list", "--type", "NOTYPE"], USAGE, &["NOTYPE"]),
        (&["--endpoints", "ftp://x:1", "list"], USAGE, &["ftp"]),
    ]
}

/// Zone files with a fault, and what the complaint names: the line, above all.
fn bad_files(folder: &TempDir) -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    const HEAD: &str = "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 5\n@ NS ns1\n";
    let files = [
        ("rdata", "www A 192.0.2.256\n", ":4"),
        ("outside", "www.example.net. A 192.0.2.1\n", ":4"),
        ("cname", "www A 192.0.2.1\nwww CNAME @\n", "CNAME"),
        ("ttl", "www 2147483648 A 192.0.2.1\n", ":4"),
    ];
    let cases = files.map(|(name, lines, word)| {
        let path = folder
            .write(name, &format!("{HEAD}{lines}"))
            .display()
            .to_string();
        (
            vec!["zone", "import", "example.net", &*path.leak()],
            vec![name, word],
        )
    });
    cases.into()
}
