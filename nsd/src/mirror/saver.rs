//! Writes the local snapshot at intervals, and at shutdown.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, error};

use super::builder::Edition;
use super::{MirrorSettings, SharedBuilder, snapshot};
use crate::served::Publisher;

/// Writes the local snapshot.
pub(super) struct Saver {
    path: PathBuf,
    every: Duration,
    builder: SharedBuilder,
    publisher: Publisher,
}

impl Saver {
    pub(super) fn new(
        settings: &MirrorSettings,
        builder: &SharedBuilder,
        publisher: &Publisher,
    ) -> Option<Self> {
        let (path, every) = settings.snapshot.clone()?;
        let (builder, publisher) = (builder.clone(), publisher.clone());
        Some(Saver {
            path,
            every,
            builder,
            publisher,
        })
    }

    pub(super) fn edition(&self) -> Option<Edition> {
        self.builder.lock().edition()
    }

    pub(super) async fn save_forever(&self, saved: &mut Option<Edition>) {
        loop {
            sleep(self.every).await;
            self.save(saved).await;
        }
    }

    /// Writes the snapshot, unless `last` is the edition that is served.
    pub(super) async fn save(&self, last: &mut Option<Edition>) {
        // After a restart nothing would say that the copy was in doubt.
        if self.edition() == *last || self.publisher.standing().doubted {
            return;
        }
        let (builder, path) = (self.builder.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            // Taken only after the turn: otherwise an older state could be written last.
            let turn = snapshot::turn();
            let (edition, saved) = {
                let builder = builder.lock();
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
                    .update(|standing| standing.snapshot = Some(revision));
            }
            Ok(Some(Err(error))) => {
                error!(snapshot = %shown, %error, "cannot write the snapshot");
            }
            // Nothing was listed yet.
            Ok(None) => {}
            Err(error) => error!(snapshot = %shown, %error, "cannot write the snapshot"),
        }
    }
}
