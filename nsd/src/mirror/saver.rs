//! Writes the local snapshot now and then, and at the end.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, error};

use super::builder::Edition;
use super::{Mirrored, Settings, snapshot};
use crate::served::Publisher;

/// Writes the local snapshot.
pub(super) struct Saver {
    path: PathBuf,
    every: Duration,
    mirrored: Mirrored,
    publisher: Publisher,
}

impl Saver {
    pub(super) fn new(
        settings: &Settings,
        mirrored: &Mirrored,
        publisher: &Publisher,
    ) -> Option<Self> {
        let (path, every) = settings.snapshot.clone()?;
        let (mirrored, publisher) = (mirrored.clone(), publisher.clone());
        Some(Saver {
            path,
            every,
            mirrored,
            publisher,
        })
    }

    pub(super) fn edition(&self) -> Option<Edition> {
        self.mirrored.lock().edition()
    }

    pub(super) async fn save_for_ever(&self, saved: &mut Option<Edition>) {
        loop {
            sleep(self.every).await;
            self.save(saved).await;
        }
    }

    /// Writes the snapshot, if what is served is not what the last one has.
    pub(super) async fn save(&self, last: &mut Option<Edition>) {
        // A restart would take a copy in doubt for a good one.
        if self.edition() == *last || self.publisher.standing().doubted {
            return;
        }
        let (mirrored, path) = (self.mirrored.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            // What is saved is looked at only then: nothing older is written after it.
            let turn = snapshot::turn();
            let (edition, saved) = {
                let builder = mirrored.lock();
                (builder.edition(), builder.save()?)
            };
            Some(snapshot::write(&turn, &path, &saved).map(|()| (edition, saved.revision)))
        });
        let shown = self.path.display();
        match written.await {
            Ok(Some(Ok((edition, revision)))) => {
                debug!(snapshot = %shown, revision, "snapshot written");
                *last = edition;
                self.publisher
                    .tell(|standing| standing.snapshot = Some(revision));
            }
            Ok(Some(Err(error))) => {
                error!(snapshot = %shown, %error, "cannot write the snapshot");
            }
            // There is nothing yet.
            Ok(None) => {}
            Err(error) => error!(%error, "the snapshot was not written"),
        }
    }
}
