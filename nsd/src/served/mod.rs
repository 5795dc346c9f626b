//! What is served, and what is known about it. The mirror writes it through a [`Publisher`]; everything else reads it
//! through a [`Served`].
//!
//! - `publish`: replaces the view, and frees the old one.
//! - `changes`: which zones a new view changes.
//! - `proof`: when the view was last known to be complete.
//! - `standing`: the state of the mirror.

mod changes;
mod confirm;
mod proof;
mod publish;
mod standing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption, Cache, Guard};
use tokio::sync::watch;

pub use changes::ZoneChange;
#[cfg(test)]
pub(crate) use changes::log as log_changes;
pub use confirm::confirm;
pub use proof::Proof;
use proof::Proved;
pub use publish::Publisher;
pub use standing::{AuditResult, Loss, Standing};

use crate::model::CookieSecrets;
use crate::zone::View;

/// The view that is served. Readers load it without waiting; it is replaced as a whole.
type Published = Arc<ArcSwap<View>>;

/// A handle to what is served. All clones show the same.
#[derive(Clone)]
pub struct Served {
    view: Published,
    proved: Arc<Proved>,
    cookie: Arc<ArcSwapOption<CookieSecrets>>,
    /// The standing of the mirror. Clone the receiver to wait for changes.
    pub standing: watch::Receiver<Standing>,
}

impl Served {
    /// The last proof that the view was complete. Load it before the view; otherwise an old view could pass as fresh.
    pub fn proof(&self) -> Proof {
        self.proved.last()
    }

    /// The time since the start, by a clock that never goes back.
    pub fn uptime(&self, now: Instant) -> Duration {
        self.proved.since_start(now)
    }

    /// The secrets for cookies, once some are known.
    pub fn cookie(&self) -> Guard<Option<Arc<CookieSecrets>>> {
        self.cookie.load()
    }

    /// The current view.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// A cache of the view, for a thread that loads it again and again.
    pub fn cached(&self) -> Cache<Published, Arc<View>> {
        Cache::new(self.view.clone())
    }
}
