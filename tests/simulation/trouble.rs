//! Injects the schedule's faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::model::{Cluster, Cut, Network};
use crate::schedule::{Item, Mishap, Schedule};

/// How likely it is that messages go wrong.
pub(crate) fn network(schedule: &Schedule) -> Network {
    let mut network = Network::default();
    for (_, item) in &schedule.items {
        if let Item::Network(mishap, likelihood) = item {
            *match mishap {
                Mishap::LosesRequests => &mut network.lost_requests,
                Mishap::LosesAnswers => &mut network.lost_answers,
                Mishap::IsSlow => &mut network.slow,
                Mishap::Repeats => &mut network.duplicates,
                Mishap::Breaks => &mut network.broken,
                Mishap::Stalls => &mut network.stalled,
            } = *likelihood;
        }
    }
    network
}

/// Injects one fault at its time, and ends it.
pub(crate) async fn disturb(cluster: Arc<Cluster>, item: Item, began: Instant) {
    let until = |offset: Duration| sleep_until(tokio::time::Instant::from_std(began + offset));
    match item {
        Item::Cut {
            client,
            member,
            is_refused,
            from,
            until: end,
        } => {
            until(from).await;
            let cut = match is_refused {
                true => Cut::Refused,
                false => Cut::Silent,
            };
            cluster.cut(client, member, cut);
            until(end).await;
            cluster.mend(client, member);
        }
        Item::Isolated {
            member,
            from,
            until: end,
        } => {
            until(from).await;
            cluster.isolate(member);
            until(end).await;
            cluster.rejoin(member);
        }
        Item::NoLeader { from, until: end } => {
            until(from).await;
            cluster.lose_leader();
            until(end).await;
            cluster.elect();
        }
        Item::Compaction { at, kept } => {
            until(at).await;
            cluster.compact(kept);
        }
        Item::Restore { at, back, skipped } => {
            until(at).await;
            cluster.restore(back, skipped);
        }
        Item::Full { from, until: end } => {
            until(from).await;
            cluster.fill();
            until(end).await;
            cluster.make_room();
        }
        Item::Revocation { at } => {
            until(at).await;
            cluster.revoke_any();
        }
        Item::Change { .. }
        | Item::KillWriter { .. }
        | Item::Announcer { .. }
        | Item::FrontEnd { .. }
        | Item::Follower
        | Item::Past { .. }
        | Item::Clock { .. }
        | Item::SmallJournals { .. }
        | Item::Network(..) => {}
    }
}
