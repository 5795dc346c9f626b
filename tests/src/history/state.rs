//! The states that an RRset went through, and what is known about when each one was over.

use std::collections::HashMap;
use std::time::Instant;

use super::{Outcome, Query, Register, Reply, Span, Write};

/// What a write made of the RRset.
#[derive(Clone, Copy, Debug)]
pub(super) struct State<'h> {
    /// The write; none for the absence at first.
    pub(super) write: Option<&'h Write>,
    /// Of the acknowledged writes that certainly came later the one that ended first.
    pub(super) over: Option<&'h Write>,
    /// Of those the one of the lowest revision.
    next: Option<&'h Write>,
    /// The revision, where it is known.
    revision: Option<i64>,
}

/// All states of one RRset, by value.
#[derive(Debug)]
pub(super) struct States<'h> {
    absent: Vec<State<'h>>,
    by_value: HashMap<&'h str, Vec<State<'h>>>,
    refused: Vec<&'h Write>,
}

impl<'h> States<'h> {
    /// The states that the writes may have made, and at `origin` the absence.
    pub(super) fn of(origin: Instant, register: &Register<'h>) -> Self {
        let mut first_shown = HashMap::<&str, Instant>::new();
        for query in &register.queries {
            if let Reply::Value(value) = &query.reply {
                let shown = first_shown.entry(value).or_insert(query.span.end);
                *shown = query.span.end.min(*shown);
            }
        }
        let acknowledged = acknowledged(register);
        let absent = state(None, Some(0), Some(origin), &acknowledged);
        let mut states = States {
            absent: vec![absent],
            by_value: HashMap::new(),
            refused: Vec::new(),
        };
        for &write in &register.writes {
            let shown = write
                .value
                .as_deref()
                .and_then(|value| first_shown.get(value).copied());
            let (revision, known) = match write.outcome {
                Outcome::Refused => {
                    states.refused.push(write);
                    continue;
                }
                Outcome::Acknowledged(revision) => {
                    let known = shown.map_or(write.span.end, |at| at.min(write.span.end));
                    (revision, Some(known))
                }
                Outcome::Unknown => (None, shown),
            };
            let state = state(Some(write), revision, known, &acknowledged);
            match write.value.as_deref() {
                None => states.absent.push(state),
                Some(value) => states.by_value.entry(value).or_default().push(state),
            }
        }
        states
    }

    fn with(&self, value: Option<&str>) -> &[State<'h>] {
        match value {
            None => &self.absent,
            Some(value) => self.by_value.get(value).map_or(&[], Vec::as_slice),
        }
    }

    /// The states with a value that may have begun before the end of a query.
    pub(super) fn shown(
        &self,
        value: Option<&str>,
        span: Span,
    ) -> impl Iterator<Item = &State<'h>> {
        let begun =
            move |state: &&State<'h>| state.write.is_none_or(|write| write.span.start <= span.end);
        self.with(value).iter().filter(begun)
    }

    /// The writes of a value, also those that were refused.
    pub(super) fn writes_of(&self, value: Option<&str>) -> impl Iterator<Item = &'h Write> {
        let done = self.with(value).iter().filter_map(|state| state.write);
        let refused = self.refused.iter().copied();
        done.chain(refused.filter(move |write| write.value.as_deref() == value))
    }

    /// The revision that an answer shows for certain.
    pub(super) fn revision(&self, query: &Query) -> Option<i64> {
        let shown = match query.reply.says() {
            // Of several removals nobody knows which one it was.
            Some(Some(value)) => self
                .with(Some(value))
                .first()
                .and_then(|state| state.revision),
            _ => None,
        };
        shown.max(query.serial.map(i64::from))
    }

    /// Whether an answer shows a state from before a revision: then also the write that it lacks, if it is one.
    pub(super) fn older_than(&self, revision: i64, query: &Query) -> Option<Option<&'h Write>> {
        if query
            .serial
            .is_some_and(|serial| i64::from(serial) < revision)
        {
            return Some(None);
        }
        let said = query.reply.says()?;
        let mut lacking = None;
        for state in self.shown(said, query.span) {
            let next = state.next?;
            if !matches!(next.outcome, Outcome::Acknowledged(Some(at)) if at <= revision) {
                return None;
            }
            lacking = Some(next);
        }
        lacking.map(Some)
    }
}

/// The acknowledged writes of an RRset.
fn acknowledged<'h>(register: &Register<'h>) -> Vec<&'h Write> {
    let is_done = |write: &&&Write| matches!(write.outcome, Outcome::Acknowledged(_));
    register.writes.iter().filter(is_done).copied().collect()
}

/// The state of a write that was done at a revision, or else before the instant `known`; either may be unknown.
fn state<'h>(
    write: Option<&'h Write>,
    revision: Option<i64>,
    known: Option<Instant>,
    acknowledged: &[&'h Write],
) -> State<'h> {
    let is_later = |other: &&&Write| match (revision, other.outcome) {
        (Some(one), Outcome::Acknowledged(Some(other))) => other > one,
        _ => known.is_some_and(|known| known < other.span.start),
    };
    let later = || acknowledged.iter().filter(is_later).copied();
    let numbered = later().filter_map(|write| match write.outcome {
        Outcome::Acknowledged(Some(revision)) => Some((revision, write)),
        _ => None,
    });
    State {
        write,
        over: later().min_by_key(|write| write.span.end),
        next: numbered
            .min_by_key(|(revision, _)| *revision)
            .map(|(_, write)| write),
        revision: write.and(revision),
    }
}
