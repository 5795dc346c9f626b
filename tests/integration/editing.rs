//! What makes everyday edits safe: dry runs, one step from an address to an alias, a question before a zone goes.

use std::process::Stdio;

use serde_json::{Value, json};
use tests::{Nsctl, Single, TempDir};
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

    fn revision(&self) -> String {
        let told = self.etcd.etcdctl(&["get", "/none", "-w", "json"]);
        let told: Value = serde_json::from_str(&told.expect("etcd answers")).expect("JSON");
        told["header"]["revision"].to_string()
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
    let before: i64 = site.revision().parse().expect("a number");
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

async fn a_zone_is_shown_and_asked_about_before_it_goes(site: &Site) {
    for number in 0..12 {
        let add = format!("add a{number}.example.org A 192.0.2.{number}");
        site.nsctl.write(&add).await;
    }
    // On a terminal: `script` makes one, and types what it reads.
    let has_script = Command::new("script")
        .arg("--version")
        .output()
        .await
        .is_ok();
    if !has_script {
        tests::skipped!("there is no such program as script: a question on a terminal");
    }
    for (answer, is_done) in [("n", false), ("", false), ("y", true)] {
        if !has_script {
            continue;
        }
        let before = site.revision();
        let shell = format!("echo {answer} | script -qec \"$0 $*\" /dev/null");
        let args = ["zone", "remove", "example.org"];
        let output = site.nsctl.run_from(&shell, Stdio::piped(), &args).await;
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
    let edit = async |editor: &str, code: i32| {
        let shell = format!("EDITOR='{editor}' VISUAL= exec \"$0\" \"$@\"");
        let args = ["zone", "edit", "example.org"];
        let told = nsctl.run_from(&shell, Stdio::piped(), &args).await;
        told.expect(code)
    };
    let told = edit("sed -i s/192.0.2.1$/192.0.2.2/", 0).await;
    for line in [
        "- www.example.org. 300 A 192.0.2.1",
        "+ www.example.org. 300 A 192.0.2.2",
    ] {
        assert!(told.stdout.contains(line), "{told:?}");
    }
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
