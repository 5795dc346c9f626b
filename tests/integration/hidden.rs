//! A zone below another one hides what that has there: not by accident.

use domain::base::iana::Rtype;
use serde_json::{Value, json};
use tests::{Frontend, Nsctl, Single, TempDir, expect_at};

struct Site {
    etcd: Single,
    nsctl: Nsctl,
}

impl Site {
    /// A zone with two names below `sub`, one of them with two types.
    async fn start() -> Self {
        let etcd = Single::start().await;
        let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
        for command in [
            "zone add example.org --ns ns1.example.com",
            "add a.sub.example.org A 192.0.2.1",
            "add a.sub.example.org TXT a",
            "add b.sub.example.org A 192.0.2.2",
            "add www.example.org A 192.0.2.3",
        ] {
            nsctl.write(command).await;
        }
        Site { etcd, nsctl }
    }

    /// The records of a zone, and which of them are hidden.
    async fn listed(&self, zone: &str) -> Vec<String> {
        let listed = self.nsctl.ok(&format!("list --zone {zone}")).await;
        let line = |one: &Value| {
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_string();
            format!("{} {} {}", text("name"), text("type"), text("hidden_by"))
        };
        listed.as_array().into_iter().flatten().map(line).collect()
    }

    async fn refused(&self, command: &str) -> String {
        let before = self
            .etcd
            .etcdctl(&["get", "--prefix", "/ns/"])
            .expect("read");
        let refused = self.nsctl.run(command).await.expect(3);
        let after = self
            .etcd
            .etcdctl(&["get", "--prefix", "/ns/"])
            .expect("read");
        assert_eq!(before, after, "{command} wrote something");
        // Warnings may come before it.
        refused.stderr.lines().last().expect("a reason").to_string()
    }
}

const ADD: &str = "zone add sub.example.org --ns ns1.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_would_hide_records_is_refused_or_takes_them() {
    let site = Site::start().await;
    let told = site.refused(ADD).await;
    for words in [
        "2 names of example.org.",
        "a.sub.example.org.",
        "--move",
        "--force",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let mut frontend = Frontend::start("fe1", &[site.etcd.endpoint().into()], &[]).await;
    frontend.ready().await;

    site.nsctl.write(&format!("{ADD} --move --wait")).await;
    let parent = ["example.org. NS ", "www.example.org. A "];
    assert_eq!(site.listed("example.org").await, parent);
    let child = [
        "sub.example.org. NS ",
        "a.sub.example.org. A ",
        "a.sub.example.org. TXT ",
        "b.sub.example.org. A ",
    ];
    assert_eq!(site.listed("sub.example.org").await, child);
    let answer = ["b.sub.example.org. 300 A 192.0.2.2"];
    expect_at(&frontend, "b.sub.example.org", Rtype::A, "NOERROR", &answer).await;
    frontend.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_on_purpose_is_marked_and_comes_back() {
    let site = Site::start().await;
    site.nsctl.write(&format!("{ADD} --force")).await;
    let marked = [
        "example.org. NS ",
        "a.sub.example.org. A sub.example.org.",
        "a.sub.example.org. TXT sub.example.org.",
        "b.sub.example.org. A sub.example.org.",
        "www.example.org. A ",
    ];
    assert_eq!(site.listed("example.org").await, marked);
    for command in [
        "list",
        "list a.sub.example.org",
        "list sub.example.org --subtree",
    ] {
        let told = site.nsctl.run(command).await.expect(0).stdout;
        let line = told.lines().find(|line| line.contains("192.0.2.1"));
        let is_marked = line.is_some_and(|line| line.ends_with("  sub.example.org."));
        assert!(is_marked, "{command}: {told}");
    }
    let shown = site
        .nsctl
        .run("zone show example.org")
        .await
        .expect(0)
        .stdout;
    assert!(
        shown.contains("3 RRsets by the zone sub.example.org."),
        "{shown}"
    );

    // Behind the zone nothing is written by accident, but the delegation.
    for command in [
        "add c.sub.example.org A 192.0.2.4 --zone example.org",
        "set a.sub.example.org A 192.0.2.4 --zone example.org",
        "add ns.sub.example.org A 192.0.2.4 --zone example.org",
        "add sub.example.org TXT x --zone example.org",
    ] {
        let told = site.refused(command).await;
        assert!(
            told.contains("the zone sub.example.org. answers for"),
            "{told}"
        );
    }
    for command in [
        "add sub.example.org NS ns.sub.example.org --zone example.org",
        "add ns.sub.example.org A 192.0.2.4 --zone example.org",
        // The apex of the zone below may be its own name server.
        "add sub.example.org NS sub.example.org --zone example.org",
        "add sub.example.org A 192.0.2.5 --zone example.org",
        "remove sub.example.org A --zone example.org",
        "remove sub.example.org NS sub.example.org --zone example.org",
        "add c.sub.example.org A 192.0.2.4 --zone example.org --force",
        "remove a.sub.example.org TXT --zone example.org",
    ] {
        site.nsctl.write(command).await;
    }
    let removed = site
        .nsctl
        .run("zone remove sub.example.org")
        .await
        .expect(0);
    let told = "the records of example.org. at 3 names are answered again";
    assert!(removed.stdout.contains(told), "{removed:?}");
    assert!(
        site.listed("example.org")
            .await
            .iter()
            .all(|line| line.ends_with(' '))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_cannot_be_read_hides_records_all_the_same() {
    let site = Site::start().await;
    site.nsctl.write(&format!("{ADD} --force")).await;
    let shown = site.nsctl.ok("zone show example.org").await;
    let hidden = json!([{"zone": "sub.example.org.", "rrsets": 3}]);
    assert_eq!((&shown["hidden"], &shown["rrsets"]), (&hidden, &json!(5)));

    let key = "/ns/v1/zone/org.example.sub";
    site.etcd
        .etcdctl(&["put", key, "no JSON"])
        .expect("written");
    for command in [
        "list",
        "list --zone example.org",
        "list a.sub.example.org",
        "list sub.example.org --subtree",
        "list example.org --subtree",
        "list . --subtree",
    ] {
        let told = site.nsctl.run(command).await.expect(0);
        let line = told.stdout.lines().find(|line| line.contains("192.0.2.1"));
        let is_marked = line.is_some_and(|line| line.ends_with("  sub.example.org."));
        assert!(is_marked, "{command}: {told:?}");
    }
    // A name outside of the zone that is given is not in it.
    let none = site
        .nsctl
        .ok("list www.example.net --zone example.org")
        .await;
    assert_eq!(none, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_hides_nothing_by_accident() {
    let site = Site::start().await;
    let folder = TempDir::new();
    let file = |name: &str, records: &str| {
        let head = "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n@ NS ns1.example.com.\n";
        let file = folder.write(name, &format!("{head}{records}"));
        file.display().to_string()
    };
    // As many as no transaction takes.
    let hosts: String = (0..300).map(|n| format!("n{n} A 192.0.2.1\n")).collect();
    let child = file("child.zone", &hosts);
    let import = format!("zone import sub.example.org {child}");
    assert!(
        site.refused(&import)
            .await
            .contains("2 names of example.org.")
    );
    assert!(
        site.refused(&format!("{import} --dry-run"))
            .await
            .contains("2 names of example.org.")
    );
    let moved = site.nsctl.run(&format!("{import} --move")).await.expect(0);
    assert!(moved.stdout.contains("3 RRsets moved"), "{moved:?}");
    assert_eq!(
        site.listed("example.org").await,
        ["example.org. NS ", "www.example.org. A "]
    );
    assert_eq!(site.listed("sub.example.org").await.len(), 304);

    // The parent, with a delegation and with more than that.
    let delegation = "www A 192.0.2.3\nsub NS ns.sub\nns.sub A 192.0.2.4\n";
    let parent = file("parent.zone", delegation);
    let import = format!("zone import example.org {parent} --replace");
    site.nsctl.run(&import).await.expect(0);
    let below = file("below.zone", "www A 192.0.2.3\nx.sub A 192.0.2.4\n");
    for replace in ["", " --replace"] {
        let told = site
            .refused(&format!("zone import example.org {below}{replace}"))
            .await;
        assert!(
            told.contains("the zone sub.example.org. answers for 1 name"),
            "{told}"
        );
    }
    site.nsctl
        .run(&format!(
            "zone import example.org {below} --replace --force"
        ))
        .await
        .expect(0);
    let hidden = "x.sub.example.org. A sub.example.org.".to_string();
    assert!(site.listed("example.org").await.contains(&hidden));

    // A file that has all of it, too, hides nothing.
    site.nsctl.write("zone remove sub.example.org").await;
    let same = file("same.zone", "x A 192.0.2.4\n");
    site.nsctl
        .run(&format!("zone import sub.example.org {same}"))
        .await
        .expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_and_a_zone_at_the_same_time_do_not_hide_each_other() {
    let site = Site::start().await;
    for round in 0..15 {
        let zone = format!("r{round}.example.org");
        let add_zone = format!("zone add {zone} --ns ns1.example.com");
        let add = format!("add www.{zone} A 192.0.2.9 --zone example.org");
        let (zone_added, added) = tokio::join!(site.nsctl.run(&add_zone), site.nsctl.run(&add));
        // One of them is refused.
        let codes = [zone_added.code, added.code];
        assert!(
            codes == [0, 3] || codes == [3, 0],
            "{zone_added:?} {added:?}"
        );
    }
    assert!(
        site.listed("example.org")
            .await
            .iter()
            .all(|line| line.ends_with(' '))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_and_a_zone_below_at_the_same_time_do_not_hide_each_other() {
    let site = Site::start().await;
    let folder = TempDir::new();
    for round in 0..16 {
        let zone = format!("r{round}.example.org");
        let head = "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n@ NS ns1.example.com.\n";
        let file = folder.write("zone", &format!("{head}www.r{round} A 192.0.2.9\n"));
        let how = ["", "--replace"][round % 2];
        let import = format!("zone import example.org {} {how}", file.display());
        let add_zone = format!("zone add {zone} --ns ns1.example.com");
        let (zone_added, imported) =
            tokio::join!(site.nsctl.run(&add_zone), site.nsctl.run(&import));
        // One of them is refused.
        let codes = [zone_added.code, imported.code];
        assert!(
            codes == [0, 3] || codes == [3, 0],
            "{zone_added:?} {imported:?}"
        );
    }
    let listed = site.listed("example.org").await;
    assert!(listed.iter().all(|line| line.ends_with(' ')), "{listed:?}");
}
