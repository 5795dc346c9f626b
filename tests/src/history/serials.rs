//! What serials must have in them: the zone's serial is the revision of its last change.

use std::time::Instant;

use super::{Outcome, Write};

/// Acknowledged writes of all RRsets, by the end; each with the write of the highest revision until then.
#[derive(Debug)]
pub(super) struct Serials<'h>(Vec<(Instant, i64, &'h Write)>);

impl<'h> Serials<'h> {
    pub(super) fn of(writes: &'h [Write]) -> Self {
        let numbered = writes.iter().filter_map(|write| match write.outcome {
            Outcome::Acknowledged(Some(revision)) => Some((write.span.end, revision, write)),
            _ => None,
        });
        let mut list: Vec<_> = numbered.collect();
        list.sort_by_key(|(end, ..)| *end);
        let mut highest: Option<(i64, &Write)> = None;
        for (_, revision, write) in &mut list {
            let (at, of) = match highest {
                Some(before) if before.0 > *revision => before,
                _ => (*revision, *write),
            };
            (*revision, *write) = (at, of);
            highest = Some((at, of));
        }
        Serials(list)
    }

    /// The write that a serial lacks, of those that were acknowledged before this.
    pub(super) fn lacks(&self, serial: u32, before: Instant) -> Option<&'h Write> {
        let count = self.0.partition_point(|(end, ..)| *end < before);
        let (_, revision, write) = self.0.get(count.checked_sub(1)?)?;
        (i64::from(serial) < *revision).then_some(*write)
    }
}
