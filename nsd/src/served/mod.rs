//! What is served, and what is known of it. The mirror writes it. The servers read nothing else; the admin listener also
//! looks into the builder.
//!
//! - `publish`: puts a view in the place of another, and frees that one.
//! - `proof`: when the view was last known to be complete.
//! - `standing`: how the mirror stands towards etcd.

mod changes;
mod proof;
mod publish;
mod standing;

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache, Guard};
use tokio::sync::watch;

pub use changes::ZoneChange;
#[cfg(test)]
pub(crate) use changes::log as log_changes;
pub use proof::Proof;
use proof::Proved;
pub use publish::Publisher;
pub use standing::{Audit, Loss, Standing};

use crate::zone::View;

/// The view that is served. Readers load it without waiting; it is replaced as a whole.
type Published = Arc<ArcSwap<View>>;

/// What is served. A handle: clones are of the same.
#[derive(Clone)]
pub struct Served {
    view: Published,
    proved: Arc<Proved>,
    /// How the mirror stands. Who waits for changes clones it.
    pub standing: watch::Receiver<Standing>,
}

impl Served {
    /// The last proof that the view was complete. It is read before the view is loaded: a later one may be of a later view.
    pub fn proof(&self) -> Proof {
        self.proved.last()
    }

    /// The view as it is now.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The view for a thread that loads it again and again.
    pub fn cached(&self) -> Cache<Published, Arc<View>> {
        Cache::new(self.view.clone())
    }
}
