//! Whether the operations on one RRset are those of a register: each one takes effect at one moment between its start
//! and its end.
//!
//! The search is Wing and Gong's with Lowe's memory ("Testing for linearizability", 2017), done just in time: it goes
//! through the starts and ends in the order of time and keeps all configurations that explain what has ended so far. A
//! configuration is the value of the register and which of the operations under way have taken effect. At the end of
//! an operation those remain in which it has; if none does, this operation is the first one that cannot be placed.
//!
//! What keeps the configurations few:
//! - A query takes effect as soon as the register has its value: that takes nothing from any other operation.
//! - A write of unknown outcome whose value nobody saw need not have happened. One whose value was seen had happened by
//!   the end of the first query that saw it.
//! - Writes take effect in the order of their revisions, where these are known.
//! - A removal of unknown outcome is needed only right before a query that finds nothing. All that have started are as
//!   good as each other, so they are counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use super::{Outcome, Query, Register, Write};

/// An operation, for explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation<'h> {
    Write(&'h Write),
    Query(&'h Query),
}

impl<'h> Operation<'h> {
    fn value(self) -> Option<&'h str> {
        match self {
            Operation::Write(write) => write.value.as_deref(),
            Operation::Query(query) => query.reply.says().flatten(),
        }
    }

    fn start(self) -> Instant {
        match self {
            Operation::Write(write) => write.span.start,
            Operation::Query(query) => query.span.start,
        }
    }

    /// The revision that it made, where that is known.
    fn revision(self) -> Option<i64> {
        match self {
            Operation::Write(write) => match write.outcome {
                Outcome::Acknowledged(revision) => revision,
                Outcome::Refused | Outcome::Unknown => None,
            },
            Operation::Query(_) => None,
        }
    }

    fn is_write(self) -> bool {
        matches!(self, Operation::Write(_))
    }

    pub(super) fn tell(self, origin: Instant) -> String {
        match self {
            Operation::Write(write) => write.tell(origin),
            Operation::Query(query) => query.tell(origin),
        }
    }
}

/// The operations that say something, or as few of them as show that no order explains them.
pub(super) fn check<'h>(register: &Register<'h>) -> Result<(), Vec<Operation<'h>>> {
    let answered = |query: &&Query| query.reply.says().is_some();
    let queries = register.queries.iter().copied().filter(answered);
    let done = |write: &&Write| write.outcome != Outcome::Refused;
    let writes = register.writes.iter().copied().filter(done);
    let mut operations: Vec<Operation<'h>> = writes.map(Operation::Write).collect();
    operations.extend(queries.map(Operation::Query));
    operations.sort_by_key(|operation| operation.start());
    match first_misplaced(&operations) {
        None => Ok(()),
        Some(end) => Err(shrink(operations, end)),
    }
}

/// Leaves out whatever the contradiction does not need.
fn shrink(mut operations: Vec<Operation<'_>>, end: Instant) -> Vec<Operation<'_>> {
    operations.retain(|operation| operation.start() <= end);
    let mut size = operations.len().div_ceil(2);
    loop {
        let mut from = 0;
        while from < operations.len() {
            let rest = without(&operations, from..(from + size).min(operations.len()));
            if rest.len() < operations.len() && first_misplaced(&rest).is_some() {
                operations = rest;
            } else {
                from += size;
            }
        }
        if size == 1 {
            break;
        }
        size = size.div_ceil(2);
    }
    let all = operations.clone();
    operations.retain(|operation| !is_old_removal(operation, &all));
    operations
}

/// Whether an operation is a removal that was over before any query that found nothing.
fn is_old_removal(operation: &Operation<'_>, all: &[Operation<'_>]) -> bool {
    let Operation::Write(removal @ Write { value: None, .. }) = operation else {
        return false;
    };
    let empty = |query: &&Operation<'_>| !query.is_write() && query.value().is_none();
    all.iter().any(|next| match next {
        Operation::Write(next) if matches!(next.outcome, Outcome::Acknowledged(_)) => {
            let mut empty = all.iter().filter(empty);
            removal.span.end < next.span.start && empty.all(|query| next.span.end < query.start())
        }
        _ => false,
    })
}

/// Leaves a range out, but for writes whose value a query of the rest has.
fn without<'h>(operations: &[Operation<'h>], range: std::ops::Range<usize>) -> Vec<Operation<'h>> {
    let kept = || {
        operations[..range.start]
            .iter()
            .chain(&operations[range.end..])
    };
    let queries = kept().filter(|operation| !operation.is_write());
    let needed: HashSet<Option<&str>> = queries.map(|query| query.value()).collect();
    let enumerated = operations.iter().enumerate();
    let rest = enumerated.filter(|(index, operation)| {
        !range.contains(index) || (operation.is_write() && needed.contains(&operation.value()))
    });
    rest.map(|(_, operation)| *operation).collect()
}

/// A start or an end; at one instant starts come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start(usize),
    End(usize),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<'h> {
    value: Option<&'h str>,
    /// The highest revision of the writes that have taken effect.
    revision: i64,
    /// The operations under way that have taken effect.
    done: BTreeSet<usize>,
    /// How many removals of unknown outcome were needed so far.
    removed: usize,
}

/// The end of the first operation that cannot be placed.
fn first_misplaced(operations: &[Operation<'_>]) -> Option<Instant> {
    let start = Configuration {
        value: None,
        revision: 0,
        done: BTreeSet::new(),
        removed: 0,
    };
    let mut search = Search {
        operations,
        pending: BTreeSet::new(),
        removable: 0,
        configurations: HashSet::from([start]),
    };
    for (at, step) in steps(operations) {
        match step {
            Step::Start(index) => search.start(index),
            Step::End(index) => {
                search.end(index);
                if search.configurations.is_empty() {
                    return Some(at);
                }
            }
        }
    }
    None
}

fn steps(operations: &[Operation<'_>]) -> Vec<(Instant, Step)> {
    let mut first_seen = BTreeMap::<&str, Instant>::new();
    for operation in operations {
        if let (Operation::Query(query), Some(value)) = (operation, operation.value()) {
            let end = first_seen.entry(value).or_insert(query.span.end);
            *end = query.span.end.min(*end);
        }
    }
    let mut steps = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let end = match operation {
            Operation::Query(query) => Some(query.span.end),
            Operation::Write(write) if write.outcome == Outcome::Unknown => match &write.value {
                Some(value) => match first_seen.get(value.as_str()) {
                    // Before its start: the query that saw it cannot be placed, whatever the order.
                    Some(end) => Some((*end).max(write.span.start)),
                    None => continue,
                },
                None => None,
            },
            Operation::Write(write) => Some(write.span.end),
        };
        steps.push((operation.start(), Step::Start(index)));
        steps.extend(end.map(|end| (end, Step::End(index))));
    }
    steps.sort();
    steps
}

struct Search<'s, 'h> {
    operations: &'s [Operation<'h>],
    /// What has started and not ended.
    pending: BTreeSet<usize>,
    /// How many removals of unknown outcome have started.
    removable: usize,
    configurations: HashSet<Configuration<'h>>,
}

impl<'h> Search<'_, 'h> {
    fn start(&mut self, index: usize) {
        match self.operations[index] {
            Operation::Write(write)
                if write.outcome == Outcome::Unknown && write.value.is_none() =>
            {
                self.removable += 1;
            }
            Operation::Write(_) => {
                self.pending.insert(index);
            }
            Operation::Query(_) => {
                self.pending.insert(index);
                let all = std::mem::take(&mut self.configurations).into_iter();
                self.configurations = all.map(|one| self.queried(one)).collect();
            }
        }
    }

    fn end(&mut self, index: usize) {
        let mut open: Vec<_> = self.configurations.drain().collect();
        let mut met: HashSet<_> = open.iter().cloned().collect();
        let mut kept = HashSet::new();
        while let Some(mut configuration) = open.pop() {
            if configuration.done.remove(&index) {
                kept.insert(configuration);
                continue;
            }
            for next in self.next(&configuration) {
                if met.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        self.pending.remove(&index);
        self.configurations = kept;
    }

    /// What one more write makes of a configuration.
    fn next(&self, of: &Configuration<'h>) -> Vec<Configuration<'h>> {
        let open = || self.pending.iter().filter(|index| !of.done.contains(index));
        let mut all = Vec::new();
        for &index in open().filter(|index| self.operations[**index].is_write()) {
            let mut next = of.clone();
            if let Some(revision) = self.operations[index].revision() {
                if revision < next.revision {
                    continue;
                }
                next.revision = revision;
            }
            next.value = self.operations[index].value();
            next.done.insert(index);
            all.push(self.queried(next));
        }
        let finds_nothing = |index: &usize| {
            let operation = self.operations[*index];
            !operation.is_write() && operation.value().is_none()
        };
        if of.removed < self.removable && open().any(finds_nothing) {
            let mut next = of.clone();
            next.value = None;
            next.removed += 1;
            all.push(self.queried(next));
        }
        all
    }

    /// All queries under way that the value answers take effect.
    fn queried(&self, mut configuration: Configuration<'h>) -> Configuration<'h> {
        for &index in &self.pending {
            let operation = self.operations[index];
            if !operation.is_write() && operation.value() == configuration.value {
                configuration.done.insert(index);
            }
        }
        configuration
    }
}
