//! `nsctl status` says what is wrong, also where etcd has no quorum, and exits with 3 or 4 if something is.

use std::time::Duration;

use serde_json::Value;
use tests::{World, ensure, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_is_wrong_and_fails() {
    let mut world = World::with(2).await;
    eventually("all is well", Duration::from_secs(20), async || {
        let output = world.nsctl.run("status").await;
        ensure(output.code == 0, || format!("{output:?}"))
    })
    .await;
    a_front_end_is_asked_without_etcd(&world).await;
    a_front_end_that_does_not_answer_is_a_fault(&mut world).await;
    without_a_quorum_it_shows_what_is_still_known(&world).await;
}

async fn a_front_end_is_asked_without_etcd(world: &World) {
    let admin = world.frontends[0].admin.to_string();
    let nowhere = world.nsctl.with("--endpoints", "http://127.0.0.1:1");
    let json = nowhere.ok(&format!("status --frontend {admin}")).await;
    let shown = &json["frontends"][0];
    assert_eq!(
        (&shown["id"], &shown["ready"]),
        (&"fe1".into(), &true.into()),
        "{json}"
    );
    let command = format!("status --frontend {admin}");
    let table = nowhere.run(&command).await.expect(0).stdout;
    assert!(
        table.contains("fe1") && !table.contains("MEMBER"),
        "{table}"
    );
    let output = nowhere.run("status --frontend 127.0.0.1:1").await.expect(3);
    assert!(
        output.stdout.contains("127.0.0.1:1 does not answer"),
        "{output:?}"
    );
}

async fn a_front_end_that_does_not_answer_is_a_fault(world: &mut World) {
    let mut dead = world.frontends.pop().expect("two front-ends");
    dead.kill();
    let output = world.nsctl.run("status").await.expect(3);
    assert_eq!(output.complaint(), "nsctl: 1 problem found");
    assert!(output.stdout.contains("\nfe2: "), "{}", output.stdout);
    world.nsctl.run("status --no-fail").await.expect(0);
    let json = world
        .nsctl
        .with("-o", "json")
        .run("status")
        .await
        .expect(3)
        .json();
    let told = json["frontends"][1]["error"].as_str();
    assert!(
        told.is_some_and(|told| told.contains("does not answer")),
        "{json}"
    );
    assert_eq!(json["members"][0]["error"], Value::Null, "{json}");
    assert!(json["members"][0]["id"].is_string(), "{json}");
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(1), "{json}");
    world.registered(1).await;
}

async fn without_a_quorum_it_shows_what_is_still_known(world: &World) {
    for member in [0, 1] {
        world.cluster.kill_member(member).await;
    }
    let nsctl = world.nsctl.with("--timeout", "5s");
    // The one that is left takes a moment to notice.
    eventually("it has no leader", Duration::from_secs(20), async || {
        let json = nsctl.ok("status --no-fail").await;
        let left = &json["members"][2];
        ensure(
            left["error"].is_null() && left["has_leader"] == false,
            || json.to_string(),
        )
    })
    .await;
    let output = nsctl.run("status").await.expect(4);
    output.complaint();
    let stdout = &output.stdout;
    for words in [
        "no leader",
        "the revision of etcd could not be read: ",
        "the front-ends are those that one member of etcd knows",
        "\nfe1  ",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!stdout.contains("no front-end is registered"), "{stdout}");
    assert_eq!(stdout.matches("no answer").count(), 2, "{stdout}");

    world.cluster.kill_member(2).await;
    let output = nsctl.run("status").await.expect(4);
    let words = "the front-ends could not be read: ";
    assert!(output.stdout.contains(words), "{}", output.stdout);
    assert!(!output.stdout.contains("registered"), "{}", output.stdout);
    let json = nsctl
        .with("-o", "json")
        .run("status")
        .await
        .expect(4)
        .json();
    assert_eq!(json["frontends"], Value::Null, "{json}");
}
