use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etcd::client::{Config, Simulated, Store};
use etcd::schema::{Author, Prefix};
use etcd_client::Channel;

use crate::model::{Cluster, line, now};
use crate::schedule::MEMBERS;

/// The network and the clock of one client.
struct Client {
    cluster: Arc<Cluster>,
    number: usize,
    /// What its clock shows when the run starts.
    clock: SystemTime,
    started: Instant,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.number)
    }
}

impl Simulated for Client {
    fn connect(&self, endpoint: &str) -> Channel {
        let member = endpoint
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        line(
            &self.cluster,
            self.number,
            member.expect("the URL of a member"),
        )
    }

    fn time_of_day(&self) -> SystemTime {
        self.clock + (now() - self.started)
    }
}

/// A client's settings. Its clock is so many seconds ahead, or behind. Time limits are shorter than in production, because runs are
/// short.
pub(crate) fn config(
    cluster: &Arc<Cluster>,
    number: usize,
    started: Instant,
    ahead: i64,
) -> Config {
    let member = |index| format!("http://member:{}", (index + number) % MEMBERS);
    Config {
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(800),
        simulated: Some(Arc::new(Client {
            cluster: cluster.clone(),
            number,
            clock: UNIX_EPOCH + Duration::from_secs(1_700_000_000_u64.saturating_add_signed(ahead)),
            started,
        })),
        ..Config::new((0..MEMBERS).map(member).collect())
    }
}

/// A store for a writer whose changes have this label.
pub(crate) fn store(config: &Config, label: &str) -> Store {
    let author = Author {
        why: Some(label.into()),
        ..Author::default()
    };
    let store = Store::new(config.clone(), Prefix::default(), Duration::from_secs(3));
    store.with_author(author)
}
