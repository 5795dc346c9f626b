//! A zone whose settings something other than nsctl has deleted: front-ends hold it back, and no new zone takes its place
//! by accident.

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, TempDir, expect_at};

const ADD: &str = "zone add example.org --ns ns1.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_settings_are_lost_is_not_added_again_by_accident() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    let lose = || {
        etcd.etcdctl(&["del", "/ns/v1/zone/org.example"])
            .expect("deleted")
    };
    nsctl.write(ADD).await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    let exported = nsctl.run("zone export example.org").await.expect(0).stdout;
    let folder = TempDir::new();
    let file = folder.write("zone", &exported).display().to_string();
    let mut frontend = Frontend::start("fe1", &[etcd.endpoint().into()], &[]).await;
    frontend.ready().await;
    lose();

    for command in [
        ADD.into(),
        format!("{ADD} --dry-run"),
        format!("zone import example.org {file}"),
        "add n7.example.org A 192.0.2.7".into(),
        "add n7.example.org A 192.0.2.7 --zone example.org".into(),
        "zone set example.org --minimum 1m".into(),
        "zone show example.org".into(),
        "zone remove example.org".into(),
        "list --zone example.org".into(),
    ] {
        let refused = nsctl.run(&command).await.expect(3);
        for words in [
            "settings of the zone example.org. were deleted",
            "Front-ends may still serve it",
            "nsctl held export DIR",
            "nsctl zone clean example.org.",
            "--force",
        ] {
            let told = refused.complaint();
            assert!(told.contains(words), "{command}: {told}");
        }
    }
    let answer = ["www.example.org. 300 A 192.0.2.1"];
    expect_at(&frontend, "www.example.org", Rtype::A, "NOERROR", &answer).await;

    // The whole zone brings it back, as the runbook has it.
    nsctl
        .write(&format!(
            "zone import example.org {file} --replace --force --wait"
        ))
        .await;
    expect_at(&frontend, "www.example.org", Rtype::A, "NOERROR", &answer).await;
    lose();
    nsctl.write(&format!("{ADD} --force --wait")).await;
    expect_at(&frontend, "www.example.org", Rtype::A, "NXDOMAIN", &[]).await;
    lose();
    nsctl.write("zone clean example.org").await;
    nsctl.write(ADD).await;
    // A zone that nsctl removes is not lost.
    nsctl.write("zone remove example.org").await;
    nsctl.write(&format!("{ADD} --wait")).await;
    frontend.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_zone_is_warned_of_with_what_moves_into_it() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    for command in [
        "zone add example.org --ns ns1.example.com",
        "add ns1.lab.example.org A 192.0.2.1",
        "add www.lab.example.org A 192.0.2.2",
        "add lab.example.org NS ns1.lab.example.org",
        "add ns1.dev.example.org A 192.0.2.3",
    ] {
        nsctl.write(command).await;
    }
    let added = nsctl
        .run("zone add lab.example.org --ns ns1.lab.example.org --move")
        .await
        .expect(0);
    assert_eq!(added.stderr, "");
    let told = "1 RRset moved here from the zone above\n1 RRset copied here from the zone above\n";
    assert!(added.stdout.ends_with(told), "{}", added.stdout);
    let added = nsctl
        .run("zone add dev.example.org --ns ns1.dev.example.org --move")
        .await
        .expect(0);
    let warning = "warning: example.org. does not delegate dev.example.org.: add NS records there (nsctl add dev.example.org. NS NAME --zone example.org.)\n";
    assert_eq!(added.stderr, warning);
    let told = "1 RRset moved here from the zone above\n";
    assert!(added.stdout.ends_with(told), "{}", added.stdout);
    assert!(!added.stdout.contains("copied"), "{}", added.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_counts_what_it_deletes() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    for command in [
        ADD,
        "add a.example.org A 192.0.2.1",
        "add b.example.org A 192.0.2.2",
        "add c.example.org A 192.0.2.3",
    ] {
        nsctl.write(command).await;
    }
    let exported = nsctl.run("zone export example.org").await.expect(0).stdout;
    let kept = exported
        .lines()
        .filter(|line| !line.contains("192.0.2.2") && !line.contains("192.0.2.3"));
    let changed: String = kept
        .map(|line| line.replace("192.0.2.1", "192.0.2.9") + "\n")
        .collect();
    let folder = TempDir::new();
    let file = folder.write("zone", &changed).display().to_string();
    let imported = nsctl
        .run(&format!("zone import example.org {file} --replace"))
        .await
        .expect(0);
    let told = "\n1 RRset written to example.org., 2 deleted, revision ";
    assert!(imported.stdout.contains(told), "{}", imported.stdout);
    let refused = nsctl.run("list example.org --type SOA").await.expect(2);
    assert!(
        refused.complaint().contains("nsctl zone show"),
        "{}",
        refused.stderr
    );
}
