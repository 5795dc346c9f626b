//! What is wrong with a history, told by the operations that show it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use super::{Outcome, Query, Reply, Span, Write};

/// How many violations of one rule are told.
const TOLD_MAX: usize = 3;

/// What a history may violate. The module's documentation says what each one asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A front-end that was up did not answer.
    Unanswered,
    /// An answer is no answer to the question.
    Wrong,
    /// A zone that is `available` was not.
    Unavailable,
    /// A value was served that nobody had written.
    NobodyWrote,
    /// A front-end showed an older state, or an older serial, than it had shown before.
    WentBack,
    /// At the end an acknowledged write is missing.
    Lost,
    /// At the end not all front-ends say the same.
    Apart,
    /// An answer is older than the limit of the zone.
    TooOld,
    /// The journal is not what clients saw.
    Journal,
    /// No order of the operations explains the answers.
    NotLinearizable,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// How many violations of the rule there are, of which the first few are told.
    pub count: usize,
    /// The operations that show it, a line each.
    pub operations: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (one of {}):", self.rule, self.count)?;
        for operation in &self.operations {
            write!(f, "\n    {operation}")?;
        }
        Ok(())
    }
}

/// Violations, of each rule the first few.
#[derive(Debug, Default)]
pub(super) struct Violations {
    by_rule: BTreeMap<Rule, (usize, Vec<Vec<String>>)>,
}

impl Violations {
    pub(super) fn add(&mut self, rule: Rule, operations: impl IntoIterator<Item = String>) {
        let (count, told) = self.by_rule.entry(rule).or_default();
        *count += 1;
        if told.len() < TOLD_MAX {
            told.push(operations.into_iter().collect());
        }
    }

    pub(super) fn end(self) -> Result<(), Vec<Violation>> {
        if self.by_rule.is_empty() {
            return Ok(());
        }
        let all = self.by_rule.into_iter().flat_map(|(rule, (count, told))| {
            told.into_iter().map(move |operations| Violation {
                rule,
                count,
                operations,
            })
        });
        Err(all.collect())
    }
}

fn times(span: Span, origin: Instant) -> String {
    let after = |at: Instant| at.saturating_duration_since(origin).as_secs_f64();
    format!("{:9.4} s to {:9.4} s", after(span.start), after(span.end))
}

impl Write {
    pub(super) fn tell(&self, origin: Instant) -> String {
        let what = match &self.value {
            Some(value) => format!("set {} to {value}", self.rrset),
            None => format!("remove {}", self.rrset),
        };
        let outcome = match self.outcome {
            Outcome::Acknowledged(Some(revision)) => format!("acknowledged at revision {revision}"),
            Outcome::Acknowledged(None) => "acknowledged".into(),
            Outcome::Refused => "refused".into(),
            Outcome::Unknown => "outcome unknown".into(),
        };
        format!("{}  {what}: {outcome}", times(self.span, origin))
    }
}

impl Query {
    pub(super) fn tell(&self, origin: Instant) -> String {
        let reply = match &self.reply {
            Reply::Value(value) => value.clone(),
            Reply::Absent => "absent".into(),
            Reply::Soa => "SOA".into(),
            Reply::ServFail => "SERVFAIL".into(),
            Reply::Unanswered => "no answer".into(),
            Reply::Wrong(text) => format!("wrong answer: {text}"),
        };
        let serial = self.serial.map(|serial| format!(", serial {serial}"));
        let serial = serial.unwrap_or_default();
        let (frontend, rrset) = (&self.frontend, &self.rrset);
        format!(
            "{}  ask {frontend} for {rrset}: {reply}{serial}",
            times(self.span, origin)
        )
    }
}
