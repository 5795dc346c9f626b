//! The barrier of `linearizable`: queries wait for one confirmation together.
//!
//! A query may be answered once the view has every write that was acknowledged before the query came. One linearizable
//! read of etcd says how far that is, for all queries that were waiting when it was sent; those that come meanwhile
//! wait for the next one. So however many queries come, etcd is asked once a round trip, and by no query itself.
//!
//! ```text
//! queries ──► waiting ──take all──► confirm (read, then wait for the view) ──► answered, or SERVFAIL
//!                ▲                                                        │
//!                └──────────── those that came meanwhile ◄────────────────┘
//! ```

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// How many queries may wait. More are refused at once: an outage shall not fill the memory.
const WAITING_MAX: usize = 65_536;

/// What a query does once it is known whether the view is complete.
type Waiter = Box<dyn FnOnce(bool) + Send>;

/// Where queries wait.
#[derive(Clone, Debug)]
pub struct Barrier {
    waiting: mpsc::Sender<Waiter>,
    count: Arc<AtomicUsize>,
    rounds: Arc<AtomicU64>,
}

impl Barrier {
    /// A barrier, and the task that serves it. `confirm` says whether the view has all that was written before it was
    /// called; it has to come to an end.
    pub fn new<F: Future<Output = bool> + Send>(
        confirm: impl Fn() -> F + Send + Sync + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut receiver) = mpsc::channel::<Waiter>(WAITING_MAX);
        let (count, rounds) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let barrier = Barrier {
            waiting: sender,
            count: count.clone(),
            rounds: rounds.clone(),
        };
        let serve = async move {
            let mut waiting = Vec::new();
            while receiver.recv_many(&mut waiting, WAITING_MAX).await > 0 {
                rounds.fetch_add(1, Ordering::Relaxed);
                let confirmed = confirm().await;
                for waiter in waiting.drain(..) {
                    waiter(confirmed);
                    count.fetch_sub(1, Ordering::Release);
                }
            }
        };
        (barrier, serve)
    }

    /// Calls `then` when it is known whether the view is complete. Does not wait itself; false where too many do.
    pub fn wait(&self, then: impl FnOnce(bool) + Send + 'static) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let waits = self.waiting.try_send(Box::new(then)).is_ok();
        if !waits {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        waits
    }

    /// Whether no query waits.
    pub fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Waits until it is known.
    pub async fn confirmed(&self) -> bool {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let tell = move |confirmed| {
            // Whoever asked may be gone.
            let _ = sender.send(confirmed);
        };
        let waits = self.wait(tell);
        waits && receiver.await.unwrap_or(false)
    }

    /// How often etcd was asked.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn queries_that_come_during_a_round_wait_for_the_next() {
        let gate = Arc::new(Notify::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let confirm = {
            let (gate, calls) = (gate.clone(), calls.clone());
            move || {
                let (gate, calls) = (gate.clone(), calls.clone());
                async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    calls.load(Ordering::SeqCst) == 1
                }
            }
        };
        let (barrier, serve) = Barrier::new(confirm);
        let served = tokio::spawn(serve);
        let (told, mut tell) = mpsc::unbounded_channel();
        let wait = |name: &'static str| {
            let told = told.clone();
            let tell = move |confirmed| told.send((name, confirmed)).expect("it is waited for");
            assert!(barrier.wait(tell));
        };
        wait("a");
        wait("b");
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        wait("late");
        gate.notify_one();
        assert_eq!(tell.recv().await, Some(("a", true)));
        assert_eq!(tell.recv().await, Some(("b", true)));
        while calls.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        assert!(
            tell.try_recv().is_err(),
            "it was not there when the read was sent"
        );
        gate.notify_one();
        assert_eq!(tell.recv().await, Some(("late", false)));
        assert_eq!(barrier.rounds(), 2);
        while !barrier.is_idle() {
            tokio::task::yield_now().await;
        }
        drop(barrier);
        served.await.expect("it ends with the last barrier");
    }
}
