//! Recorded histories of one zone, and checkers of what the zone promises.
//!
//! A history is what clients saw: writes and queries, each from the moment it was asked for to the moment its outcome
//! was known. Every RRset of the zone is a register that starts out absent; a write gives it a value that no other
//! write gives, or removes it. From that follows what may be answered, whatever the faults were:
//!
//! | rule | holds for | says |
//! |---|---|---|
//! | [`Rule::Unanswered`] | all | a front-end that is up answers every query |
//! | [`Rule::Wrong`] | all | an answer is the RRset, NXDOMAIN or SERVFAIL |
//! | [`Rule::NobodyWrote`] | all | a value that is served was written, and not refused |
//! | [`Rule::WentBack`] | all | a front-end never shows an older state than it has shown, on any RRset, nor an older serial |
//! | [`Rule::Lost`], [`Rule::Apart`] | all | the last answers have the last acknowledged writes, the same everywhere, and are what etcd holds |
//! | [`Rule::Journal`] | all | the journal has every write that was done, exactly once and at its acknowledged revision; its order agrees with real time |
//! | [`Rule::Unavailable`] | `available` | an answer is never SERVFAIL |
//! | [`Rule::TooOld`] | `bounded` | an answer, and a serial, was current within the limit before the query, or during it |
//! | [`Rule::NotLinearizable`] | `linearizable` | the operations on each RRset have an order that a register explains; serials have all writes acknowledged before |
//!
//! This folder is pure: instants come from whoever records ([`crate::clients`]).

mod journal;
mod linearizable;
mod serials;
mod state;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use journal::Entry;
pub use violation::{Rule, Violation};

use serials::Serials;
use state::States;
use violation::Violations;

/// What `bounded` may be exceeded by: front-ends count in milliseconds.
const ALLOWANCE: Duration = Duration::from_millis(10);

/// How long before its end a front-end may have taken a query that it did not come to answer: it answers at once, but
/// where a query waits for etcd.
const GRACE: Duration = Duration::from_millis(250);
const GRACE_LINEARIZABLE: Duration = Duration::from_millis(2_500);

/// From the moment something was asked for to the moment its outcome was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The beginning.
    pub start: Instant,
    /// The end, not before the beginning.
    pub end: Instant,
}

/// A write of one RRset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The RRset, by any name that queries use, too.
    pub rrset: String,
    /// The value, which no other write of the RRset has; none removes it.
    pub value: Option<String>,
    /// When.
    pub span: Span,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether its writer keeps the journal.
    pub is_recorded: bool,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, at this revision. No revision where it is not known exactly: there was nothing to change, or an
    /// answer of etcd was lost.
    Acknowledged(Option<i64>),
    /// It was not done, and will not be.
    Refused,
    /// It was done at any time after its start, or will be, or never.
    Unknown,
}

/// A query to one front-end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The front-end. One that is started again keeps its name.
    pub frontend: String,
    /// The RRset.
    pub rrset: String,
    /// When. It ends with the answer, or when the client gave up.
    pub span: Span,
    /// What was answered.
    pub reply: Reply,
    /// The serial of the SOA record in the answer, in zones whose serial is the revision of their last change.
    pub serial: Option<u32>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The RRset has this value.
    Value(String),
    /// There is no such RRset.
    Absent,
    /// The SOA record was asked for: [`Query::serial`] says it all.
    Soa,
    /// SERVFAIL: nothing is said about the RRset.
    ServFail,
    /// No answer came.
    Unanswered,
    /// Anything else, as text.
    Wrong(String),
}

impl Reply {
    /// What it says about the RRset: its value or its absence; nothing if it says nothing.
    fn says(&self) -> Option<Option<&str>> {
        match self {
            Reply::Value(value) => Some(Some(value)),
            Reply::Absent => Some(None),
            _ => None,
        }
    }
}

/// What a zone promises about freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Answers, from the last data that came.
    Available,
    /// Answers that were current so long ago at the most.
    Bounded(Duration),
    /// Answers with every write that was acknowledged before the query.
    Linearizable,
}

/// Operations on one zone, in any order.
#[derive(Clone, Debug)]
pub struct History {
    /// Times are told relative to this.
    origin: Instant,
    writes: Vec<Write>,
    queries: Vec<Query>,
    /// Queries after all writes and faults.
    last: Vec<Query>,
    /// What etcd itself had then, by RRset.
    held: BTreeMap<String, Option<String>>,
    /// The zone's journal, if it was read then.
    journal: Option<Vec<Entry>>,
    down: Vec<(String, Span)>,
    unsynced: Vec<(String, Span)>,
}

/// The operations on one RRset.
#[derive(Clone, Debug, Default)]
struct Register<'h> {
    writes: Vec<&'h Write>,
    queries: Vec<&'h Query>,
}

impl History {
    /// Nothing has happened. In explanations times are seconds after `origin`.
    pub fn new(origin: Instant) -> Self {
        History {
            origin,
            writes: Vec::new(),
            queries: Vec::new(),
            last: Vec::new(),
            held: BTreeMap::new(),
            journal: None,
            down: Vec::new(),
            unsynced: Vec::new(),
        }
    }

    /// Records a write.
    pub fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Records a query.
    pub fn query(&mut self, query: Query) {
        self.queries.push(query);
    }

    /// Records a query that came when all writes had ended and all faults were healed: it must show the last state.
    pub fn last(&mut self, query: Query) {
        self.last.push(query);
    }

    /// Records what etcd itself holds of an RRset when all writes have ended, those of unknown outcome, too.
    pub fn held(&mut self, rrset: &str, value: Option<String>) {
        self.held.insert(rrset.into(), value);
    }

    /// Records the zone's journal when all writes have ended.
    pub fn journal(&mut self, entries: Vec<Entry>) {
        self.journal = Some(entries);
    }

    /// A front-end was deliberately kept from answering: killed, or frozen.
    pub fn down(&mut self, frontend: &str, span: Span) {
        self.down.push((frontend.into(), span));
    }

    /// A front-end had started and had nothing to answer from yet: it had to say SERVFAIL.
    pub fn unsynced(&mut self, frontend: &str, span: Span) {
        self.unsynced.push((frontend.into(), span));
    }

    /// The writes so far.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The queries so far, without the last ones.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// Checks all that the promise and every zone asks for. Of each rule the first few violations are told.
    pub fn check(&self, promise: &Promise) -> Result<(), Vec<Violation>> {
        let mut found = Violations::default();
        self.check_answered(promise, &mut found);
        let (registers, serials) = (self.registers(), Serials::of(&self.writes));
        let mut states = BTreeMap::<&str, States<'_>>::new();
        for (name, register) in &registers {
            states.insert(name, States::of(self.origin, register));
        }
        for query in self.all_queries() {
            self.check_written(query, &states[query.rrset.as_str()], &mut found);
            if let Promise::Bounded(limit) = promise {
                let rule = (Rule::TooOld, *limit + ALLOWANCE);
                self.check_age(query, rule, &states[query.rrset.as_str()], &mut found);
                self.check_serial(query, rule, &serials, &mut found);
            }
            if *promise == Promise::Linearizable {
                let rule = (Rule::NotLinearizable, Duration::ZERO);
                self.check_serial(query, rule, &serials, &mut found);
            }
        }
        for query in &self.last {
            self.check_serial(query, (Rule::Lost, Duration::ZERO), &serials, &mut found);
        }
        self.check_order(&states, &mut found);
        self.check_last(&states, &mut found);
        if let Some(entries) = &self.journal {
            journal::check(&self.writes, entries, self.origin, &mut found);
        }
        if *promise == Promise::Linearizable {
            for register in registers.values() {
                if let Err(least) = linearizable::check(register) {
                    let lines = least.iter().map(|operation| operation.tell(self.origin));
                    found.add(Rule::NotLinearizable, lines);
                }
            }
        }
        found.end()
    }

    fn all_queries(&self) -> impl Iterator<Item = &Query> {
        self.queries.iter().chain(&self.last)
    }

    fn registers(&self) -> BTreeMap<&str, Register<'_>> {
        let mut registers = BTreeMap::<&str, Register<'_>>::new();
        for write in &self.writes {
            let register = registers.entry(&write.rrset).or_default();
            register.writes.push(write);
        }
        for query in self.all_queries() {
            let register = registers.entry(&query.rrset).or_default();
            register.queries.push(query);
        }
        registers
    }

    fn check_answered(&self, promise: &Promise, found: &mut Violations) {
        for query in self.all_queries() {
            let grace = match promise {
                Promise::Linearizable => GRACE_LINEARIZABLE,
                _ => GRACE,
            };
            let is_down = || is_within(&self.down, query, grace);
            let rule = match query.reply {
                Reply::Wrong(_) => Rule::Wrong,
                Reply::Unanswered if !is_down() => Rule::Unanswered,
                Reply::ServFail
                    if *promise == Promise::Available
                        && !is_down()
                        && !is_within(&self.unsynced, query, GRACE) =>
                {
                    Rule::Unavailable
                }
                _ => continue,
            };
            found.add(rule, [query.tell(self.origin)]);
        }
    }

    fn check_written(&self, query: &Query, states: &States<'_>, found: &mut Violations) {
        let Some(said) = query.reply.says() else {
            return;
        };
        if states.shown(said, query.span).next().is_none() {
            let refused = states.writes_of(said).map(|write| write.tell(self.origin));
            let lines = refused.chain([query.tell(self.origin)]);
            found.add(Rule::NobodyWrote, lines);
        }
    }

    /// What is answered was current at some time of the query, or so long before it.
    fn check_age(
        &self,
        query: &Query,
        (rule, limit): (Rule, Duration),
        states: &States<'_>,
        found: &mut Violations,
    ) {
        let Some(said) = query.reply.says() else {
            return;
        };
        let Some(oldest) = query.span.start.checked_sub(limit) else {
            return;
        };
        let mut over = Vec::new();
        for state in states.shown(said, query.span) {
            match state.over {
                Some(next) if next.span.end < oldest => over.extend([state.write, Some(next)]),
                _ => return,
            }
        }
        if over.is_empty() {
            // Nobody wrote it, which is told already.
            return;
        }
        let lines = over.iter().flatten().map(|write| write.tell(self.origin));
        found.add(rule, lines.chain([query.tell(self.origin)]));
    }

    /// A serial has every write in it that was acknowledged so long before the query.
    fn check_serial(
        &self,
        query: &Query,
        (rule, limit): (Rule, Duration),
        serials: &Serials<'_>,
        found: &mut Violations,
    ) {
        let oldest = query.span.start.checked_sub(limit);
        if let Some((serial, oldest)) = query.serial.zip(oldest)
            && let Some(write) = serials.lacks(serial, oldest)
        {
            found.add(rule, [write.tell(self.origin), query.tell(self.origin)]);
        }
    }

    /// Of two queries to a front-end, one after the other, the second one shows no older state.
    fn check_order(&self, states: &BTreeMap<&str, States<'_>>, found: &mut Violations) {
        let mut frontends = BTreeMap::<&str, Vec<&Query>>::new();
        for query in self.all_queries() {
            frontends.entry(&query.frontend).or_default().push(query);
        }
        for mut queries in frontends.into_values() {
            queries.sort_by_key(|query| query.span.end);
            let mut ended = queries.clone().into_iter().peekable();
            queries.sort_by_key(|query| query.span.start);
            // The newest revision that was shown before, and by what.
            let mut floor: Option<(i64, &Query)> = None;
            for query in queries {
                let states_of = |query: &Query| &states[query.rrset.as_str()];
                while let Some(earlier) = ended.next_if(|other| other.span.end < query.span.start) {
                    let shown = states_of(earlier).revision(earlier);
                    let newest = floor.map(|(revision, _)| revision);
                    floor = shown
                        .filter(|_| shown > newest)
                        .map(|at| (at, earlier))
                        .or(floor);
                }
                let Some((revision, earlier)) = floor else {
                    continue;
                };
                if let Some(lacking) = states_of(query).older_than(revision, query) {
                    let lacking = lacking.map(|write| write.tell(self.origin));
                    let asked = [earlier, query].map(|query| query.tell(self.origin));
                    found.add(Rule::WentBack, lacking.into_iter().chain(asked));
                }
            }
        }
    }

    /// All last answers show the last state, and the same one.
    fn check_last(&self, states: &BTreeMap<&str, States<'_>>, found: &mut Violations) {
        let mut first = BTreeMap::<&str, &Query>::new();
        for query in &self.last {
            let rule = (Rule::Lost, Duration::ZERO);
            self.check_age(query, rule, &states[query.rrset.as_str()], found);
            if let (Some(held), Some(said)) = (self.held.get(&query.rrset), query.reply.says())
                && held.as_deref() != said
            {
                let held = format!("the store holds {} = {held:?}", query.rrset);
                found.add(Rule::Lost, [held, query.tell(self.origin)]);
            }
            let first = *first.entry(&query.rrset).or_insert(query);
            let answered = query.reply.says().is_some() || query.reply == Reply::Soa;
            if !answered || (&first.reply, first.serial) != (&query.reply, query.serial) {
                let lines = [first.tell(self.origin), query.tell(self.origin)];
                found.add(Rule::Apart, lines);
            }
        }
    }
}

/// Whether a query began in any of the times of its front-end, or so shortly before that it may not have been answered.
fn is_within(times: &[(String, Span)], query: &Query, grace: Duration) -> bool {
    let start = query.span.start;
    let mut times = times.iter();
    times.any(|(frontend, span)| {
        *frontend == query.frontend && start + grace >= span.start && start <= span.end
    })
}
