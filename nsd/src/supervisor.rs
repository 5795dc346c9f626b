//! Owns tasks and threads: starts them, restarts them after a panic, and ends them together.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

/// The pause before a task is restarted: the same panic would most likely come again at once.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a thread is restarted after a panic during shutdown.
const RESTARTS_MAX: u32 = 3;

/// Tasks and threads that end together. Dropping it aborts the tasks and tells the threads to stop.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: Stop,
    tasks: JoinSet<()>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Tells tasks and threads to stop when it is dropped.
#[derive(Debug, Default)]
struct Stop {
    tasks: CancellationToken,
    threads: StopFlag,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.tasks.cancel();
        self.threads.0.store(true, Ordering::Relaxed);
    }
}

/// Tells a thread to stop. Threads check it before every batch of queries; a cancellation token would take a lock.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether the thread has to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Supervisor {
    /// Starts a task. It has to return soon after the token is cancelled, and not before. If it panics, which is a bug,
    /// it is restarted.
    pub fn task<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        what: &'static str,
        mut start: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) {
        let stop = self.stop.tasks.clone();
        self.tasks.spawn(async move {
            loop {
                let mut running = AbortOnDropHandle::new(tokio::spawn(start(stop.clone())));
                let ended = tokio::select! {
                    ended = &mut running => ended,
                    () = stop.cancelled() => {
                        // Drops what only a restart needs, such as a socket, so that the task's copy is the last.
                        drop(start);
                        if running.await.is_err_and(|failed| failed.is_panic()) {
                            error!(what, "panicked during shutdown, which is a bug");
                        }
                        return;
                    }
                };
                match ended {
                    Err(failed) if failed.is_panic() => {
                        error!(what, "panicked, which is a bug: restarting it");
                    }
                    _ if stop.is_cancelled() => return,
                    _ => error!(what, "ended too early, which is a bug: restarting it"),
                }
                if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Starts a thread. Its work has to return soon after the flag is set, and not before. If it panics, which is a
    /// bug, it is restarted at once.
    pub fn thread(
        &mut self,
        name: String,
        what: &'static str,
        work: impl Fn(&StopFlag) + Send + 'static,
    ) -> io::Result<()> {
        let stop = self.stop.threads.clone();
        let keep = move || {
            let mut restarts = 0;
            loop {
                let is_done = contain_panic(what, || work(&stop));
                if !stop.is_set() {
                    continue;
                }
                // Restarts also during shutdown, so that the work can drain, but not for ever.
                if is_done || restarts == RESTARTS_MAX {
                    return;
                }
                restarts += 1;
            }
        };
        let thread = thread::Builder::new().name(name).spawn(keep)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all tasks and threads, and waits for them.
    pub async fn end(self) {
        let Supervisor {
            stop,
            mut tasks,
            threads,
        } = self;
        drop(stop);
        while tasks.join_next().await.is_some() {}
        let join = || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

/// Runs `work` and contains a panic: one query that triggers a bug must not stop the answers to all others. Returns
/// false if it panicked.
pub fn contain_panic(what: &str, work: impl FnOnce()) -> bool {
    // Unwind-safe: shared state is either replaced as a whole or a counter.
    let done = catch_unwind(AssertUnwindSafe(work)).is_ok();
    if !done {
        error!(
            what,
            "panicked, which is a bug: this work is dropped, serving continues"
        );
    }
    done
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_task_is_restarted_until_shutdown() {
        let mut supervisor = Supervisor::default();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut starts = 0;
        supervisor.task("a test", move |stop| {
            starts += 1;
            let (start, tell) = (starts, tell.clone());
            async move {
                tell.send(format!("start {start}")).expect("it is read");
                match start {
                    1 => panic!("on purpose"),
                    2 => {}
                    _ => stop.cancelled().await,
                }
                tell.send(format!("end {start}")).expect("it is read");
            }
        });
        for line in ["start 1", "start 2", "end 2", "start 3"] {
            assert_eq!(told.recv().await.as_deref(), Some(line));
        }
        supervisor.end().await;
        assert_eq!(told.recv().await.as_deref(), Some("end 3"));
        assert_eq!(told.recv().await, None, "nothing is left of it");
    }

    #[tokio::test]
    async fn a_thread_is_restarted_until_shutdown() {
        let mut supervisor = Supervisor::default();
        let rounds = Arc::new(AtomicU32::new(0));
        let (tell, mut told) = mpsc::unbounded_channel();
        let counted = rounds.clone();
        let work = move |stop: &StopFlag| {
            assert!(counted.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
            tell.send(()).expect("it is read");
            while !stop.is_set() {
                thread::yield_now();
            }
        };
        supervisor
            .thread("test".into(), "a test", work)
            .expect("a thread");
        assert_eq!(told.recv().await, Some(()), "it was started again");
        supervisor.end().await;
        assert_eq!(told.recv().await, None, "it has ended");
        assert_eq!(rounds.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_thread_that_panics_during_shutdown_is_restarted() {
        let mut supervisor = Supervisor::default();
        let rounds = Arc::new(AtomicU32::new(0));
        let counted = rounds.clone();
        let work = move |stop: &StopFlag| {
            while !stop.is_set() {
                thread::yield_now();
            }
            assert!(counted.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        };
        supervisor
            .thread("test".into(), "a test", work)
            .expect("a thread");
        supervisor.end().await;
        assert_eq!(rounds.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_thread_that_always_panics_ends_at_shutdown() {
        let mut supervisor = Supervisor::default();
        let work = |stop: &StopFlag| {
            while !stop.is_set() {
                thread::yield_now();
            }
            panic!("on purpose");
        };
        supervisor
            .thread("test".into(), "a test", work)
            .expect("a thread");
        supervisor.end().await;
    }

    #[tokio::test]
    async fn what_only_a_restart_needs_is_dropped_at_shutdown() {
        let mut supervisor = Supervisor::default();
        let socket = Arc::new(());
        let seen = Arc::downgrade(&socket);
        let (tell, mut told) = mpsc::unbounded_channel();
        supervisor.task("a test", move |stop| {
            let (socket, seen, tell) = (socket.clone(), seen.clone(), tell.clone());
            async move {
                stop.cancelled().await;
                drop(socket);
                while seen.strong_count() > 0 {
                    tokio::task::yield_now().await;
                }
                let _ = tell.send(());
            }
        });
        supervisor.end().await;
        assert_eq!(told.recv().await, Some(()));
    }
}
