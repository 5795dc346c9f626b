//! What makes everyday edits safe: dry runs, one step from an address to an alias, a question before a zone goes.

use std::process::Stdio;

use serde_json::{Value, json};
use tests::{Nsctl, Output, Single, TempDir};
use tokio::process::Command;

const ZONE: &str = "@ 300 SOA ns1 hostmaster 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n";

/// Commands that write, each of which would change something.
const WRITING: [&str; 15] = [
    "add new.example.org A 192.0.2.1",
    "add www.example.org A 192.0.2.9",
    "set www.example.org A 192.0.2.9",
    "set www.example.org A --ttl 5",
    "set www.example.org CNAME other.example.net --replace-all",
    "remove www.example.org A 192.0.2.1",
    "remove www.example.org",
    "zone add example.net --ns ns1.example.org",
    "zone set example.org --default-ttl 5 --refresh 7",
    "zone remove example.org",
    "zone remove example.org --yes --force",
    "zone import example.org {file}",
    "zone import example.org {file} --replace",
    "zone import example.com {file}",
    "zone raise-serials --count 5",
];

struct Site {
    etcd: Single,
    nsctl: Nsctl,
    file: String,
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let etcd = Single::start().await;
        let nsctl = Nsctl::new(&[etcd.endpoint().to_string()]);
        let folder = TempDir::new();
        let file = folder.write("zone", ZONE).display().to_string();
        for command in [
            "zone add example.org --ns ns1.example.net",
            "add www.example.org A 192.0.2.1 192.0.2.2",
            "add www.example.org TXT -all --ttl 60",
        ] {
            nsctl.write(command).await;
        }
        Site {
            etcd,
            nsctl,
            file,
            _folder: folder,
        }
    }

    fn revision(&self) -> i64 {
        self.etcd.revision()
    }

    /// Runs a command on a terminal, where this is typed: `script` makes one, and types what it reads.
    async fn on_terminal(&self, typed: &str, command: &str) -> Output {
        let shell = format!("echo {typed} | script -qec \"$0 $*\" /dev/null");
        let args: Vec<&str> = command.split(' ').collect();
        self.nsctl.run_from(&shell, Stdio::piped(), &args).await
    }

    async fn records(&self, name: &str) -> Vec<String> {
        let listed = self.nsctl.ok(&format!("list {name}")).await;
        let sets = listed.as_array().cloned().unwrap_or_default();
        let lines = sets.iter().flat_map(|set| {
            let (ttl, rtype) = (
                set["ttl"].to_string(),
                set["type"].as_str().unwrap_or_default(),
            );
            let rdata = set["rdata"].as_array().cloned().unwrap_or_default();
            let line = move |rdata: &Value| {
                format!("{ttl} {rtype} {}", rdata.as_str().unwrap_or_default())
            };
            rdata.iter().map(line).collect::<Vec<_>>()
        });
        lines.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_tried_told_and_asked_about() {
    let site = Site::start().await;
    content_that_no_server_can_serve_is_no_wrong_usage(&site).await;
    a_dry_run_writes_nothing(&site).await;
    a_dry_run_shows_what_becomes_of_zones(&site).await;
    a_ttl_changes_alone(&site).await;
    an_address_becomes_an_alias_in_one_step(&site).await;
    a_merge_says_that_it_keeps_the_soa(&site).await;
    if has_script().await {
        a_rollback_is_shown_and_asked_about(&site).await;
    }
    a_zone_is_shown_and_asked_about_before_it_goes(&site).await;
}

async fn content_that_no_server_can_serve_is_no_wrong_usage(site: &Site) {
    let folder = TempDir::new();
    let bad = folder.write("bad", &format!("{ZONE}www 300 A 192.0.2.256\n"));
    // Sound by itself, but not beside what is there.
    let clash = folder.write("clash", &format!("{ZONE}www 300 CNAME ns1\n"));
    let (bad, clash) = (bad.display(), clash.display());
    for command in [
        format!("zone check example.org {bad}"),
        format!("zone diff example.org {bad}"),
        format!("zone import example.org {bad}"),
        format!("zone import example.org {bad} --dry-run"),
        format!("zone import example.org {clash}"),
        format!("zone import example.org {clash} --dry-run"),
    ] {
        site.nsctl.run(&command).await.expect(3);
    }
}

async fn a_dry_run_writes_nothing(site: &Site) {
    let before = site.revision();
    for command in WRITING {
        let command = command.replace("{file}", &site.file);
        let output = site
            .nsctl
            .run(&format!("{command} --dry-run --wait"))
            .await
            .expect(0);
        assert!(
            output.stderr.ends_with("dry run: nothing was written\n"),
            "{output:?}"
        );
        assert!(!output.stdout.contains("revision"), "{output:?}");
        assert_eq!(site.revision(), before, "{command}");
    }
    // What would be is shown as what is.
    let remove = "remove www.example.org A 192.0.2.1 --dry-run";
    let output = site.nsctl.run(remove).await.expect(0);
    assert_eq!(output.stdout, "- www.example.org. 300 A 192.0.2.1\n");
    let set = "zone set example.org --default-ttl 5 --refresh 7 --dry-run";
    let output = site.nsctl.run(set).await.expect(0);
    assert_eq!(
        output.stdout,
        "~ SOA refresh: 3600 -> 7\n~ default TTL: 300 -> 5\n"
    );
    let json = site.nsctl.ok(remove).await;
    assert_eq!(
        (&json["changed"], &json["dry_run"]),
        (&json!(true), &json!(true)),
        "{json}"
    );
    // And what would be refused is refused.
    let clash = "add www.example.org CNAME other.example.net --dry-run";
    site.nsctl.run(clash).await.expect(3);
}

async fn a_dry_run_shows_what_becomes_of_zones(site: &Site) {
    site.nsctl.write("add a.sub.example.org A 192.0.2.7").await;
    let add = "zone add sub.example.org --ns ns1.example.com --dry-run";
    let import = format!("zone import sub.example.org {} --dry-run", site.file);
    let moved = "1 RRset would be moved here from the zone above\n";
    let added = format!(
        "+ sub.example.org. 3600 NS ns1.example.com.\n+ a.sub.example.org. 300 A 192.0.2.7\n\
         zone sub.example.org. would be added\n{moved}"
    );
    let imported = format!(
        "+ sub.example.org. 300 NS ns1.sub.example.org.\n+ a.sub.example.org. 300 A 192.0.2.7\n\
         + ns1.sub.example.org. 300 A 192.0.2.53\n{moved}"
    );
    for (command, expected) in [(add, added), (&import, imported)] {
        let command = format!("{command} --move");
        let output = site.nsctl.run(&command).await.expect(0);
        assert_eq!(output.stdout, expected, "{command}");
        let json = site.nsctl.ok(&command).await;
        assert_eq!(json["moved"], json!(1), "{json}");
        assert_eq!(json["dry_run"], json!(true), "{json}");
        let lines = expected.matches("+ ").count();
        assert_eq!(
            json["added"].as_array().map(Vec::len),
            Some(lines),
            "{json}"
        );
    }
    let remove = site.nsctl.run("zone remove example.org --dry-run").await;
    let told = &remove.expect(0).stdout;
    assert!(
        told.ends_with("\nzone example.org. would be removed\n"),
        "{told}"
    );

    // The records of the zone above are answered again, or would be.
    let hide = add.replace("--dry-run", "--force");
    site.nsctl.write(&hide).await;
    let remove = "zone remove sub.example.org";
    let tried = site.nsctl.run(&format!("{remove} --dry-run")).await;
    assert_eq!(
        tried.expect(0).stdout,
        "- sub.example.org. 3600 NS ns1.example.com.\nzone sub.example.org. would be removed\n\
         the records of example.org. at 1 name would be answered again\n"
    );
    site.nsctl.write(remove).await;
    site.nsctl.write("remove a.sub.example.org").await;

    // And where nothing would be done, that is told.
    let same = "add www.example.org A 192.0.2.1 --dry-run";
    let output = site.nsctl.run(same).await.expect(0);
    assert_eq!(output.stdout, "unchanged: already so\n");
}

async fn a_ttl_changes_alone(site: &Site) {
    site.nsctl.write("set www.example.org A --ttl 5").await;
    let expected = ["5 A 192.0.2.1", "5 A 192.0.2.2", "60 TXT \"-all\""];
    assert_eq!(site.records("www.example.org").await, expected);
    let again = site.nsctl.ok("set www.example.org A --ttl 5").await;
    assert_eq!(again["changed"], false, "{again}");
}

async fn an_address_becomes_an_alias_in_one_step(site: &Site) {
    let before = site.revision();
    let replace = "set www.example.org CNAME other.example.net --replace-all";
    let json = site.nsctl.ok(replace).await;
    assert_eq!(json["revision"], before + 1, "{json}");
    let removed = json["removed"].as_array().map(Vec::len);
    assert_eq!(removed, Some(3), "{json}");
    assert_eq!(
        site.records("www.example.org").await,
        ["300 CNAME other.example.net."]
    );
    let back = "set www.example.org A 192.0.2.1 --replace-all";
    site.nsctl.write(back).await;
    assert_eq!(site.records("www.example.org").await, ["300 A 192.0.2.1"]);
}

async fn a_merge_says_that_it_keeps_the_soa(site: &Site) {
    let import = format!("zone import example.org {}", site.file);
    let output = site.nsctl.run(&import).await.expect(0);
    let words = "the zone example.org. keeps its SOA record (mname ns1.example.net., not ns1.example.org.; ";
    assert!(output.stderr.contains(words), "{}", output.stderr);
    // There is nothing to say where nothing is left out.
    for import in [format!("{import} --replace"), import] {
        let output = site.nsctl.run(&import).await.expect(0);
        assert!(
            !output.stderr.contains("keeps its SOA"),
            "{}",
            output.stderr
        );
    }
}

async fn has_script() -> bool {
    let version = Command::new("script").arg("--version").output().await;
    if version.is_err() {
        tests::skipped!("there is no such program as script: questions on a terminal");
    }
    version.is_ok()
}

async fn a_rollback_is_shown_and_asked_about(site: &Site) {
    site.nsctl.write("add www.example.org A 192.0.2.1").await;
    for (more, answer, is_done) in [
        ("", "n", false),
        ("", "", false),
        ("", "y", true),
        (" --yes", "n", true),
    ] {
        let newest = site.nsctl.ok("history --zone example.org --limit 1").await;
        let target = &newest[0]["revision"];
        let set = "set www.example.org A 192.0.2.77 --replace-all";
        let revision = site.nsctl.write(set).await;
        let rollback = format!("zone rollback example.org --to {target}{more}");
        let output = site.on_terminal(answer, &rollback).await;
        let told = &output.stdout;
        let question = format!("Make example.org. what it was at revision {target}? [y/N]");
        assert_eq!(told.contains(&question), more.is_empty(), "{output:?}");
        assert_eq!(told.contains("[y/N]"), more.is_empty(), "{output:?}");
        for line in [
            "- www.example.org. 300 A 192.0.2.77",
            "+ www.example.org. 300 A 192.0.2.1",
        ] {
            assert!(told.contains(line), "{output:?}");
        }
        assert_eq!(output.code, i32::from(!is_done), "{output:?}");
        assert_eq!(told.contains("nothing was written"), !is_done, "{output:?}");
        assert_eq!(site.revision() != revision, is_done, "{output:?}");
        if !is_done {
            site.nsctl.write(&rollback).await;
        }
        assert_eq!(site.records("www.example.org").await, ["300 A 192.0.2.1"]);
    }
    site.nsctl.write("remove www.example.org").await;
}

async fn a_zone_is_shown_and_asked_about_before_it_goes(site: &Site) {
    for number in 0..12 {
        let add = format!("add a{number}.example.org A 192.0.2.{number}");
        site.nsctl.write(&add).await;
    }
    let has_script = has_script().await;
    for (answer, is_done) in [("n", false), ("", false), ("y", true)] {
        if !has_script {
            continue;
        }
        let before = site.revision();
        let output = site.on_terminal(answer, "zone remove example.org").await;
        let told = &output.stdout;
        assert!(
            told.contains("Remove the zone example.org. with 14 RRsets? [y/N]"),
            "{output:?}"
        );
        assert!(
            told.contains("- a0.example.org. 300 A 192.0.2.0"),
            "{output:?}"
        );
        assert!(told.contains("- and 4 RRsets more"), "{output:?}");
        assert_eq!(
            told.contains("zone example.org. removed"),
            is_done,
            "{output:?}"
        );
        assert_eq!(told.contains("nothing was removed"), !is_done, "{output:?}");
        assert_eq!(site.revision() != before, is_done, "{output:?}");
    }
    // Elsewhere it does as it is told, and says what went.
    let import = format!("zone import example.org {} --replace", site.file);
    site.nsctl.run(&import).await.expect(0);
    let output = site.nsctl.run("zone remove example.org").await.expect(0);
    let expected = "- example.org. 300 NS ns1.example.org.\n- ns1.example.org. 300 A 192.0.2.53\n\
                    zone example.org. removed, revision ";
    assert!(output.stdout.starts_with(expected), "{}", output.stdout);
    site.nsctl.run("zone remove example.org").await.expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_edited_as_a_file() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    nsctl
        .write("zone add example.org --ns ns1.example.net")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    nsctl.write("add mail.example.org A 192.0.2.1").await;
    nsctl.write("add old.example.org TXT -all").await;
    let edit = async |editor: &str, code: i32| nsctl.edit("example.org", editor).await.expect(code);
    let before = nsctl.ok("history").await;
    let told = edit("sed -i -e s/192.0.2.1$/192.0.2.2/ -e /TXT/d", 0).await;
    for line in [
        "- www.example.org. 300 A 192.0.2.1",
        "+ www.example.org. 300 A 192.0.2.2",
        "+ mail.example.org. 300 A 192.0.2.2",
        "- old.example.org. 300 TXT \"-all\"",
    ] {
        assert!(told.stdout.contains(line), "{told:?}");
    }
    // All of it is one change.
    let after = nsctl.ok("history").await;
    let after = after.as_array().expect("a list");
    assert_eq!(Some(&after[1..]), before.as_array().map(Vec::as_slice));
    let changed = after[0]["changes"].as_array().expect("changes");
    assert_eq!(
        (&after[0]["via"], changed.len()),
        (&json!("nsctl zone edit"), 3)
    );
    let told = edit("true", 0).await;
    assert!(
        told.stdout
            .starts_with("unchanged: the file was not edited"),
        "{told:?}"
    );
    edit("false", 1).await;
    // Others change the zone meanwhile; or it would be none.
    let program = tests::binary("nsctl").display().to_string();
    let meanwhile = format!(
        "{program} --endpoints {} add other.example.org A 192.0.2.9 >/dev/null; sed -i s/192.0.2.2$/192.0.2.3/",
        etcd.endpoint()
    );
    for (editor, complaint) in [
        (&*meanwhile, "has changed since"),
        ("sed -i /NS/d", "1 error in"),
    ] {
        let told = edit(editor, 3).await;
        assert!(told.stderr.contains(complaint), "{told:?}");
        let kept = told
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("nsctl: the edited file is kept: "));
        let kept = kept.expect("it is told where the file is");
        assert!(
            std::fs::read_to_string(kept)
                .expect("it is there")
                .contains("SOA")
        );
        std::fs::remove_file(kept).expect("it is there");
    }
    let told = nsctl.run("list www.example.org").await.expect(0).stdout;
    assert!(told.contains("192.0.2.2"), "{told}");
}
