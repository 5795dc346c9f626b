//! Histories of a simulated register: as they are they pass, with one answer falsified they do not.

use proptest::prelude::*;

use super::*;

/// One operation of a client, one after the other for each.
#[derive(Clone, Debug)]
struct Plan {
    client: usize,
    /// Before its start, from the start to the effect, from the effect to the end; in milliseconds.
    times: [u64; 3],
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Set,
    Remove,
    /// As a set, but the client hears nothing of it.
    SetUnheard,
    RemoveUnheard,
    /// As a set that never comes to be.
    SetInVain,
    Ask,
}

/// An operation with its moment of effect.
#[derive(Clone, Debug)]
struct Placed {
    start: u64,
    effect: u64,
    end: u64,
    client: usize,
    kind: Kind,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let kind = prop_oneof![
        4 => Just(Kind::Set),
        1 => Just(Kind::Remove),
        1 => Just(Kind::SetUnheard),
        1 => Just(Kind::RemoveUnheard),
        1 => Just(Kind::SetInVain),
        12 => Just(Kind::Ask),
    ];
    let plan = (0..4_usize, [0..30_u64, 0..30, 0..30], kind);
    let plan = plan.prop_map(|(client, times, kind)| Plan {
        client,
        times,
        kind,
    });
    prop::collection::vec(plan, 1..80)
}

/// The operations in the order in which they take effect.
fn placed(plans: &[Plan]) -> Vec<Placed> {
    let mut clocks = [0; 4];
    let mut all = Vec::new();
    for plan in plans {
        let clock = &mut clocks[plan.client];
        let [pause, before, after] = plan.times;
        // One apart, so that what comes after another operation certainly does.
        let start = *clock + 1 + pause;
        let effect = start + before;
        let end = match plan.kind {
            // Gives up before it is done.
            Kind::SetUnheard | Kind::RemoveUnheard => start + before / 2,
            _ => effect + after,
        };
        *clock = end;
        all.push(Placed {
            start,
            effect,
            end,
            client: plan.client,
            kind: plan.kind,
        });
    }
    all.sort_by_key(|operation| operation.effect);
    all
}

/// What a register answers to them, each of which takes effect in turn.
fn told(operations: &[Placed]) -> Story {
    let mut story = story();
    let mut value = String::new();
    for (revision, operation) in (2..).zip(operations) {
        let Placed { start, end, .. } = *operation;
        let set = format!("x={revision}");
        story = match operation.kind {
            Kind::Set => story.set(start, end, &set, revision),
            Kind::Remove => story.set(start, end, "x=", revision),
            Kind::SetUnheard | Kind::SetInVain => story.unknown(start, end, &set),
            Kind::RemoveUnheard => story.unknown(start, end, "x="),
            Kind::Ask => {
                let frontend = format!("fe{}", operation.client);
                story.ask(start, end, &frontend, &format!("x={value}"))
            }
        };
        match operation.kind {
            Kind::Set | Kind::SetUnheard => value = revision.to_string(),
            Kind::Remove | Kind::RemoveUnheard => value.clear(),
            Kind::SetInVain | Kind::Ask => {}
        }
    }
    story
}

/// When all is over: a value, another one, and the first one again.
fn with_stale_answer(story: Story, operations: &[Placed]) -> Story {
    let over = operations.iter().map(|operation| operation.end).max();
    let over = over.unwrap_or(0) + 10_000;
    story
        .set(over, over + 10, "x=old", 1_000)
        .set(over + 20, over + 30, "x=new", 1_001)
        .ask(over + 5_000, over + 5_001, "fe1", "x=new")
        .ask(over + 5_010, over + 5_011, "fe1", "x=old")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_register_keeps_every_promise(plans in plans()) {
        let story = told(&placed(&plans));
        prop_assert_eq!(story.history.check(&Promise::Linearizable), Ok(()));
        prop_assert_eq!(story.history.check(&Promise::Bounded(Duration::ZERO)), Ok(()));
        prop_assert_eq!(story.history.check(&Promise::Available), Ok(()));
    }

    #[test]
    fn a_stale_answer_is_found(plans in plans()) {
        let operations = placed(&plans);
        let story = with_stale_answer(told(&operations), &operations);
        prop_assert_eq!(story.broken(Promise::Linearizable), [Rule::WentBack, Rule::NotLinearizable]);
        prop_assert_eq!(story.broken(Promise::Bounded(Duration::from_secs(2))), [Rule::WentBack, Rule::TooOld]);
        prop_assert_eq!(story.broken(Promise::Available), [Rule::WentBack]);
    }

    /// Any answer that is replaced by an older acknowledged value, over before the query began, is found wherever it is.
    #[test]
    fn any_falsified_answer_is_found(plans in plans(), pick: prop::sample::Index) {
        let operations = placed(&plans);
        let mut history = told(&operations).history;
        let fakes = falsifications(&history);
        prop_assume!(!fakes.is_empty());
        let (index, value) = pick.get(&fakes).clone();
        history.queries[index].reply = Reply::Value(value);
        let found = history.check(&Promise::Linearizable).expect_err("one answer is false");
        prop_assert!(found.iter().any(|violation| violation.rule == Rule::NotLinearizable), "{:?}", found);
    }
}

/// Queries, by number, and acknowledged values that certainly had been overwritten when they began.
fn falsifications(history: &History) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let done = |write: &&Write| matches!(write.outcome, Outcome::Acknowledged(Some(_)));
    for (index, query) in history.queries.iter().enumerate() {
        for old in history.writes.iter().filter(done) {
            let mut later = history.writes.iter().filter(done);
            let is_over =
                later.any(|new| old.span.end < new.span.start && new.span.end < query.span.start);
            if let (true, Some(value)) = (is_over, &old.value) {
                all.push((index, value.clone()));
            }
        }
    }
    all
}
