//! Publishes views, and frees those that were replaced.
//!
//! Readers hold the view they answer from. If the last of them to move on were to free the old view, its next queries
//! would wait for that: a view of a million RRsets takes a good part of a second. So the publisher keeps every view that
//! it replaces, and a thread of its own frees each once nobody else has it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::warn;

use crate::memory;
use crate::zone::View;

/// The view that is served. Readers load it without waiting; it is replaced as a whole.
pub type Published = Arc<ArcSwap<View>>;

/// How long a view that was replaced is left to its readers before it is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// What takes longer to free was large: its memory goes back to the system.
const LONG: Duration = Duration::from_millis(20);

/// Replaces the view that is served.
#[derive(Clone)]
pub struct Publisher {
    published: Published,
    replaced: Sender<Arc<View>>,
}

impl Publisher {
    /// A publisher with a thread that frees what it replaces.
    pub fn start(published: Published) -> Self {
        let (publisher, replaced) = Self::new(published);
        let thread = thread::Builder::new().name("free-views".into());
        if let Err(error) = thread.spawn(move || free(&replaced)) {
            warn!(%error, "cannot start the thread that frees old views: queries may stall while one is freed");
        }
        publisher
    }

    /// A publisher, and what it has replaced.
    pub(crate) fn new(published: Published) -> (Self, Receiver<Arc<View>>) {
        let (sender, receiver) = mpsc::channel();
        let publisher = Publisher {
            published,
            replaced: sender,
        };
        (publisher, receiver)
    }

    /// Serves this view from now on.
    pub fn publish(&self, view: View) {
        let old = self.published.swap(Arc::new(view));
        // Without the thread it is freed here, or by its last reader.
        let _ = self.replaced.send(old);
    }
}

/// Frees what comes once nobody else has it, until nothing will come any more. Nobody gets hold of it anew: it was
/// replaced before.
fn free<T>(replaced: &Receiver<Arc<T>>) {
    let mut kept: Vec<Arc<T>> = Vec::new();
    while let Ok(first) = replaced.recv() {
        kept.push(first);
        while !kept.is_empty() {
            kept.extend(replaced.try_iter());
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
            replace.send(old).expect("it is taken");
            // Nobody reads this one. Once it is freed, the thread has looked at the other one, too.
            let unread = Arc::new(Probe(tell.clone()));
            replace.send(unread).expect("it is taken");
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
        let published = Published::default();
        let (publisher, replaced) = Publisher::new(published.clone());
        let old = Arc::downgrade(&published.load_full());
        let mut view = View::default();
        view.set_ready(true);
        publisher.publish(view);
        assert!(published.load().is_ready());
        assert!(
            old.upgrade().is_some(),
            "no reader has it, and nobody has freed it"
        );
        drop(replaced.recv());
        assert!(old.upgrade().is_none());
    }
}
