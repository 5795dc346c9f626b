//! When etcd itself lets leases expire, which tells its lateness from that of front-ends.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use etcd_client::{Client, EventType, PutOptions, WatchFilterType, WatchOptions, WatchStream};
use tokio::task::JoinHandle;

/// The keys of the controls. No front-end reads them.
const CONTROLS: &str = "/control/";

/// How often a control is put.
const CONTROL_EVERY: Duration = Duration::from_millis(250);

/// Follows every deletion in etcd. Meanwhile it keeps putting keys, the controls, whose leases nobody renews: how late
/// these go is etcd's own lateness, whatever the product does.
pub struct Expiries {
    log: Arc<Mutex<Log>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Log {
    /// The values that are gone, and when that was seen.
    gone: Vec<(String, Instant)>,
    /// One for each control, in the order of their numbers.
    controls: Vec<Control>,
    /// Why nothing more is followed.
    fault: Option<String>,
}

struct Control {
    /// The latest end of its lease: lateness is never overstated.
    due: Instant,
    gone: Option<Instant>,
}

impl Expiries {
    /// Follows etcd from now on through one member, with controls whose leases have this lifetime.
    pub async fn follow(endpoint: &str, lease: Duration) -> Self {
        let client = Client::connect([endpoint], None).await;
        let mut client = client.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        let options = WatchOptions::new()
            .with_prefix()
            .with_prev_key()
            .with_filters([WatchFilterType::NoPut]);
        let watch = client.watch("/", Some(options)).await;
        let mut watch = watch.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        // The first message says that the watch has begun.
        watch.message().await.expect("a watch begins");
        let log = Arc::new(Mutex::new(Log::default()));
        let tasks = [
            tokio::spawn(follow(watch, log.clone())),
            tokio::spawn(put_controls(client, lease, log.clone())),
        ];
        Expiries { log, tasks }
    }

    /// When the first key with this text in its value was gone after `since`.
    pub fn gone(&self, text: &str, since: Instant) -> Option<Instant> {
        let log = self.log();
        let is_it = |(value, at): &&(String, Instant)| *at >= since && value.contains(text);
        log.gone.iter().find(is_it).map(|(_, at)| *at)
    }

    /// How late etcd was with a lease that was due at `due` and gone at `gone`, by the controls that were awaited between.
    pub fn lateness(&self, due: Instant, gone: Instant) -> Duration {
        let log = self.log();
        let awaited = log.controls.iter().filter_map(|control| {
            let end = control.gone.unwrap_or(gone);
            (control.due <= gone && end >= due).then(|| end - control.due)
        });
        awaited.max().unwrap_or_default()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        let log = lock(&self.log);
        assert_eq!(log.fault, None, "etcd is no longer followed");
        log
    }
}

impl Drop for Expiries {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().expect("no panic with it held")
}

async fn follow(mut watch: WatchStream, log: Arc<Mutex<Log>>) {
    let fault = loop {
        let message = match watch.message().await {
            Ok(Some(message)) if !message.canceled() => message,
            Ok(ended) => break format!("the watch has ended: {ended:?}"),
            Err(error) => break error.to_string(),
        };
        let (mut log, now) = (lock(&log), Instant::now());
        let deletions = message.events().iter();
        let deletions = deletions.filter(|event| event.event_type() == EventType::Delete);
        for before in deletions.filter_map(|event| event.prev_kv()) {
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            let (key, value) = (text(before.key()), text(before.value()));
            match key.strip_prefix(CONTROLS).map(str::parse::<usize>) {
                Some(Ok(number)) => log.controls[number].gone = Some(now),
                _ => log.gone.push((value, now)),
            }
        }
    };
    lock(&log).fault = Some(fault);
}

async fn put_controls(mut client: Client, lease: Duration, log: Arc<Mutex<Log>>) {
    let seconds = i64::try_from(lease.as_secs()).expect("a short lease");
    loop {
        // While etcd elects a leader it refuses; there is no control then.
        if let Ok(granted) = client.lease_grant(seconds, None).await {
            let due = Instant::now() + lease;
            let number = {
                let mut log = lock(&log);
                log.controls.push(Control { due, gone: None });
                log.controls.len() - 1
            };
            let options = PutOptions::new().with_lease(granted.id());
            let key = format!("{CONTROLS}{number}");
            if client.put(key, "", Some(options)).await.is_err() {
                // Whether the key is there is not known: this control does not count.
                lock(&log).controls[number].gone = Some(due);
            }
        }
        tokio::time::sleep(CONTROL_EVERY).await;
    }
}
