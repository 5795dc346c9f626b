//! The barrier of `linearizable`: queries wait for one confirmation together.
//!
//! A query may be answered once the view has every write that was acknowledged before the query came. One linearizable
//! read of etcd says how far that is, for all queries that were waiting when it was sent; those that come meanwhile
//! wait for the next one. So however many queries come, etcd is asked once a round trip, and by no query itself. Each
//! query waits for so long and no longer, whatever the rounds do; only a panic, which is a bug, may add half a second.
//!
//! ```text
//! queries ──► waiting ──take all──► confirm (read, then wait for the view) ──► answered, or SERVFAIL
//!                ▲                                                        │
//!                └───────────────── those that came meanwhile ◄───────────┘
//! ```

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::supervisor::undeterred;

/// How many queries may wait. More get SERVFAIL at once, so that an outage cannot fill the memory.
const WAITING_MAX: usize = 65_536;

/// How many of them are told before others have their turn on the thread: each answers its query then.
const AT_ONCE: usize = 64;

/// A query that waits. If it is dropped before it was told, as by a panic, it is told that nothing is confirmed.
struct Waiter {
    /// Until when.
    until: Instant,
    /// What it does once it is known whether the view is complete.
    then: Option<Box<dyn FnOnce(bool) + Send>>,
    /// How many wait.
    count: Arc<AtomicUsize>,
}

impl Waiter {
    fn tell(mut self, confirmed: bool) {
        self.tell_once(confirmed);
    }

    fn tell_once(&mut self, confirmed: bool) {
        if let Some(then) = self.then.take() {
            undeterred("a query that has waited", || then(confirmed));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.tell_once(false);
        self.count.fetch_sub(1, Ordering::Release);
    }
}

/// Where queries wait.
#[derive(Clone, Debug)]
pub struct Barrier {
    waiting: mpsc::Sender<Waiter>,
    patience: Duration,
    count: Arc<AtomicUsize>,
    rounds: Arc<AtomicU64>,
}

impl Barrier {
    /// A barrier at which each query waits for at most `patience`, and its rounds, which somebody has to serve. `confirm`
    /// says whether the view has all that was written before it was called; it has to come to an end.
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

    /// Calls `then` when it is known whether the view is complete. Does not wait itself; false where too many do.
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
                // The caller answers it.
                refused.into_inner().then = None;
                false
            }
        }
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

/// What the barrier asks, and for whom.
pub struct Rounds<C> {
    queue: Mutex<Queue>,
    confirm: C,
}

impl<C: Fn() -> F, F: Future<Output = bool>> Rounds<C> {
    /// Serves those who wait, as long as any may come. If it was given up in the middle of a round, as by a panic, the
    /// queries of that round are refused.
    pub async fn serve(&self) {
        let mut queue = self.queue.lock().await;
        queue.end_round(false).await;
        queue.serve(&self.confirm).await;
    }
}

/// The queries that wait, the oldest first.
struct Queue {
    receiver: mpsc::Receiver<Waiter>,
    patience: Duration,
    /// Those that the round under way is for.
    round: VecDeque<Waiter>,
    /// Those that came after it had begun.
    late: VecDeque<Waiter>,
    /// How many rounds there were.
    rounds: Arc<AtomicU64>,
}

impl Queue {
    /// One round after the other, as long as queries may come.
    async fn serve<F: Future<Output = bool>>(&mut self, confirm: &impl Fn() -> F) {
        while self.next_round().await {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let confirmed = self.expire_while(confirm()).await;
            self.end_round(confirmed).await;
        }
    }

    /// Waits for queries, and begins a round with all that are there. False where none will come any more.
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

    /// Waits for the end of a round, and meanwhile lets go whoever has waited for long enough.
    async fn expire_while(&mut self, round: impl Future<Output = bool>) -> bool {
        tokio::pin!(round);
        loop {
            let oldest = self.round.front().or(self.late.front());
            // Who comes now waits until then.
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

    /// Lets some of those go that have waited for long enough.
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

    /// Time enough for whatever is not waited for, even on a machine that is busy.
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
                    // The first round does not end by itself, and comes to nothing.
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
    async fn one_that_panics_does_not_hold_up_the_others() {
        let (barrier, rounds) = Barrier::new(PATIENCE, || std::future::ready(true));
        let served = tokio::spawn(async move { rounds.serve().await });
        assert!(barrier.wait(|_| panic!("as this test wants it")));
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
                    assert!(call > 0, "as this test wants it");
                    true
                }
            }
        };
        // Nobody is told because its time is up.
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
    async fn whoever_waits_is_told_also_where_the_barrier_ends() {
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
        // One that is refused is not told besides.
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
        // As long as it takes until all of them wait.
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
