use etcd::client::{self, AnnouncementNews, Store};
use etcd::model::Rtype;
use etcd::schema::Instance;
use etcd::txn::Announcement;

use super::names::{address, owner_name};

/// Announces an address until `stop` completes, and calls `withdrawn` with whether the withdrawal succeeded.
pub(crate) async fn announce(
    store: &Store,
    owner: usize,
    last: u8,
    (lease, instance): (u32, u64),
    stop: impl Future<Output = ()>,
    mut withdrawn: impl FnMut(bool) + Send + Sync,
) {
    let announcement = Announcement {
        zone: None,
        owner: owner_name(0, owner),
        rtype: Rtype::A,
        ttl: None,
        rdata: vec![address(last)],
        instance: Instance(instance),
    };
    let tell = |news| {
        if let AnnouncementNews::Withdrawn(told) = news {
            withdrawn(told.is_ok());
        }
    };
    client::announce(store, announcement, lease, stop, tell).await;
}
