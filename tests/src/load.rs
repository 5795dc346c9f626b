//! A constant load of queries, every answer to which is checked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::dns::{parse, query};

/// After this time an answer counts as missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the machine is so busy that the load is that late, what it has missed is left out: all in one go would not
/// fit into the sockets' buffers, and what is lost there tells nothing of the server.
const LATE: Duration = Duration::from_millis(20);

/// Answers that come at once, as those to all that waited for one read of etcd do, have to fit in.
const BUFFER_OCTETS: usize = 4 << 20;

/// EDE of an answer that could not be proved to be fresh enough (RFC 8914 4.24).
const EDE_NETWORK_ERROR: u16 = 23;

enum Verdict {
    Right,
    Refused,
}

/// A question, and the answer that it must get.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The name to ask for.
    pub name: String,
    /// The type.
    pub rtype: Rtype,
    /// The code.
    pub rcode: &'static str,
    /// The answer section.
    pub answers: Vec<String>,
}

impl Expected {
    /// Records that are there.
    pub fn records(name: &str, rtype: Rtype, answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| answer.to_string()).collect();
        Expected {
            name: name.into(),
            rtype,
            rcode: "NOERROR",
            answers,
        }
    }

    /// A name that is not there.
    pub fn nothing(name: &str) -> Self {
        Expected {
            name: name.into(),
            rtype: Rtype::A,
            rcode: "NXDOMAIN",
            answers: Vec::new(),
        }
    }

    fn check(&self, response: &[u8]) -> Result<Verdict, String> {
        let answer = parse(response)?;
        if answer.rcode == "SERVFAIL" && answer.ede == [EDE_NETWORK_ERROR] {
            Ok(Verdict::Refused)
        } else if answer.rcode == self.rcode
            && answer.aa
            && !answer.tc
            && answer.answers == self.answers
        {
            Ok(Verdict::Right)
        } else {
            Err(format!("for {} {}: {answer:?}", self.name, self.rtype))
        }
    }
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Queries sent.
    pub sent: u64,
    /// Right answers.
    pub right: u64,
    /// Queries without an answer.
    pub unanswered: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Refusals (SERVFAIL), as what the zone promises could not be proved.
    pub refused: u64,
    /// What was wrong, the first few times.
    pub faults: Vec<String>,
}

/// A load that goes on until it is stopped.
pub struct Load {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Report>,
}

impl Load {
    /// At most so many queries a second over UDP, the questions in turn.
    pub async fn start(server: SocketAddr, rate: u32, questions: Vec<Expected>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0")
            .await
            .expect("a port of the kernel's choice");
        socket
            .connect(server)
            .await
            .expect("UDP connects to anything");
        // The kernel may give less.
        socket2::SockRef::from(&socket)
            .set_recv_buffer_size(BUFFER_OCTETS)
            .expect("any size will do");
        let (stop, stopped) = oneshot::channel();
        let run = Run {
            socket,
            questions,
            pending: HashMap::new(),
            report: Report::default(),
        };
        Load {
            stop,
            task: tokio::spawn(run.go(rate, stopped)),
        }
    }

    /// Sends no more, waits for the answers that are due, and reports.
    pub async fn stop(self) -> Report {
        // Closed only where the task has panicked, which the next line tells.
        let _ = self.stop.send(());
        self.task.await.expect("a load does not panic")
    }
}

struct Run {
    socket: UdpSocket,
    questions: Vec<Expected>,
    /// By id: when it was asked, and which question.
    pending: HashMap<u16, (Instant, usize)>,
    report: Report,
}

impl Run {
    async fn go(mut self, rate: u32, mut stopped: oneshot::Receiver<()>) -> Report {
        let mut due = interval(Duration::from_secs(1) / rate);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut buffer = vec![0; 65_535];
        loop {
            tokio::select! {
                // First those that wait in the buffer.
                biased;
                received = self.socket.recv(&mut buffer) => self.received(received, &buffer),
                _ = &mut stopped => break,
                tick = due.tick() => {
                    self.send().await;
                    if tick.elapsed() > LATE {
                        due.reset();
                    }
                }
            }
        }
        let last = Instant::now();
        while !self.pending.is_empty() && last.elapsed() < PATIENCE {
            if let Ok(received) = timeout(PATIENCE, self.socket.recv(&mut buffer)).await {
                self.received(received, &buffer);
            }
        }
        self.report.unanswered += self.pending.len() as u64;
        self.report
    }

    async fn send(&mut self) {
        let id = self.report.sent as u16;
        let index = self.report.sent as usize % self.questions.len();
        let question = &self.questions[index];
        self.pending.retain(|_, (asked, _)| {
            let waits = asked.elapsed() < PATIENCE;
            self.report.unanswered += u64::from(!waits);
            waits
        });
        self.report.sent += 1;
        match self
            .socket
            .send(&query(id, &question.name, question.rtype))
            .await
        {
            Ok(_) => drop(self.pending.insert(id, (Instant::now(), index))),
            Err(error) => self.unsent(&error),
        }
    }

    fn unsent(&mut self, error: &std::io::Error) {
        self.report.unanswered += 1;
        self.fault(format!("not sent: {error}"));
    }

    fn received(&mut self, received: std::io::Result<usize>, buffer: &[u8]) {
        let length = match received {
            Ok(length) => length,
            // The front-end's socket is gone; the query that found out stays without an answer.
            Err(error) => return self.fault(format!("not received: {error}")),
        };
        let response = &buffer[..length];
        let id = response.first_chunk().map(|id| u16::from_be_bytes(*id));
        let Some((_, index)) = id.and_then(|id| self.pending.remove(&id)) else {
            self.report.wrong += 1;
            return self.fault(format!(
                "nobody asked, or too long ago: {:?}",
                parse(response)
            ));
        };
        match self.questions[index].check(response) {
            Ok(Verdict::Right) => self.report.right += 1,
            Ok(Verdict::Refused) => self.report.refused += 1,
            Err(fault) => {
                self.report.wrong += 1;
                self.fault(fault);
            }
        }
    }

    fn fault(&mut self, fault: String) {
        if self.report.faults.len() < 5 {
            self.report.faults.push(fault);
        }
    }
}
