//! What is likely not meant is told and done: by `zone import`, `zone add`, `add` and `set`. `zone check --stored` finds
//! it later. Signed zones are refused.

use domain::base::Rtype;
use tests::{Cluster, TempDir, World};

const ZONE: &str = "$TTL 60\n\
                    @ SOA ns.example.net. hostmaster 7 1 1 1 1\n\
                    @ NS ns.example.net.\n\
                    @ MX 10 mail.example.org\n\
                    www A 192.0.2.1\n";

const DOT_MISSING: &str = "example.org. MX points to mail.example.org.example.org., which has the name of the zone twice: is a final dot missing?";

#[tokio::test]
async fn warnings_are_told_and_only_strict_refuses() {
    let world = World::start().await;
    let folder = TempDir::new();
    let import = |file: &str, more: &'static [&'static str]| {
        let file = folder.path().join(file).display().to_string();
        let nsctl = world.nsctl.clone();
        async move {
            let args = [&["zone", "import", "example.org", &file], more].concat();
            nsctl.run_args(&args).await
        }
    };
    folder.write("zone", ZONE);
    let refused = import("zone", &["--strict"]).await.expect(3);
    assert!(refused.stderr.contains(DOT_MISSING), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("nothing was written"),
        "{}",
        refused.stderr
    );
    let listed = world.nsctl.run("list www.example.org").await.expect(0);
    assert_eq!(listed.stdout, "no records\n");

    let imported = import("zone", &["--replace", "--wait"]).await.expect(0);
    let told = format!("/zone:4:1: warning: {DOT_MISSING}");
    assert!(imported.stderr.contains(&told), "{}", imported.stderr);
    world
        .expect(
            "www.example.org",
            Rtype::A,
            "NOERROR",
            &["www.example.org. 60 A 192.0.2.1"],
        )
        .await;

    // A plain zone transfer has its SOA record twice, which is nothing to warn of.
    let exported = world
        .nsctl
        .run("zone export example.org")
        .await
        .expect(0)
        .stdout;
    let records: Vec<&str> = exported
        .lines()
        .filter(|line| !line.starts_with(';') && !line.contains(" MX "))
        .collect();
    let soa = records.first().expect("an SOA record");
    folder.write(
        "axfr",
        &format!(
            ";; AXFR for example.org.\n{}\n{soa}\n;; Received 4 B\n",
            records.join("\n")
        ),
    );
    let imported = import("axfr", &["--replace", "--strict", "--force"])
        .await
        .expect(0);
    assert_eq!(imported.stderr, "");

    // With signatures it is refused, or loses them.
    let signed = format!(
        "{ZONE}@ DNSKEY 257 3 13 aaaa\nwww RRSIG A 13 3 60 20300101000000 20200101000000 1 @ aaaa\n"
    );
    folder.write("signed", &signed);
    for how in [&[][..], &["--replace"], &["--dry-run"], &["--strict"]] {
        let refused = import("signed", how).await;
        assert_ne!(refused.code, 0, "{how:?}");
        assert!(
            refused
                .stderr
                .contains("the zone is signed, with 1 RRSIG and 1 DNSKEY record"),
            "{how:?}: {}",
            refused.stderr
        );
    }
    let file = folder.path().join("signed").display().to_string();
    let checked = world
        .nsctl
        .run_args(&["zone", "check", "example.org", &file])
        .await;
    assert_ne!(checked.code, 0);
    assert!(
        checked.stderr.contains("the zone is signed"),
        "{}",
        checked.stderr
    );
    let imported = import("signed", &["--replace", "--force", "--wait"])
        .await
        .expect(0);
    assert!(
        imported
            .stderr
            .contains("1 RRSIG and 1 DNSKEY records of a signed zone are left out"),
        "{}",
        imported.stderr
    );
    let listed = world
        .nsctl
        .run("list --zone example.org")
        .await
        .expect(0)
        .stdout;
    assert!(
        !listed.contains("RRSIG") && !listed.contains("DNSKEY"),
        "{listed}"
    );
    let refused = world
        .nsctl
        .run("add www.example.org NSEC www.example.org. A")
        .await
        .expect(2);
    assert!(
        refused
            .complaint()
            .contains("only a signed zone has NSEC records"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn writes_warn_of_what_they_touch_and_the_store_can_be_checked() {
    let cluster = Cluster::start(1, &[]).await;
    let nsctl = tests::Nsctl::new(cluster.endpoints());
    for (command, warning) in [
        (
            "zone add example.org --ns ns1.example.org",
            "example.org. NS points to ns1.example.org., which is in this zone and has no address",
        ),
        ("add ns1.example.org A 192.0.2.1", ""),
        ("add example.org NS ns1.example.org", ""),
        (
            "add example.org MX 10 mail.example.org",
            "example.org. MX points to mail.example.org., which is in this zone and has no address",
        ),
        (
            "set example.org MX 10 192.0.2.1",
            "example.org. MX points to 192.0.2.1., which is an address: a name is needed",
        ),
        ("set example.org MX 10 ns1.example.org", ""),
        ("set *.example.org A 192.0.2.2", ""),
        // The wildcard has it.
        ("add www.example.org CNAME any.example.org", ""),
        (
            "add _443._tcp.host.example.org TLSA 3 0 0 aa",
            "*.example.org. does not apply to host.example.org.: it exists, as _443._tcp.host.example.org. TLSA is below it (RFC 4592, 2.2.2)",
        ),
        (
            "set *.example.org A 192.0.2.3",
            "*.example.org. does not apply to host.example.org.: it exists, as _443._tcp.host.example.org. TLSA is below it (RFC 4592, 2.2.2)",
        ),
        (
            "add alias.example.org CNAME gone.host.example.org",
            "alias.example.org. CNAME points to gone.host.example.org., which is in this zone and does not exist; is a final dot missing?",
        ),
        (
            "add deep.sub.example.org TXT t",
            "*.example.org. does not apply to sub.example.org.: it exists, as deep.sub.example.org. TXT is below it (RFC 4592, 2.2.2)",
        ),
        (
            "add sub.example.org NS ns.example.net",
            "deep.sub.example.org. TXT is below the zone cut at sub.example.org. and never answered",
        ),
        (
            "add sub.example.org DS 1 13 2 aa",
            "sub.example.org. DS: a digest of type 2 has 32 octets, and this one has 1",
        ),
    ] {
        let done = nsctl.run(command).await.expect(0);
        let told = match warning {
            "" => String::new(),
            warning => format!("warning: {warning}\n"),
        };
        assert_eq!(done.stderr, told, "{command}");
    }
    let checked = nsctl.run("zone check --stored example.org").await.expect(0);
    for warning in [
        "*.example.org. does not apply to host.example.org.",
        "gone.host",
        "below the zone cut",
        "32 octets",
    ] {
        assert!(
            checked.stderr.contains(warning),
            "{warning}: {}",
            checked.stderr
        );
    }
    assert!(
        checked.stdout.contains("11 records, 4 warnings"),
        "{}",
        checked.stdout
    );
    // What no transaction of ours would have written is an error.
    let zone = nsctl
        .run("zone show example.org -o json")
        .await
        .expect(0)
        .json();
    let key = format!("/ns/v1/rr/org.example/{}/www/A", zone["generation"]);
    cluster
        .etcdctl(&["put", &key, r#"{"ttl":60,"rdata":["192.0.2.1"]}"#])
        .await;
    let checked = nsctl.run("zone check --stored example.org").await.expect(3);
    assert!(
        checked
            .stderr
            .contains("error: www.example.org. has A records, and CNAME cannot stand beside them"),
        "{}",
        checked.stderr
    );
    nsctl.run("zone check --stored example.net").await.expect(3);
}
