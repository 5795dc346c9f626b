//! The barrier for `linearizable` zones: queries share the confirmation that the view is up to date.
//!
//! A query may be answered once the view has every write that was acknowledged before the query came. One linearizable
//! read of etcd tells the revision that the view needs, for all queries that were waiting when the read was sent.
//! Queries that come during a round wait for the next one. So etcd gets one read per round trip, however many queries
//! come. Each query has its own time limit, whatever the rounds do; only a panic, which is a bug, may add half a
//! second.
//!
//! ```text
//! queries ──► waiting ──take all──► confirm (read, then wait for the view) ──► answered, or SERVFAIL
//!                ▲                                                        │
//!                └──────────── those that came during the round ◄─────────┘
//! ```

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::supervisor::contain_panic;

/// The most queries that wait. Others get SERVFAIL at once, so that an outage cannot exhaust memory.
const WAITING_MAX: usize = 65_536;

/// How many queries are answered in a row before the task yields the thread.
const AT_ONCE: usize = 64;

/// A waiting query. Dropping it, as in a panic, answers it as not confirmed.
struct Waiter {
    /// The end of its time limit.
    until: Instant,
    /// Answers it, given whether the view is confirmed.
    then: Option<Box<dyn FnOnce(bool) + Send>>,
    /// The number of waiting queries.
    count: Arc<AtomicUsize>,
}

impl Waiter {
    fn tell(mut self, confirmed: bool) {
        self.tell_once(confirmed);
    }

    fn tell_once(&mut self, confirmed: bool) {
        if let Some(then) = self.then.take() {
            contain_panic("a query that has waited", || then(confirmed));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.tell_once(false);
        self.count.fetch_sub(1, Ordering::Release);
    }
}

/// The handle by which queries wait.
#[derive(Clone, Debug)]
pub struct Barrier {
    waiting: mpsc::Sender<Waiter>,
    patience: Duration,
    count: Arc<AtomicUsize>,
    rounds: Arc<AtomicU64>,
}

impl Barrier {
    /// A barrier at which each query waits for at most `patience`, and its rounds, which a task has to serve. `confirm`
    /// returns whether the view has everything that was written before the call; it has to end.
    pub fn new<C, F>(patience: Duration, confirm: C) -> (Self, Rounds<C>)
    where
        C: Fn() -> F,
        F: Future<Output = bool>,
    {
        let (sender, receiver) = mpsc::channel::<Waiter>(WAITING_MAX);
        let barrier = Barrier {
            waiting: sender,
            patience,
            count: Arc::default(),
            rounds: Arc::default(),
        };
        let queue = Queue {
            receiver,
            patience,
            round: VecDeque::new(),
            late: VecDeque::new(),
            rounds: barrier.rounds.clone(),
        };
        let rounds = Rounds {
            queue: Mutex::new(queue),
            confirm,
        };
        (barrier, rounds)
    }

    /// Calls `then` later, with whether the view is confirmed. Returns false, and never calls it, if too many queries
    /// wait.
    pub fn wait(&self, then: impl FnOnce(bool) + Send + 'static) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let waiter = Waiter {
            until: Instant::now() + self.patience,
            then: Some(Box::new(then)),
            count: self.count.clone(),
        };
        match self.waiting.try_send(waiter) {
            Ok(()) => true,
            Err(refused) => {
                // The caller answers it instead.
                refused.into_inner().then = None;
                false
            }
        }
    }

    /// Whether no query waits.
    pub fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Waits, and returns whether the view is confirmed.
    pub async fn confirmed(&self) -> bool {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let tell = move |confirmed| {
            // The caller may be gone.
            let _ = sender.send(confirmed);
        };
        let waits = self.wait(tell);
        waits && receiver.await.unwrap_or(false)
    }

    /// The number of rounds so far.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

/// The rounds of a barrier.
pub struct Rounds<C> {
    queue: Mutex<Queue>,
    confirm: C,
}

impl<C: Fn() -> F, F: Future<Output = bool>> Rounds<C> {
    /// Runs rounds as long as queries may come. If it is called again after a panic in the middle of a round, the
    /// queries of that round are told that nothing is confirmed.
    pub async fn serve(&self) {
        let mut queue = self.queue.lock().await;
        queue.end_round(false).await;
        queue.serve(&self.confirm).await;
    }
}

/// The waiting queries, the oldest first.
struct Queue {
    receiver: mpsc::Receiver<Waiter>,
    patience: Duration,
    /// Those that the current round is for.
    round: VecDeque<Waiter>,
    /// Those that came after it began.
    late: VecDeque<Waiter>,
    /// The number of rounds so far.
    rounds: Arc<AtomicU64>,
}

impl Queue {
    /// Runs one round after the other, as long as queries may come.
    async fn serve<F: Future<Output = bool>>(&mut self, confirm: &impl Fn() -> F) {
        while self.next_round().await {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let confirmed = self.expire_while(confirm()).await;
            self.end_round(confirmed).await;
        }
    }

    /// Waits for queries, and begins a round with all that are there. Returns false when no more can come.
    async fn next_round(&mut self) -> bool {
        if self.late.is_empty() {
            let Some(first) = self.receiver.recv().await else {
                return false;
            };
            self.late.push_back(first);
        }
        self.take_in();
        self.round.append(&mut self.late);
        true
    }

    /// Waits for the end of a round, and meanwhile gives up on queries whose time is over.
    async fn expire_while(&mut self, round: impl Future<Output = bool>) -> bool {
        tokio::pin!(round);
        loop {
            let oldest = self.round.front().or(self.late.front());
            // A query that comes now has time until then.
            let until =
                oldest.map_or_else(|| Instant::now() + self.patience, |oldest| oldest.until);
            tokio::select! {
                biased;
                confirmed = &mut round => return confirmed,
                () = sleep_until(until) => {
                    self.expire();
                    yield_now().await;
                }
            }
        }
    }

    /// Gives up on some of the queries whose time is over.
    fn expire(&mut self) {
        self.take_in();
        let now = Instant::now();
        for queue in [&mut self.round, &mut self.late] {
            let expired = queue.partition_point(|waiter| waiter.until <= now);
            for waiter in queue.drain(..expired.min(AT_ONCE)) {
                waiter.tell(false);
            }
        }
    }

    async fn end_round(&mut self, confirmed: bool) {
        while !self.round.is_empty() {
            for waiter in self.round.drain(..self.round.len().min(AT_ONCE)) {
                waiter.tell(confirmed);
            }
            yield_now().await;
        }
    }

    fn take_in(&mut self) {
        while let Ok(waiter) = self.receiver.try_recv() {
            self.late.push_back(waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Notify, watch};

    use super::*;
    use crate::supervisor::Supervisor;

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
        let (barrier, rounds) = Barrier::new(PATIENCE, confirm);
        let served = tokio::spawn(async move { rounds.serve().await });
        let (told, mut tell) = mpsc::unbounded_channel();
        let wait = |name: &'static str| {
            let told = told.clone();
            let tell = move |confirmed| told.send((name, confirmed)).expect("it is waited for");
            assert!(barrier.wait(tell));
        };
        wait("a");
        wait("b");
        while calls.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        wait("late");
        gate.notify_one();
        assert_eq!(tell.recv().await, Some(("a", true)));
        assert_eq!(tell.recv().await, Some(("b", true)));
        while calls.load(Ordering::SeqCst) == 1 {
            yield_now().await;
        }
        assert!(
            tell.try_recv().is_err(),
            "it was not there when the read was sent"
        );
        gate.notify_one();
        assert_eq!(tell.recv().await, Some(("late", false)));
        assert_eq!(barrier.rounds(), 2);
        while !barrier.is_idle() {
            yield_now().await;
        }
        drop(barrier);
        served.await.expect("it ends with the last barrier");
    }

    /// Long enough for everything that should not take so long, even on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn each_query_waits_for_its_own_time() {
        let failed = Arc::new(Notify::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let confirm = {
            let (failed, calls) = (failed.clone(), calls.clone());
            move || {
                let (call, failed) = (calls.fetch_add(1, Ordering::SeqCst), failed.clone());
                async move {
                    // The first round does not end by itself, and fails.
                    if call == 0 {
                        failed.notified().await;
                    }
                    call > 0
                }
            }
        };
        let (barrier, rounds) = Barrier::new(PATIENCE, confirm);
        let served = tokio::spawn(async move { rounds.serve().await });
        let asked = || async {
            let start = Instant::now();
            (barrier.confirmed().await, start.elapsed() >= PATIENCE)
        };
        assert_eq!(asked().await, (false, true), "in the round");
        assert_eq!(asked().await, (false, true), "late for it");
        let end = async {
            while barrier.is_idle() {
                yield_now().await;
            }
            failed.notify_one();
        };
        let (last, ()) = tokio::join!(asked(), end);
        assert_eq!(last, (true, false), "late for it, and in time for the next");
        assert_eq!(barrier.rounds(), 2);
        while !barrier.is_idle() {
            yield_now().await;
        }
        drop(barrier);
        served.await.expect("it ends with the last barrier");
    }

    #[tokio::test]
    async fn a_query_that_panics_does_not_stop_the_others() {
        let (barrier, rounds) = Barrier::new(PATIENCE, || std::future::ready(true));
        let served = tokio::spawn(async move { rounds.serve().await });
        assert!(barrier.wait(|_| panic!("on purpose")));
        assert!(barrier.confirmed().await);
        while !barrier.is_idle() {
            yield_now().await;
        }
        drop(barrier);
        served.await.expect("it ends with the last barrier");
    }

    #[tokio::test]
    async fn a_round_that_panics_is_refused_and_the_next_one_is_not() {
        let calls = Arc::new(AtomicUsize::new(0));
        let confirm = {
            let calls = calls.clone();
            move || {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                async move {
                    assert!(call > 0, "on purpose");
                    true
                }
            }
        };
        // No query runs out of time.
        let (barrier, rounds) = Barrier::new(Duration::from_secs(3600), confirm);
        let (mut supervisor, rounds) = (Supervisor::default(), Arc::new(rounds));
        supervisor.task("a test", move |_| {
            let rounds = rounds.clone();
            async move { rounds.serve().await }
        });
        assert!(!barrier.confirmed().await);
        let next = tokio::time::timeout(Duration::from_secs(20), barrier.confirmed());
        assert!(next.await.expect("the barrier goes on"));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        drop(barrier);
        supervisor.end().await;
    }

    #[tokio::test]
    async fn waiting_queries_are_told_when_the_barrier_ends() {
        let patience = Duration::from_secs(3600);
        let (barrier, rounds) = Barrier::new(patience, std::future::pending);
        let (told, mut tell) = mpsc::unbounded_channel();
        for _ in 0..3 {
            let told = told.clone();
            assert!(barrier.wait(move |confirmed| told.send(confirmed).expect("it is waited for")));
        }
        drop(rounds);
        for _ in 0..3 {
            assert_eq!(tell.recv().await, Some(false));
        }
        assert!(barrier.is_idle());
        // A query that is refused is not called as well.
        let refused = told.clone();
        assert!(!barrier.wait(move |confirmed| refused.send(confirmed).expect("sent")));
        drop(told);
        assert_eq!(tell.recv().await, None);
        assert!(barrier.is_idle());
    }

    #[tokio::test]
    async fn others_have_their_turn_while_many_are_told() {
        const MANY: usize = 20 * AT_ONCE;
        let told = Arc::new(AtomicUsize::new(0));
        for patience in [Duration::from_secs(3600), Duration::ZERO] {
            // With no time to wait all of them expire in the round.
            let (barrier, rounds) = Barrier::new(patience, move || async move {
                match patience.is_zero() {
                    true => std::future::pending().await,
                    false => true,
                }
            });
            told.store(0, Ordering::SeqCst);
            for _ in 0..MANY {
                let told = told.clone();
                let count = move |_| {
                    told.fetch_add(1, Ordering::SeqCst);
                };
                assert!(barrier.wait(count));
            }
            let served = tokio::spawn(async move { rounds.serve().await });
            let (mut before, mut most) = (0, 0);
            while before < MANY {
                yield_now().await;
                let now = told.load(Ordering::SeqCst);
                most = most.max(now - before);
                before = now;
            }
            assert!(most <= 2 * AT_ONCE, "{most} at once");
            served.abort();
        }
    }

    #[tokio::test]
    async fn too_many_are_refused_while_others_wait() {
        let (end, ended) = watch::channel(false);
        // The round lasts until all of them wait.
        let (barrier, rounds) = Barrier::new(Duration::from_secs(3600), move || {
            let mut ended = ended.clone();
            async move {
                let _ = ended.wait_for(|ended| *ended).await;
                false
            }
        });
        let served = tokio::spawn(async move { rounds.serve().await });
        let (told, mut tell) = mpsc::unbounded_channel();
        let wait = || {
            let told = told.clone();
            barrier.wait(move |confirmed| told.send(confirmed).expect("it is waited for"))
        };
        assert!((0..WAITING_MAX).all(|_| wait()));
        while barrier.rounds() == 0 {
            yield_now().await;
        }
        assert!(!wait(), "whether they are in the channel or in a round");
        end.send_replace(true);
        for _ in 0..WAITING_MAX {
            assert_eq!(tell.recv().await, Some(false));
        }
        while !barrier.is_idle() {
            yield_now().await;
        }
        assert!(wait());
        served.abort();
    }
}
