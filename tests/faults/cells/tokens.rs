//! Tokens of etcd's users lose their worth.

use crate::cell::{HOLD, Noticed};
use crate::site::Site;

pub(crate) async fn run(site: &mut Site) {
    tokens_expire(site).await;
    users_change(site).await;
}

/// However much they are used.
async fn tokens_expire(site: &mut Site) {
    let cell = site.begin("tokens expire, every 3 s").await;
    for _ in 0..2 {
        cell.lasts(Noticed::Maybe).await;
    }
    site.end(cell).await;
}

/// A token is of one state of the users: all of them are void at once.
async fn users_change(site: &mut Site) {
    let cell = site.begin("users change, and all tokens are void").await;
    for number in 0..3 {
        site.cluster
            .etcdctl(&["user", "add", &format!("another{number}:password")])
            .await;
        tokio::time::sleep(HOLD / 3).await;
    }
    site.end(cell).await;
}
