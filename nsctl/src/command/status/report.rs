//! What `status` reports.

use etcd::client::{Member, MemberState};
use etcd::schema::{Frontend, FrontendStatus};
use serde::Serialize;

use super::problem::Problem;
use crate::frontends::NoAnswer;

#[derive(Serialize)]
pub(super) struct StatusReport {
    pub(super) members: Vec<MemberRow>,
    /// `None` if it could not be read who is registered.
    pub(super) frontends: Option<Vec<FrontendRow>>,
    /// What is wrong, and what to do.
    pub(super) faults: Vec<Problem>,
    /// What may go wrong, or did.
    pub(super) hints: Vec<Problem>,
}

#[derive(Serialize)]
pub(super) struct MemberRow {
    pub(super) endpoint: String,
    #[serde(flatten)]
    pub(super) state: Option<MemberState>,
    pub(super) error: Option<String>,
}

#[derive(Serialize)]
pub(super) struct FrontendRow {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) registered: Option<Frontend>,
    /// How many revisions it is behind the last transaction.
    pub(super) lag: Option<i64>,
    #[serde(flatten)]
    pub(super) state: Option<FrontendStatus>,
    pub(super) error: Option<String>,
}

impl From<Member> for MemberRow {
    fn from(Member { endpoint, state }: Member) -> Self {
        let (state, error) = apart(state);
        MemberRow {
            endpoint,
            state,
            error,
        }
    }
}

impl FrontendRow {
    pub(super) fn new(
        id: String,
        registered: Option<Frontend>,
        state: Result<FrontendStatus, NoAnswer>,
        lag: Option<i64>,
    ) -> Self {
        let (mut state, error) = apart(state);
        if let Some(state) = &mut state {
            // The row has the id already, and the registration has the version.
            state.id = None;
            state.version = state.version.take().filter(|_| registered.is_none());
        }
        FrontendRow {
            id,
            registered,
            lag,
            state,
            error,
        }
    }
}

fn apart<T>(result: Result<T, impl ToString>) -> (Option<T>, Option<String>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.to_string())),
    }
}
