//! A member that was stopped answers from an old copy until it has caught up. What is planned from that is right all the
//! same: a change relies on nothing that is old, and is neither refused nor found unnecessary because of it.

use std::time::Duration;

use tests::{Nsctl, World};

const ROUNDS: usize = 9;

/// How long commands take to send their first request.
const SENT_WITHIN: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_through_a_lagging_member_rely_on_nothing_old() {
    let world = World::with(0).await;
    let cluster = &world.cluster;
    for round in 0..ROUNDS {
        let behind = round % cluster.size();
        let late = Nsctl::new(&cluster.endpoints()[behind..=behind]);
        let rest: Vec<String> = (0..cluster.size())
            .filter(|member| *member != behind)
            .map(|member| cluster.endpoint(member).to_string())
            .collect();
        let rest = Nsctl::new(&rest);
        let name = |what: &str| format!("{what}{round}.example.org");
        let (all, alias, same, back) = (name("all"), name("alias"), name("same"), name("back"));
        for name in [&all, &same, &back] {
            rest.write(&format!("add {name} A 192.0.2.1")).await;
        }

        cluster.pause(behind).await;
        rest.write(&format!("add {all} AAAA 2001:db8::1")).await;
        rest.write(&format!("add {alias} CNAME elsewhere.example.net"))
            .await;
        rest.write(&format!("set {same} A 192.0.2.2")).await;
        rest.write(&format!("remove {back}")).await;
        rest.write("zone add sub.example.org --ns ns1.example.net")
            .await;

        let (remove, add, set, again, in_zone) = (
            format!("remove {all}"),
            format!("add {alias} A 192.0.2.1"),
            format!("set {same} A 192.0.2.1"),
            format!("add {back} A 192.0.2.1"),
            format!("add www{round}.sub.example.org A 192.0.2.1 --output json"),
        );
        // The requests wait in the stopped member's socket, so that it may answer them before it catches up.
        let unpause = async {
            tokio::time::sleep(SENT_WITHIN).await;
            cluster.unpause(behind).await;
        };
        let (removed, refused, changed, brought_back, in_zone, ()) = tokio::join!(
            late.run(&remove),
            late.run(&add),
            late.run(&set),
            late.run(&again),
            late.run(&in_zone),
            unpause,
        );
        assert_eq!(refused.code, 3, "a CNAME record is there: {refused:?}");
        for output in [&removed, &changed, &brought_back, &in_zone] {
            assert_eq!(output.code, 0, "{output:?}");
        }
        assert!(removed.stdout.contains("AAAA"), "{removed:?}");
        assert!(!changed.stdout.contains("unchanged"), "{changed:?}");
        assert!(
            !brought_back.stdout.contains("unchanged"),
            "{brought_back:?}"
        );
        assert!(
            in_zone.stdout.contains("\"sub.example.org.\""),
            "{in_zone:?}"
        );
        assert_eq!(
            world.nsctl.ok(&format!("list {all}")).await,
            serde_json::json!([])
        );
        rest.write("zone remove sub.example.org").await;
    }
}
