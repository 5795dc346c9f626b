//! Asks front-ends what they serve, and waits until they serve a change.

mod ask;
mod wait;

pub(crate) use self::ask::{
    Answer, NoAnswer, Registration, admin, ask_all, ask_at, get_all, get_at, held_zone,
    is_of_cluster, loss, root_cause,
};
pub(crate) use self::wait::{Awaited, wait};
