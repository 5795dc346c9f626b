use std::ops::Range;
use std::time::{Duration, Instant};

use super::leased::LeasedKeys;
use super::watch::{HeadRead, Watch, by_revision};
use super::{
    Action, Cause, Event, Failure, Header, Input, KeyChange, KeyValue, Newest, Pace, Resume,
};

/// The state machine; see the module.
#[derive(Debug)]
pub struct Mirror {
    pace: Pace,
    random: fastrand::Rng,
    state: State,
    endpoint: usize,
    /// Number of endpoints that were found. They come after the configured ones.
    found: usize,
    /// Failures since the last proof of freshness.
    failures: u32,
    /// Whether the last failure was [`Failure::Unauthenticated`].
    was_unauthenticated: bool,
    /// Everything up to this revision has been passed on; none before the first complete list.
    applied: Option<i64>,
    leased: LeasedKeys,
    unchecked: Option<i64>,
    ignores_deletions: bool,
    /// Whether the last proof that did not come lacked nothing but expiries.
    lacked_expiries: bool,
    /// Whether everything has to be listed before a watch can start.
    list_due: bool,
    /// Whether the copy may be wrong until it is listed again.
    is_doubted: bool,
    cluster_id: Option<u64>,
    member_id: Option<u64>,
    last_fresh: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Backing off.
    Pausing {
        until: Instant,
    },
    /// A connection was asked for.
    Connecting {
        due: Instant,
    },
    Listing {
        due: Instant,
        revision: Option<i64>,
        /// The last key of the previous page.
        after: Option<Vec<u8>>,
    },
    Opening {
        due: Instant,
    },
    Watching(Watch),
}

impl Mirror {
    /// A mirror without a copy. It connects at once.
    pub fn new(now: Instant, pace: Pace) -> Self {
        let mut random = fastrand::Rng::with_seed(pace.seed);
        // Spread a fleet that starts at the same time over the members.
        let endpoint = random.usize(..pace.endpoints);
        Mirror {
            pace,
            random,
            state: State::Pausing { until: now },
            endpoint,
            found: 0,
            failures: 0,
            was_unauthenticated: false,
            applied: None,
            leased: LeasedKeys::default(),
            unchecked: None,
            ignores_deletions: false,
            lacked_expiries: false,
            list_due: true,
            is_doubted: false,
            cluster_id: None,
            member_id: None,
            last_fresh: None,
        }
    }

    /// A mirror that resumes from a copy.
    pub fn resume(now: Instant, pace: Pace, from: Resume) -> Self {
        Mirror {
            applied: Some(from.revision),
            leased: LeasedKeys::new(from.leased),
            unchecked: from.unchecked,
            list_due: false,
            cluster_id: Some(from.cluster_id),
            ..Mirror::new(now, pace)
        }
    }

    /// The same mirror, which counts the keys of this range for its proofs of freshness. Without it there are none to count.
    pub fn counting(mut self, leased: Range<Vec<u8>>) -> Self {
        self.leased.set_range(leased);
        self
    }

    /// The same mirror, for an owner that ignores deletions: does not check whether a watch left some out.
    pub fn without_deletions(mut self) -> Self {
        self.ignores_deletions = true;
        self
    }

    /// How many leased keys the copy has.
    pub fn leased(&self) -> usize {
        self.leased.count()
    }

    /// The cluster that the copy is from, once one has answered.
    pub fn cluster_id(&self) -> Option<u64> {
        self.cluster_id
    }

    /// The last revision that was passed on.
    pub fn applied(&self) -> Option<i64> {
        self.applied
    }

    /// The moment as of which the copy was last proved complete; none while it is in doubt.
    pub fn last_fresh(&self) -> Option<Instant> {
        self.last_fresh
    }

    /// The member connected to, once it has answered.
    pub fn member_id(&self) -> Option<u64> {
        self.member_id
    }

    /// The endpoint in use, as an index.
    pub fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// Sets how many endpoints were found besides the configured ones.
    pub fn set_found(&mut self, found: usize) {
        self.found = found;
    }

    /// Whether the watch is established.
    pub fn is_watching(&self) -> bool {
        matches!(self.state, State::Watching(_))
    }

    /// Whether the copy may be wrong and is to be listed again: it was found to differ, or etcd has another history now.
    pub fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// Set while the copy may lack a deletion (etcd#18089): until a read shows that etcd still has this revision, or everything
    /// is listed.
    pub fn unchecked(&self) -> Option<i64> {
        self.unchecked
    }

    /// When to pass [`Input::Tick`] if no other input comes first.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Pausing { until } => *until,
            State::Connecting { due } | State::Listing { due, .. } | State::Opening { due } => *due,
            State::Watching(watch) => watch.deadline(&self.pace),
        }
    }

    /// Takes an input, appends the events that follow from it to `out`, and returns what to do next.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Event>) -> Action {
        match input {
            Input::Tick => self.tick(now, out),
            Input::Doubt => match self.state {
                State::Watching(_) | State::Opening { .. } => self.distrust(now, out),
                // There is no connection, or a list is already in progress.
                _ => {
                    self.list_due = true;
                    self.doubt();
                    Action::Wait
                }
            },
            Input::Failed { failure, error } => self.fail(now, failure, Cause::Error(error), out),
            Input::Connected => self.connected(now, out),
            Input::Page {
                header,
                items,
                more,
            } => self.page(now, header, items, more, out),
            Input::Watching(header) => {
                if self.is_other_cluster(header) {
                    return self.distrust(now, out);
                }
                if matches!(self.state, State::Opening { .. }) {
                    if header.member_id != 0 {
                        self.member_id = Some(header.member_id);
                    }
                    let before = self.applied.filter(|_| !self.ignores_deletions);
                    self.state = State::Watching(Watch::new(now, before));
                    return self.ask_proof(now);
                }
                Action::Wait
            }
            Input::Changes {
                header,
                changes,
                fragment,
            } => self.changes(now, header, changes, fragment, out),
            Input::Head {
                sent,
                header,
                newest,
            } => self.head(now, header, (sent, newest), out),
            Input::HistoryChecked => {
                if let State::Watching(watch) = &mut self.state
                    && std::mem::take(&mut watch.is_checking)
                {
                    (watch.before, self.unchecked) = (None, None);
                }
                self.prove(out)
            }
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Event>) -> Action {
        if now < self.deadline() {
            return Action::Wait;
        }
        match &self.state {
            State::Pausing { .. } => {
                self.state = State::Connecting {
                    due: now + self.pace.stall,
                };
                Action::Connect {
                    endpoint: self.endpoint,
                }
            }
            State::Connecting { .. } | State::Listing { .. } | State::Opening { .. } => {
                self.fail(now, Failure::Unreachable, Cause::NoAnswer, out)
            }
            State::Watching(watch) => {
                if watch.due(&self.pace).is_some_and(|due| now >= due) {
                    let is_applied =
                        |(_, newest): (Instant, Newest)| newest.is_applied(self.applied);
                    let lacks_expiries =
                        !watch.is_checking && watch.proof_due.is_some_and(is_applied);
                    // If another watch does not bring them either, the copy is wrong.
                    self.list_due |= lacks_expiries && self.lacked_expiries;
                    self.lacked_expiries = lacks_expiries;
                    return self.fail(now, Failure::Stalled, Cause::NoProof, out);
                }
                self.ask_proof(now)
            }
        }
    }

    fn connected(&mut self, now: Instant, out: &mut Vec<Event>) -> Action {
        match &self.state {
            State::Connecting { .. } if self.list_due => self.list(now, out),
            State::Connecting { .. } => self.open(now),
            _ => Action::Wait,
        }
    }

    fn open(&mut self, now: Instant) -> Action {
        self.state = State::Opening {
            due: now + self.pace.stall,
        };
        Action::Watch {
            from: self.applied.unwrap_or(0) + 1,
        }
    }

    /// Lists everything again on the same connection. The old copy stays in service meanwhile.
    fn list(&mut self, now: Instant, out: &mut Vec<Event>) -> Action {
        self.list_due = true;
        self.state = State::Listing {
            due: now + self.pace.page,
            revision: None,
            after: None,
        };
        self.leased.begin_list();
        out.push(Event::Listing);
        Action::List {
            after: None,
            revision: None,
        }
    }

    fn page(
        &mut self,
        now: Instant,
        header: Header,
        items: Vec<KeyValue>,
        more: bool,
        out: &mut Vec<Event>,
    ) -> Action {
        // A configured address may lead to a new cluster; one that was only found must not.
        if self.endpoint >= self.pace.endpoints && self.is_other_cluster(header) {
            return self.fail(now, Failure::Unreachable, Cause::OtherCluster, out);
        }
        let State::Listing {
            due,
            revision,
            after,
        } = &mut self.state
        else {
            return Action::Wait;
        };
        if revision.is_some() && self.cluster_id != Some(header.cluster_id) {
            return self.list(now, out);
        }
        let last = items.last().map(|item| &item.key);
        // A page that announces more keys must get beyond the previous page. Otherwise the list would never end.
        if more && last <= after.as_ref() {
            return self.fail(now, Failure::Unreachable, Cause::StuckList, out);
        }
        let pinned = *revision.get_or_insert(header.revision);
        *due = now + self.pace.page;
        *after = last.cloned();
        self.cluster_id = Some(header.cluster_id);
        self.member_id = Some(header.member_id);
        let after = after.clone();
        self.leased.list(&items);
        if !items.is_empty() {
            out.push(Event::Items(items));
        }
        if more {
            return Action::List {
                after,
                revision: Some(pinned),
            };
        }
        self.applied = Some(pinned);
        self.leased.end_list();
        (self.list_due, self.is_doubted, self.unchecked) = (false, false, None);
        out.push(Event::Listed { revision: pinned });
        self.open(now)
    }

    /// Lists everything again because the copy may be wrong.
    fn distrust(&mut self, now: Instant, out: &mut Vec<Event>) -> Action {
        self.doubt();
        self.list(now, out)
    }

    /// Withdraws the last proof: the copy may have been incomplete even then.
    fn doubt(&mut self) {
        self.is_doubted = true;
        self.last_fresh = None;
    }

    fn fail(
        &mut self,
        now: Instant,
        failure: Failure,
        cause: Cause,
        out: &mut Vec<Event>,
    ) -> Action {
        out.push(Event::Lost {
            failure,
            cause,
            endpoint: self.endpoint,
        });
        // If the revision of a list is compacted while it is read, back off first: no tight loop.
        if failure == Failure::Compacted && !matches!(self.state, State::Listing { .. }) {
            return self.list(now, out);
        }
        // The token may have expired, so the first failure stays with this endpoint and fetches a new one. The next
        // failure moves on.
        let is_unauthenticated = failure == Failure::Unauthenticated;
        if matches!(
            failure,
            Failure::Unreachable | Failure::Stalled | Failure::Denied
        ) || (is_unauthenticated && self.was_unauthenticated)
        {
            self.endpoint = (self.endpoint + 1) % (self.pace.endpoints + self.found);
        }
        self.was_unauthenticated = is_unauthenticated;
        self.member_id = None;
        let (shortest, longest) = self.pace.pause;
        let limit = shortest.saturating_mul(1 << self.failures.min(16));
        let limit = limit.min(longest).as_secs_f64();
        let pause = Duration::from_secs_f64(limit * self.random.f64());
        self.failures = self.failures.saturating_add(1);
        self.state = State::Pausing { until: now + pause };
        Action::Disconnect
    }

    /// Whether another cluster answers. The id 0 is no cluster's: `etcd grpc-proxy` sends it in the first response of a
    /// watch that it has merged with another client's.
    fn is_other_cluster(&self, header: Header) -> bool {
        let is_other = |known| known != header.cluster_id;
        header.cluster_id != 0 && self.cluster_id.is_some_and(is_other)
    }

    fn changes(
        &mut self,
        now: Instant,
        header: Header,
        changes: Vec<KeyChange>,
        fragment: bool,
        out: &mut Vec<Event>,
    ) -> Action {
        if self.is_other_cluster(header) {
            return self.distrust(now, out);
        }
        let State::Watching(watch) = &mut self.state else {
            return Action::Wait;
        };
        if fragment || !watch.fragments.is_empty() {
            watch.progress = Some(now);
        }
        watch.fragments.extend(changes);
        if fragment {
            return Action::Wait;
        }
        let before = watch.before;
        let Some(groups) = by_revision(std::mem::take(&mut watch.fragments)) else {
            return self.distrust(now, out);
        };
        for (revision, changes) in groups {
            if self.applied.is_none_or(|applied| revision > applied) {
                self.applied = Some(revision);
                self.unchecked = self.unchecked.or(before);
                self.leased.apply(&changes);
                out.push(Event::Revision { revision, changes });
            }
        }
        self.prove(out)
    }

    fn ask_proof(&mut self, now: Instant) -> Action {
        let State::Watching(watch) = &mut self.state else {
            return Action::Wait;
        };
        if watch.is_reading() || now < watch.proof_next {
            return Action::Wait;
        }
        watch.proof_asked = Some(HeadRead {
            sent: now,
            revision: self.applied.unwrap_or(0),
        });
        watch.proof_next = now + self.pace.proof_interval;
        Action::ReadHead
    }

    fn head(
        &mut self,
        now: Instant,
        header: Header,
        proof: (Instant, Newest),
        out: &mut Vec<Event>,
    ) -> Action {
        let State::Watching(watch) = &mut self.state else {
            return Action::Wait;
        };
        let Some(asked) = watch.proof_asked.take() else {
            return Action::Wait;
        };
        // The read is linearizable. A revision below the one applied before it was sent is no lag: it is another history.
        if self.is_other_cluster(header) || header.revision < asked.revision {
            return self.distrust(now, out);
        }
        let State::Watching(watch) = &mut self.state else {
            return Action::Wait;
        };
        // Keep the oldest open proof: its age reveals a stalled watch.
        watch.proof_due.get_or_insert(proof);
        self.prove(out)
    }

    fn prove(&mut self, out: &mut Vec<Event>) -> Action {
        let State::Watching(watch) = &mut self.state else {
            return Action::Wait;
        };
        let Some((sent, newest)) = watch.proof_due else {
            return Action::Wait;
        };
        if newest.is_covered(self.applied, self.leased.count()) {
            if let Some(revision) = self.unchecked.or(watch.before) {
                // One read at a time: the answer to a read of the head key leads here again.
                if watch.is_reading() {
                    return Action::Wait;
                }
                watch.is_checking = true;
                return Action::CheckHistory { revision };
            }
            watch.proof_due = None;
            self.failures = 0;
            self.lacked_expiries = false;
            self.was_unauthenticated = false;
            self.last_fresh = Some(sent);
            out.push(Event::Fresh { at: sent });
        }
        Action::Wait
    }
}
