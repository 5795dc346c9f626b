//! Options of every command that writes.

use std::time::Duration;

use clap::Args;

use super::values::time;
use crate::frontends::Awaited;

/// The time limit of `--expect` without `--wait`.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Options of every command that writes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WriteOptions {
    /// Wait up to TIME for every live front-end to serve the change; exit with 5 if one does not [default TIME: 10s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s", value_parser = time)]
    wait: Option<Duration>,
    /// Wait until at least COUNT front-ends serve the change. Implies --wait.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
    /// Print what would change, without writing it.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl WriteOptions {
    /// What to wait for after a change at this revision, if anything.
    pub(crate) fn awaited(self, revision: i64) -> Option<Awaited> {
        let limit = self.wait.or(self.expect.map(|_| WAIT_DEFAULT))?;
        Some(Awaited {
            revision,
            limit,
            count: self.expect.unwrap_or(1),
        })
    }
}
