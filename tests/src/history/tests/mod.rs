//! Histories made by hand: of each rule good ones, and one that breaks it.

mod brute;
mod random;

use super::*;

/// A history in milliseconds, of one RRset unless it says otherwise.
struct Story {
    origin: Instant,
    history: History,
}

fn story() -> Story {
    // The limit of `bounded` is taken off: some time must have been before.
    let origin = Instant::now() + Duration::from_secs(3600);
    let history = History::new(origin);
    Story { origin, history }
}

impl Story {
    fn span(&self, start: u64, end: u64) -> Span {
        let at = |millis| self.origin + Duration::from_millis(millis);
        Span {
            start: at(start),
            end: at(end),
        }
    }

    /// A write of somebody who keeps no journal.
    fn unrecorded(mut self, start: u64, end: u64, what: &str, revision: i64) -> Self {
        let outcome = Outcome::Acknowledged(Some(revision));
        let write = self.write_of(start, end, what, outcome);
        self.history.write(Write {
            is_recorded: false,
            ..write
        });
        self
    }

    /// `x=1` sets, `x=` removes.
    fn write(mut self, start: u64, end: u64, what: &str, outcome: Outcome) -> Self {
        let write = self.write_of(start, end, what, outcome);
        self.history.write(write);
        self
    }

    fn write_of(&self, start: u64, end: u64, what: &str, outcome: Outcome) -> Write {
        let (rrset, value) = what.split_once('=').expect("an assignment");
        let span = self.span(start, end);
        Write {
            rrset: rrset.into(),
            value: Some(value.to_string()).filter(|value| !value.is_empty()),
            span,
            outcome,
            is_recorded: true,
        }
    }

    /// An acknowledged write.
    fn set(self, start: u64, end: u64, what: &str, revision: i64) -> Self {
        self.write(start, end, what, Outcome::Acknowledged(Some(revision)))
    }

    fn unknown(self, start: u64, end: u64, what: &str) -> Self {
        self.write(start, end, what, Outcome::Unknown)
    }

    fn query(&self, start: u64, end: u64, frontend: &str, what: &str) -> Query {
        let (rrset, value) = what.split_once('=').expect("a comparison");
        let reply = match value {
            "" => Reply::Absent,
            "SERVFAIL" => Reply::ServFail,
            "none" => Reply::Unanswered,
            "wrong" => Reply::Wrong(value.into()),
            _ => Reply::Value(value.into()),
        };
        Query {
            frontend: frontend.into(),
            rrset: rrset.into(),
            span: self.span(start, end),
            reply,
            serial: None,
        }
    }

    fn ask(mut self, start: u64, end: u64, frontend: &str, what: &str) -> Self {
        let query = self.query(start, end, frontend, what);
        self.history.query(query);
        self
    }

    fn last(mut self, start: u64, frontend: &str, what: &str) -> Self {
        let query = self.query(start, start + 1, frontend, what);
        self.history.last(query);
        self
    }

    fn soa(mut self, start: u64, frontend: &str, serial: u32) -> Self {
        let mut query = self.query(start, start + 1, frontend, "SOA=");
        query.reply = Reply::Soa;
        query.serial = Some(serial);
        self.history.query(query);
        self
    }

    fn last_soa(mut self, start: u64, frontend: &str, serial: u32) -> Self {
        let mut query = self.query(start, start + 1, frontend, "SOA=");
        query.reply = Reply::Soa;
        query.serial = Some(serial);
        self.history.last(query);
        self
    }

    /// What etcd has at the end, as in `x=1`; `x=` for nothing.
    fn held(mut self, what: &str) -> Self {
        let (rrset, value) = what.split_once('=').expect("an RRset and its value");
        let value = Some(value.to_string()).filter(|value| !value.is_empty());
        self.history.held(rrset, value);
        self
    }

    /// What the journal has at the end, as in `5 x=1`.
    fn journal(mut self, entries: &[&str]) -> Self {
        let entries = entries.iter().map(|entry| {
            let (revision, what) = entry.split_once(' ').expect("a revision and a change");
            let (rrset, value) = what.split_once('=').expect("an assignment");
            Entry {
                revision: revision.parse().expect("a revision"),
                rrset: rrset.into(),
                value: Some(value.to_string()).filter(|value| !value.is_empty()),
            }
        });
        self.history.journal(entries.collect());
        self
    }

    fn down(mut self, start: u64, end: u64, frontend: &str) -> Self {
        let span = self.span(start, end);
        self.history.down(frontend, span);
        self
    }

    fn unsynced(mut self, start: u64, end: u64, frontend: &str) -> Self {
        let span = self.span(start, end);
        self.history.unsynced(frontend, span);
        self
    }

    /// The rules that are broken.
    fn broken(&self, promise: Promise) -> Vec<Rule> {
        let found = self.history.check(&promise).err().unwrap_or_default();
        let mut rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
        rules.dedup();
        rules
    }

    #[track_caller]
    fn keeps(self, promise: Promise) -> Self {
        assert_eq!(self.history.check(&promise), Ok(()));
        self
    }

    #[track_caller]
    fn breaks(self, promise: Promise, rule: Rule) -> Self {
        assert_eq!(self.broken(promise), [rule]);
        self
    }
}

const BOUNDED: Promise = Promise::Bounded(Duration::from_secs(2));

#[test]
fn front_ends_that_are_up_answer() {
    let silent = || story().ask(100, 5100, "fe1", "x=none");
    silent().breaks(Promise::Available, Rule::Unanswered);
    silent().breaks(Promise::Linearizable, Rule::Unanswered);
    silent().down(200, 300, "fe1").keeps(Promise::Available);
    // What it had seconds ago it should have answered before it went.
    silent()
        .down(3000, 3100, "fe1")
        .breaks(Promise::Available, Rule::Unanswered);
    silent()
        .down(3000, 3100, "fe1")
        .breaks(Promise::Linearizable, Rule::Unanswered);
    silent()
        .down(2000, 2100, "fe1")
        .keeps(Promise::Linearizable);
    silent()
        .unsynced(200, 300, "fe1")
        .breaks(Promise::Available, Rule::Unanswered);
    silent()
        .down(200, 300, "fe2")
        .breaks(Promise::Available, Rule::Unanswered);
}

#[test]
fn only_strict_zones_say_servfail() {
    let refused = || story().ask(0, 1, "fe1", "x=SERVFAIL");
    refused().keeps(BOUNDED).keeps(Promise::Linearizable);
    refused().breaks(Promise::Available, Rule::Unavailable);
    refused().down(0, 9, "fe1").keeps(Promise::Available);
    refused().unsynced(0, 9, "fe1").keeps(Promise::Available);
}

#[test]
fn answers_are_answers() {
    story()
        .ask(0, 1, "fe1", "x=wrong")
        .breaks(Promise::Available, Rule::Wrong);
}

#[test]
fn served_values_were_written() {
    let served = |start| story().ask(start, start + 1, "fe1", "x=1");
    served(0).breaks(Promise::Available, Rule::NobodyWrote);
    served(5).set(0, 9, "x=1", 2).keeps(Promise::Available);
    served(5).unknown(0, 4, "x=1").keeps(Promise::Available);
    served(5)
        .set(20, 29, "x=1", 2)
        .breaks(Promise::Available, Rule::NobodyWrote);
    served(5)
        .write(0, 4, "x=1", Outcome::Refused)
        .breaks(Promise::Available, Rule::NobodyWrote);
    // The value of another RRset.
    served(5)
        .set(0, 4, "y=1", 2)
        .breaks(Promise::Available, Rule::NobodyWrote);
}

/// `x` was 1 and then 2, `y` was 3.
fn three_writes() -> Story {
    story()
        .set(0, 10, "x=1", 5)
        .set(20, 30, "x=2", 6)
        .set(40, 50, "y=3", 7)
}

#[test]
fn serials_are_as_fresh_as_answers() {
    let old = || three_writes().soa(60, "fe1", 6);
    old().keeps(Promise::Available);
    old().keeps(BOUNDED);
    old().breaks(Promise::Linearizable, Rule::NotLinearizable);
    // While the last write is under way, and once it is served.
    three_writes()
        .soa(45, "fe1", 6)
        .keeps(Promise::Linearizable);
    three_writes()
        .soa(60, "fe1", 7)
        .keeps(Promise::Linearizable);
    let older = || three_writes().soa(2_070, "fe1", 6);
    older().keeps(Promise::Available);
    older().breaks(BOUNDED, Rule::TooOld);
    // Whatever ended last: the highest revision counts.
    let crossed = || story().set(0, 30, "x=1", 5).set(0, 20, "y=1", 6);
    crossed().soa(40, "fe1", 6).keeps(Promise::Linearizable);
    crossed()
        .soa(40, "fe1", 5)
        .breaks(Promise::Linearizable, Rule::NotLinearizable);
    let last = |serial| three_writes().last_soa(100, "fe1", serial);
    last(7).keeps(Promise::Available);
    last(6).breaks(Promise::Available, Rule::Lost);
}

#[test]
fn the_journal_has_what_was_done_once_and_in_order() {
    let all = ["5 x=1", "6 x=2", "7 y=3"];
    three_writes().journal(&all).keeps(Promise::Available);
    for wrong in [
        // One is missing, at another revision, of another value, another's, done twice.
        &all[1..],
        &["4 x=1", "6 x=2", "7 y=3"],
        &["5 x=9", "6 x=2", "7 y=3"],
        &["5 x=1", "6 x=2", "7 y=3", "8 y=4"],
        &["5 x=1", "6 x=2", "7 y=3", "8 x=2"],
        &["5 x=1", "6 x=2", "6 x=", "7 y=3"],
    ] {
        three_writes()
            .journal(wrong)
            .breaks(Promise::Available, Rule::Journal);
    }
    // What was refused was not done; of what is unknown either is right, but not before what had ended when it began.
    let other = |outcome| three_writes().write(60, 70, "x=4", outcome);
    let with = |revision: i64| {
        let entry = format!("{revision} x=4");
        other(Outcome::Unknown).journal(&["5 x=1", "6 x=2", "7 y=3", &entry])
    };
    for outcome in [Outcome::Refused, Outcome::Unknown] {
        other(outcome).journal(&all).keeps(Promise::Available);
    }
    with(8).keeps(Promise::Available);
    with(3).breaks(Promise::Available, Rule::Journal);
    other(Outcome::Refused)
        .journal(&["5 x=1", "6 x=2", "7 y=3", "8 x=4"])
        .breaks(Promise::Available, Rule::Journal);
    // A late one is in order, too: one of unknown outcome may be done at any time.
    other(Outcome::Unknown)
        .set(80, 90, "x=5", 8)
        .journal(&["5 x=1", "6 x=2", "7 y=3", "8 x=5", "9 x=4"])
        .keeps(Promise::Available);
    // Removals have no value of their own, but each is done once.
    let removed = || {
        three_writes()
            .set(60, 70, "x=", 8)
            .unknown(80, 90, "x=")
            .set(95, 99, "y=4", 10)
    };
    let with = |entries: &[&str]| removed().journal(&[&all[..], entries].concat());
    with(&["8 x=", "10 y=4"]).keeps(Promise::Available);
    with(&["8 x=", "9 x=", "10 y=4"]).keeps(Promise::Available);
    with(&["8 x=", "10 y=4", "11 x="]).keeps(Promise::Available);
    for wrong in [
        &["10 y=4"][..],
        &["8 x=", "9 x=", "10 y=4", "11 x="],
        &["8 y=", "10 y=4"],
    ] {
        with(wrong).breaks(Promise::Available, Rule::Journal);
    }
    let gone = || three_writes().write(60, 70, "x=", Outcome::Acknowledged(None));
    gone().journal(&all).keeps(Promise::Available);
    gone()
        .set(80, 90, "y=4", 8)
        .journal(&["5 x=1", "6 x=2", "7 y=3", "8 y=4", "9 x="])
        .breaks(Promise::Available, Rule::Journal);
    // Who keeps no journal has no entry.
    let unrecorded = || three_writes().unrecorded(60, 70, "x=4", 8);
    unrecorded().journal(&all).keeps(Promise::Available);
    unrecorded()
        .journal(&["5 x=1", "6 x=2", "7 y=3", "8 x=4"])
        .breaks(Promise::Available, Rule::Journal);
    three_writes()
        .journal(&["5 x=1", "6 x=2", "6 x=2", "7 y=3"])
        .breaks(Promise::Available, Rule::Journal);
}

#[test]
fn front_ends_do_not_go_back() {
    let stale = || three_writes().ask(60, 61, "fe1", "x=2");
    stale().ask(70, 71, "fe2", "x=1").keeps(Promise::Available);
    stale().ask(61, 62, "fe1", "x=1").keeps(Promise::Available);
    stale()
        .ask(70, 71, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
    stale()
        .ask(70, 71, "fe1", "x=")
        .breaks(Promise::Available, Rule::WentBack);
    // Started again, it is the same one.
    stale()
        .down(62, 69, "fe1")
        .ask(70, 71, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
}

#[test]
fn front_ends_show_one_revision_on_all_rrsets() {
    let newer = || three_writes().ask(60, 61, "fe1", "y=3");
    newer().ask(70, 71, "fe1", "x=2").keeps(Promise::Available);
    newer()
        .ask(70, 71, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
}

#[test]
fn a_write_of_unknown_outcome_is_over_once_it_was_seen_and_overwritten() {
    let seen = || {
        story()
            .unknown(0, 10, "x=1")
            .ask(20, 21, "fe2", "x=1")
            .set(30, 40, "x=2", 6)
            .ask(50, 51, "fe1", "x=2")
    };
    seen().ask(60, 61, "fe2", "x=1").keeps(Promise::Available);
    seen()
        .ask(60, 61, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
    // So is one whose acknowledgement comes late and names no revision.
    story()
        .write(0, 90, "x=1", Outcome::Acknowledged(None))
        .ask(20, 21, "fe2", "x=1")
        .set(30, 40, "x=2", 6)
        .ask(50, 51, "fe1", "x=2")
        .ask(60, 61, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
    // Unseen, it may have come after the other one.
    story()
        .unknown(0, 10, "x=1")
        .set(30, 40, "x=2", 6)
        .ask(50, 51, "fe1", "x=2")
        .ask(60, 61, "fe1", "x=1")
        .keeps(Promise::Available)
        .keeps(Promise::Linearizable);
}

#[test]
fn absence_may_come_back() {
    let removed = || three_writes().ask(60, 61, "fe1", "x=2");
    removed()
        .set(70, 80, "x=", 8)
        .ask(90, 91, "fe1", "x=")
        .keeps(Promise::Linearizable);
    removed()
        .unknown(70, 80, "x=")
        .ask(90, 91, "fe1", "x=")
        .keeps(Promise::Linearizable);
}

#[test]
fn serials_do_not_go_back() {
    let told = || three_writes().soa(60, "fe1", 7);
    told()
        .soa(70, "fe1", 7)
        .soa(70, "fe2", 6)
        .keeps(Promise::Available);
    told()
        .soa(70, "fe1", 6)
        .breaks(Promise::Available, Rule::WentBack);
    // A serial is a revision.
    told().ask(70, 71, "fe1", "y=3").keeps(Promise::Available);
    told()
        .ask(70, 71, "fe1", "x=1")
        .breaks(Promise::Available, Rule::WentBack);
    three_writes()
        .ask(60, 61, "fe1", "y=3")
        .soa(70, "fe1", 6)
        .breaks(Promise::Available, Rule::WentBack);
}

#[test]
fn no_acknowledged_write_is_lost() {
    let ended = || three_writes().last(100, "fe1", "x=2");
    ended().last(110, "fe2", "x=2").keeps(Promise::Available);
    three_writes()
        .last(100, "fe1", "x=1")
        .breaks(Promise::Available, Rule::Lost);
    three_writes()
        .last(100, "fe1", "y=")
        .breaks(Promise::Available, Rule::Lost);
    // It was overwritten, maybe.
    three_writes()
        .unknown(60, 70, "x=4")
        .last(100, "fe1", "x=4")
        .keeps(Promise::Available);
    // Of two at once etcd says which was the later one.
    let both = || story().set(0, 10, "x=1", 5).set(0, 10, "x=2", 6);
    both().last(20, "fe1", "x=2").keeps(Promise::Available);
    both()
        .last(20, "fe1", "x=1")
        .breaks(Promise::Available, Rule::Lost);
}

#[test]
fn all_front_ends_end_alike() {
    let apart = |what| {
        story()
            .unknown(0, 10, "x=1")
            .last(100, "fe1", "x=1")
            .last(100, "fe2", what)
    };
    apart("x=1").keeps(Promise::Available);
    apart("x=").breaks(Promise::Available, Rule::Apart);
    apart("x=SERVFAIL").breaks(BOUNDED, Rule::Apart);
}

#[test]
fn answers_are_not_too_old() {
    let asked = |start| three_writes().ask(start, start + 1, "fe1", "x=1");
    asked(25).keeps(BOUNDED);
    asked(2030).keeps(BOUNDED);
    asked(2100).breaks(BOUNDED, Rule::TooOld);
    asked(2100).keeps(Promise::Available);
    let absent = |start| three_writes().ask(start, start + 1, "fe1", "x=");
    absent(2010).keeps(BOUNDED);
    absent(2100).breaks(BOUNDED, Rule::TooOld);
}

#[test]
fn registers_are_linearizable() {
    // A stale answer.
    let stale = three_writes().ask(60, 61, "fe1", "x=1");
    let stale = stale.breaks(Promise::Linearizable, Rule::NotLinearizable);
    let found = stale.history.check(&Promise::Linearizable);
    let told = found.expect_err("it is broken")[0].to_string();
    assert_eq!(told.lines().count(), 1 + 3, "the least of it: {told}");
    // Of removals only those that a query may have seen are told.
    let stale = story()
        .set(0, 10, "x=", 5)
        .set(20, 30, "x=1", 6)
        .ask(40, 41, "fe1", "x=");
    let found = stale.history.check(&Promise::Linearizable);
    assert_eq!(found.expect_err("it is broken")[0].operations.len(), 2);
    // During a write both may be seen, but not in turn.
    let during = || {
        story()
            .set(0, 10, "x=1", 5)
            .set(20, 90, "x=2", 6)
            .ask(30, 31, "fe1", "x=2")
    };
    during()
        .ask(30, 32, "fe2", "x=1")
        .keeps(Promise::Linearizable);
    during()
        .ask(40, 41, "fe2", "x=1")
        .breaks(Promise::Linearizable, Rule::NotLinearizable);
    // Of two writes at once the one of the higher revision is the later one.
    let both = || story().set(0, 50, "x=1", 5).set(0, 50, "x=2", 6);
    for value in ["x=1", "x=2"] {
        both().ask(60, 61, "fe1", value).keeps(Promise::Available);
    }
    both()
        .ask(10, 11, "fe1", "x=1")
        .ask(60, 61, "fe1", "x=2")
        .keeps(Promise::Linearizable);
    both()
        .ask(60, 61, "fe1", "x=1")
        .breaks(Promise::Linearizable, Rule::NotLinearizable);
    both()
        .ask(10, 11, "fe1", "x=2")
        .ask(12, 13, "fe2", "x=1")
        .ask(14, 15, "fe3", "x=2")
        .breaks(Promise::Linearizable, Rule::NotLinearizable);
}

#[test]
fn writes_of_unknown_outcome_come_once_or_never() {
    let late = || {
        story()
            .unknown(0, 10, "x=1")
            .set(20, 30, "x=2", 6)
            .ask(40, 41, "fe1", "x=2")
    };
    late()
        .ask(50, 51, "fe2", "x=1")
        .keeps(Promise::Linearizable);
    late()
        .ask(50, 51, "fe2", "x=1")
        .ask(60, 61, "fe3", "x=2")
        .breaks(Promise::Linearizable, Rule::NotLinearizable);
    // One removal explains one absence.
    let removed = || {
        story()
            .set(0, 10, "x=1", 5)
            .unknown(11, 12, "x=")
            .ask(13, 14, "fe1", "x=")
            .set(20, 30, "x=2", 6)
            .ask(40, 41, "fe2", "x=")
    };
    removed().breaks(Promise::Linearizable, Rule::NotLinearizable);
    removed().unknown(11, 12, "x=").keeps(Promise::Linearizable);
}

#[test]
fn violations_are_counted_and_the_first_ones_told() {
    let silent = |story: Story, at| story.ask(at, at + 1, "fe1", "x=none");
    let many = (0..10).fold(story(), silent);
    let found = many
        .history
        .check(&Promise::Available)
        .expect_err("silence");
    assert_eq!((found.len(), found[0].count), (3, 10));
    let told = "Unanswered (one of 10):\n       0.0000 s to    0.0010 s  ask fe1 for x: no answer";
    assert_eq!(
        found[0].to_string().replace("    ", ""),
        told.replace("    ", "")
    );
}

#[test]
fn what_etcd_holds_tells_what_became_of_unknown_writes() {
    // Without it, the removal would explain the absence for ever.
    let end = || {
        story()
            .set(0, 10, "x=1", 5)
            .unknown(11, 12, "x=")
            .set(20, 30, "x=2", 6)
            .last(100, "fe1", "x=")
    };
    end().keeps(Promise::Available);
    end().held("x=").keeps(Promise::Available);
    end().held("x=2").breaks(Promise::Available, Rule::Lost);
    // The same for a write that was not done.
    let end = || story().unknown(0, 10, "x=1").last(100, "fe1", "x=1");
    end().held("x=1").keeps(Promise::Available);
    end().held("x=").breaks(Promise::Available, Rule::Lost);
}
