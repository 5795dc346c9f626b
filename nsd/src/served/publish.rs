//! Publishes views, and frees those that were replaced.
//!
//! Readers hold the view they answer from. If the last of them to move on were to free the old view, its next queries
//! would wait for that: a view of a million RRsets takes a good part of a second. So the publisher keeps every view that
//! it replaces, and a thread of its own frees each once nobody else has it. That thread also logs what has changed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tracing::warn;

use super::{Proved, Published, Served, Standing, ZoneChange, changes};
use crate::memory;
use crate::model::CookieSecrets;
use crate::supervisor::contain_panic;
use crate::zone::View;

/// How often a view that was replaced is checked for readers.
const PAUSE: Duration = Duration::from_millis(50);

/// If freeing views takes longer, they were large, and their memory goes back to the system.
const LONG: Duration = Duration::from_millis(20);

/// A view that was replaced, and what that changed.
type Replaced<V> = (Arc<V>, Vec<ZoneChange>);

/// Writes what is served: first the view, then the proof of its freshness, then the standing.
#[derive(Clone)]
pub struct Publisher {
    published: Published,
    proved: Arc<Proved>,
    cookie: Arc<ArcSwapOption<CookieSecrets>>,
    standing: watch::Sender<Standing>,
    replaced: Sender<Replaced<View>>,
}

impl Publisher {
    /// Serves this view to begin with, and starts the thread that frees what it replaces.
    pub fn start(view: View, standing: Standing) -> (Self, Served) {
        let (publisher, served, replaced) = Self::new(view, standing);
        let thread = thread::Builder::new().name("free-views".into());
        if let Err(error) =
            thread.spawn(move || while !contain_panic("freeing old views", || free(&replaced)) {})
        {
            warn!(%error, "cannot start the thread that frees old views: queries may stall while one is freed");
        }
        (publisher, served)
    }

    /// Like `start`, but without the thread: the receiver gets what is replaced.
    pub(crate) fn new(view: View, standing: Standing) -> (Self, Served, Receiver<Replaced<View>>) {
        let (sender, receiver) = mpsc::channel();
        let publisher = Publisher {
            published: Arc::new(ArcSwap::from_pointee(view)),
            proved: Arc::new(Proved::never(Instant::now())),
            cookie: Arc::default(),
            standing: watch::channel(standing).0,
            replaced: sender,
        };
        let served = Served {
            view: publisher.published.clone(),
            proved: publisher.proved.clone(),
            cookie: publisher.cookie.clone(),
            standing: publisher.standing.subscribe(),
        };
        (publisher, served, receiver)
    }

    /// Serves this view from now on. `changes` are the zones whose records differ from the view that it replaces.
    pub fn publish(&self, view: View, changes: Vec<ZoneChange>) {
        let old = self.published.swap(Arc::new(view));
        // Without the thread the old view is freed here, or by its last reader.
        let _ = self.replaced.send((old, changes));
    }

    /// Uses these secrets for cookies from now on.
    pub fn use_cookie(&self, secrets: CookieSecrets) {
        if self.cookie.load().as_deref() != Some(&secrets) {
            self.cookie.store(Some(Arc::new(secrets)));
        }
    }

    /// A copy of the view that is served. It shares its memory with that.
    pub fn view(&self) -> View {
        View::clone(&self.published.load())
    }

    /// Says that the published view was complete at this moment.
    pub fn prove(&self, at: Instant) {
        self.proved.set(at);
    }

    /// Takes back all proofs: a copy in doubt may have been incomplete even then.
    pub fn revoke_proof(&self) {
        self.proved.revoke();
    }

    /// Updates the standing, and wakes those who watch it.
    pub fn update(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(change);
    }

    /// The current standing.
    pub fn standing(&self) -> watch::Ref<'_, Standing> {
        self.standing.borrow()
    }

    /// The standing, to wait for changes of it.
    pub fn subscribe(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}

/// Logs what was changed, and frees each replaced view once nobody else holds it. Nobody gets hold of it anew, as it is no
/// longer published. Returns when the publisher is gone.
fn free<T>(replaced: &Receiver<Replaced<T>>) {
    let log = |(view, changes): Replaced<T>| {
        // Otherwise a panic would drop the views that are kept here, and readers would free them.
        contain_panic("logging changes", || changes::log(&changes));
        view
    };
    let mut kept: Vec<Arc<T>> = Vec::new();
    while let Ok(first) = replaced.recv() {
        kept.push(log(first));
        while !kept.is_empty() {
            kept.extend(replaced.try_iter().map(log));
            let start = Instant::now();
            kept.retain(|view| Arc::strong_count(view) > 1);
            if start.elapsed() > LONG {
                memory::trim();
            }
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use super::*;

    /// Tells which thread frees it.
    struct Probe(Sender<ThreadId>);

    impl Drop for Probe {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[test]
    fn the_last_reader_does_not_free_what_was_replaced() {
        let (replace, replaced) = mpsc::channel();
        let freeing = thread::spawn(move || free(&replaced));
        let (tell, told) = mpsc::channel();
        let freed_by = || told.recv_timeout(Duration::from_secs(10));
        for _ in 0..3 {
            let old = Arc::new(Probe(tell.clone()));
            let reader = old.clone();
            replace.send((old, Vec::new())).expect("it is taken");
            // Nobody reads this one. Once it is freed, the thread has checked the other one, too.
            let unread = Arc::new(Probe(tell.clone()));
            replace.send((unread, Vec::new())).expect("it is taken");
            assert_eq!(freed_by(), Ok(freeing.thread().id()));
            assert!(told.try_recv().is_err(), "somebody reads it");
            drop(reader);
            assert_eq!(freed_by(), Ok(freeing.thread().id()));
        }
        drop(replace);
        freeing.join().expect("it ends with the publisher");
    }

    #[test]
    fn a_view_is_replaced_and_kept() {
        let (publisher, served, replaced) = Publisher::new(View::default(), Standing::default());
        let published = served.view.clone();
        let old = Arc::downgrade(&published.load_full());
        let mut view = View::default();
        view.set_ready(true);
        publisher.publish(view, Vec::new());
        assert!(published.load().is_ready());
        assert!(
            old.upgrade().is_some(),
            "no reader has it, and nobody has freed it"
        );
        drop(replaced.recv());
        assert!(old.upgrade().is_none());
    }
}
