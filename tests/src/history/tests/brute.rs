//! Small histories, likely and unlikely ones: the search finds an order just where trying out all of them does.

use proptest::prelude::*;

use super::*;

/// An operation on the one RRset. A value of 0 is none.
#[derive(Clone, Copy, Debug)]
struct Small {
    start: u64,
    end: u64,
    value: usize,
    is_query: bool,
    is_unknown: bool,
}

fn small() -> impl Strategy<Value = Vec<Small>> {
    let one = (
        0..12_u64,
        0..6_u64,
        0..4_usize,
        any::<bool>(),
        any::<bool>(),
    );
    let one = one.prop_map(|(start, length, value, is_query, is_unknown)| Small {
        start,
        end: start + length,
        value,
        is_query,
        is_unknown: is_unknown && !is_query,
    });
    prop::collection::vec(one, 1..8).prop_map(with_own_values)
}

/// Each write has a value of its own; queries have those of any write, or of none.
fn with_own_values(mut all: Vec<Small>) -> Vec<Small> {
    let mut next = 1;
    for operation in all.iter_mut().filter(|operation| !operation.is_query) {
        // One in four removes.
        if operation.value > 0 {
            operation.value = next;
            next += 1;
        }
    }
    all
}

/// Whether an order of the rest explains it, from this value on.
fn has_order(rest: &[Small], value: usize) -> bool {
    let is_needed = |operation: &&Small| !operation.is_unknown;
    if rest.iter().find(is_needed).is_none() {
        return true;
    }
    (0..rest.len()).any(|index| {
        let first = rest[index];
        let mut needed = rest.iter().filter(is_needed);
        let is_first = needed.all(|other| other.end >= first.start);
        let fits = !first.is_query || first.value == value;
        let mut others = rest.to_vec();
        others.remove(index);
        is_first && fits && has_order(&others, first.value)
    })
}

fn told(operations: &[Small]) -> Story {
    operations.iter().fold(story(), |story, operation| {
        let Small { start, end, .. } = *operation;
        let value = match operation.value {
            0 => String::new(),
            value => value.to_string(),
        };
        let what = format!("x={value}");
        match (operation.is_query, operation.is_unknown) {
            (true, _) => story.ask(start, end, "fe1", &what),
            (false, true) => story.unknown(start, end, &what),
            (false, false) => story.write(start, end, &what, Outcome::Acknowledged(None)),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn an_order_is_found_where_there_is_one(operations in small()) {
        let story = told(&operations);
        let registers = story.history.registers();
        let found = linearizable::check(&registers["x"]);
        prop_assert_eq!(found.is_ok(), has_order(&operations, 0), "{:?}", found);
    }
}
