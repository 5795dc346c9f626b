//! Options of every command that writes.

use std::time::Duration;

use clap::Args;

use super::values::{time, words};
use crate::frontends::Awaited;

/// The time limit of `--expect` without `--wait`.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Options of every command that writes.
#[derive(Clone, Debug, Args)]
pub(crate) struct WriteOptions {
    /// Wait up to TIME for every live front-end to serve the change; exit with 5 if one does not [default TIME: 10s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s", value_parser = time)]
    wait: Option<Duration>,
    /// Wait until at least COUNT front-ends serve the change. Implies --wait.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
    /// Print what would change, without writing it.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of every command that makes a change which is in a journal.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChangeOptions {
    #[command(flatten)]
    pub(super) writing: WriteOptions,
    /// Who makes the change, for the journal [default: USER@HOST; behind sudo, the user who called it].
    #[arg(long, value_name = "AUTHOR", value_parser = words)]
    pub(super) by: Option<String>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub(super) why: Option<String>,
}

impl WriteOptions {
    /// What to wait for after a change, if anything.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let limit = self.wait.or(self.expect.map(|_| WAIT_DEFAULT))?;
        Some(Awaited {
            limit,
            count: self.expect.unwrap_or(1),
        })
    }
}
