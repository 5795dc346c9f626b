//! `export`, edit, `import --replace`: no change of others is lost, and little is written for little.

use std::fs;

use tests::{Nsctl, Single, TempDir};

const NAMES: usize = 2_000;

struct Site {
    etcd: Single,
    nsctl: Nsctl,
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let etcd = Single::start().await;
        let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
        let folder = TempDir::new();
        let head = "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n@ NS ns1.example.com.\n";
        let hosts: String = (0..NAMES).map(|n| format!("n{n} A 192.0.2.1\n")).collect();
        let file = folder.write("first.zone", &format!("{head}{hosts}"));
        let import = format!("zone import example.org {} --replace", file.display());
        nsctl.run(&import).await.expect(0);
        Site {
            etcd,
            nsctl,
            folder,
        }
    }

    /// Exports the zone, and gives the path of the file with another address for `n7`.
    async fn edited(&self, address: &str) -> String {
        let exported = self
            .nsctl
            .run("zone export example.org")
            .await
            .expect(0)
            .stdout;
        let edited = exported.replace(
            "n7.example.org. 300 IN A 192.0.2.1\n",
            &format!("n7.example.org. 300 IN A {address}\n"),
        );
        assert_ne!(exported, edited);
        let file = self.folder.write("edited.zone", &edited);
        file.display().to_string()
    }

    fn keys(&self) -> Vec<String> {
        let options = ["get", "--prefix", "--keys-only", "/ns/v1/rr/org.example/"];
        let keys = self.etcd.etcdctl(&options).expect("read");
        keys.split_whitespace().map(String::from).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_difference_is_written_as_one() {
    let site = Site::start().await;
    let before = site.keys();
    let file = site.edited("192.0.2.77").await;
    let import = format!("zone import example.org {file} --replace");
    let told = site.nsctl.run(&import).await.expect(0).stdout;
    for line in [
        "- n7.example.org. 300 A 192.0.2.1\n",
        "+ n7.example.org. 300 A 192.0.2.77\n",
        "1 RRset written to example.org.",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    // The generation is the same, and so are all keys.
    assert_eq!(site.keys(), before);
    let shown = site.nsctl.run("list n7.example.org").await.expect(0).stdout;
    assert!(shown.contains("192.0.2.77"), "{shown}");
    let again = site
        .nsctl
        .run(&format!("{import} --force"))
        .await
        .expect(0)
        .stdout;
    assert!(again.starts_with("unchanged"), "{again}");

    // A large one is still done in one step, and told in full.
    let other = fs::read_to_string(&file).expect("the file");
    let other = other.replace(" A 192.0.2.1\n", " A 192.0.2.2\n");
    let other = site.folder.write("other.zone", &other);
    let import = format!(
        "zone import example.org {} --replace --force",
        other.display()
    );
    let json = site.nsctl.ok(&import).await;
    for field in ["added", "removed"] {
        let count = json[field].as_array().map(Vec::len);
        assert_eq!(count, Some(NAMES - 1), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_since_the_export_is_not_overwritten() {
    let site = Site::start().await;
    for change in [
        "add new.example.org A 192.0.2.8",
        "set n9.example.org A 192.0.2.9",
        "remove n8.example.org",
        "zone set example.org --refresh 7200",
    ] {
        let file = site.edited("192.0.2.77").await;
        let import = format!("zone import example.org {file} --replace");
        let changed = site.nsctl.write(change).await;
        for import in [import.clone(), format!("{import} --dry-run")] {
            let refused = site.nsctl.run(&import).await.expect(3);
            let told = refused.stderr.lines().last().expect("a reason");
            let words = format!("now {changed}");
            assert!(
                told.contains(&words) && told.contains("--force"),
                "{change}: {told}"
            );
        }
        let listed = site.nsctl.run("list n7.example.org").await.expect(0).stdout;
        assert!(listed.contains("192.0.2.1"), "{listed}");
    }
    // By force it is done; and elsewhere the revision says nothing.
    let file = site.edited("192.0.2.77").await;
    site.nsctl.write("add new2.example.org A 192.0.2.8").await;
    let import = format!("zone import example.org {file} --replace");
    site.nsctl.run(&format!("{import} --force")).await.expect(0);
    let elsewhere = site.nsctl.with("--prefix", "/other");
    elsewhere.run(&import).await.expect(0);
    elsewhere.write("add more.example.org A 192.0.2.8").await;
    elsewhere.run(&import).await.expect(0);
    // What is there already overwrites nothing.
    for again in [import.clone(), format!("{import} --dry-run")] {
        let told = site.nsctl.run(&again).await.expect(0).stdout;
        let words = ["unchanged", "no differences"];
        assert!(words.iter().any(|word| told.starts_with(word)), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_was_removed_since_the_export_does_not_come_back_by_accident() {
    let site = Site::start().await;
    let file = site.edited("192.0.2.77").await;
    let import = format!("zone import example.org {file}");
    let removed = site.nsctl.write("zone remove example.org").await;
    for import in [
        import.clone(),
        format!("{import} --replace"),
        format!("{import} --replace --dry-run"),
    ] {
        let refused = site.nsctl.run(&import).await.expect(3);
        let told = refused.stderr.lines().last().expect("a reason");
        assert!(told.contains(&format!("removed at {removed}")), "{told}");
        assert!(told.contains("--force"), "{told}");
    }
    site.nsctl.run("zone show example.org").await.expect(3);
    site.nsctl.run(&format!("{import} --force")).await.expect(0);
    // Where there never was such a zone, it is made; and where nothing is remembered of it.
    let elsewhere = site.nsctl.with("--prefix", "/other");
    elsewhere.run(&import).await.expect(0);
    site.nsctl.write("zone remove example.org").await;
    site.nsctl.write("zone clean example.org").await;
    site.nsctl.run(&import).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_edits_at_the_same_time_lose_nothing() {
    let site = Site::start().await;
    let writer = {
        let nsctl = site.nsctl.clone();
        tokio::spawn(async move {
            for n in 0..40 {
                nsctl
                    .write(&format!("add w{n}.example.org A 192.0.2.8"))
                    .await;
            }
        })
    };
    let (mut done, mut refused) = (0, 0);
    while !writer.is_finished() || done == 0 {
        let address = format!("198.51.100.{}", done % 200 + 1);
        let exported = site
            .nsctl
            .run("zone export example.org")
            .await
            .expect(0)
            .stdout;
        // Enough for a generation of its own every other time.
        let edited = match done % 2 {
            0 => exported.replace(" A 192.0.2.1\n", &format!(" A {address}\n")),
            _ => format!("{exported}edit{done}.example.org. 300 IN A {address}\n"),
        };
        let file = site
            .folder
            .write("edited.zone", &edited)
            .display()
            .to_string();
        let import = format!("zone import example.org {file} --replace");
        match site.nsctl.run(&import).await.code {
            0 => done += 1,
            code => {
                assert_eq!(code, 3);
                refused += 1;
            }
        }
    }
    writer.await.expect("no panic");
    let listed = site
        .nsctl
        .run("list --zone example.org")
        .await
        .expect(0)
        .stdout;
    let lost: Vec<usize> = (0..40)
        .filter(|n| !listed.contains(&format!("\nw{n}.example.org. ")))
        .collect();
    assert!(
        lost.is_empty(),
        "lost {lost:?}, done {done}, refused {refused}"
    );
}
