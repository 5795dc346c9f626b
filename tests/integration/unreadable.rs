//! One value in etcd that cannot be read keeps `nsctl` from nothing else, and can be removed with `nsctl`.

use serde_json::{Value, json};
use tests::{Nsctl, Single};

const ZONE: &str = "/ns/v1/zone/net.example";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_out_and_named() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    for command in [
        "zone add example.org --ns ns1.example.com",
        "zone add example.net --ns ns1.example.com",
        "add www.example.org A 192.0.2.1",
        "add www.example.net A 192.0.2.2",
    ] {
        nsctl.write(command).await;
    }
    let record = "/ns/v1/rr/org.example/2/txt/TXT";
    for key in [
        ZONE,
        record,
        "/ns/v1/zone/NET",
        "/ns/v1/frontend/fe9",
        "/ns/v1/serial/BAD",
    ] {
        etcd.etcdctl(&["put", key, "no JSON"]).expect("written");
    }

    // Whoever reads all zones, a person or a program.
    let json_too = nsctl.with("-o", "json");
    for (command, code, named) in [
        ("zone list", 0, vec![ZONE, "/ns/v1/zone/NET"]),
        ("list", 0, vec![ZONE, "/ns/v1/zone/NET"]),
        (
            "zone raise-serials --count 5",
            0,
            vec![ZONE, "/ns/v1/zone/NET"],
        ),
        ("status", 3, vec![]),
        ("verify", 1, vec![]),
        // Nothing is held back by anybody who could be asked; that does not say that nothing is.
        ("accept", 1, vec![]),
        ("held export /none", 1, vec![]),
    ] {
        for nsctl in [&nsctl, &json_too] {
            let told = nsctl.run(command).await.expect(code);
            for key in &named {
                let line = format!("nsctl: {key} is left out: ");
                assert!(told.stderr.contains(&line), "{command}: {told:?}");
            }
            // A front-end whose registration cannot be read is one that cannot be asked.
            if command != "zone list" && command != "list" {
                let all = format!("{}{}", told.stdout, told.stderr);
                let words = "its registration cannot be read: ";
                assert!(all.contains("fe9") && all.contains(words), "{told:?}");
            }
        }
    }
    let zones = nsctl.ok("zone list").await;
    assert_eq!(names(&zones, "zone"), ["example.org."], "{zones}");
    let listed = nsctl.ok("list").await;
    let owners = ["example.org.", "www.example.org."];
    assert_eq!(names(&listed, "name"), owners, "{listed}");

    the_zone_is_removed_with_force(&etcd, &nsctl).await;
}

async fn the_zone_is_removed_with_force(etcd: &Single, nsctl: &Nsctl) {
    for command in [
        "zone show example.net",
        "zone remove example.net",
        "add a.example.net A 192.0.2.3",
        "zone add example.net --ns ns1.example.com",
    ] {
        let refused = nsctl.run(command).await.expect(3);
        let told = refused.complaint();
        let remedy = "nsctl zone remove example.net. --force";
        assert!(told.contains(ZONE) && told.contains(remedy), "{told}");
    }
    nsctl.write("zone remove example.net --force").await;
    let left = etcd
        .etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/rr/net.example/"])
        .expect("read");
    assert_eq!(left.trim(), "");
    nsctl
        .write("zone add example.net --ns ns1.example.com")
        .await;
    let zones = nsctl.ok("zone list").await;
    assert_eq!(names(&zones, "zone"), ["example.net.", "example.org."]);
}

fn names(list: &Value, field: &str) -> Vec<String> {
    let none = json!([]);
    let list = list.as_array().unwrap_or(none.as_array().expect("a list"));
    let names = list.iter().filter_map(|one| one[field].as_str());
    names.map(String::from).collect()
}
