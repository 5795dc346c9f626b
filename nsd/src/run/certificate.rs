//! Reads the certificate of the encrypted transports, and reads it again when its files change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcd::client::{self, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::server::Certificate;

/// How often to look whether the files have changed.
const LOOK: Duration = Duration::from_secs(2);

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    shown: Certificate,
    /// Of the files as they were read first.
    first: [Stamp; 2],
}

/// When a file was changed last, and its length: one of them changes, as a rule, if the content does.
type Stamp = Option<(SystemTime, u64)>;

/// What was seen of the files last.
#[derive(Clone, Copy)]
struct Seen {
    stamps: [Stamp; 2],
    /// Whether what is in the files then is used, or was said to be unusable.
    is_settled: bool,
}

impl CertificateFiles {
    /// Reads the files for the first time.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, StoreError> {
        // Before they are read, so that no change is missed.
        let first = stamps(certificate, key);
        let shown = Certificate::new(client::certified_key(certificate, key)?);
        Ok(CertificateFiles {
            certificate: certificate.into(),
            key: key.into(),
            shown,
            first,
        })
    }

    /// What clients are shown.
    pub(crate) fn certificate(&self) -> Certificate {
        self.shown.clone()
    }

    /// Reads the files again. The result is what shows the new pair; until then, and if the files cannot be used, the
    /// pair in use stays.
    pub(crate) fn reload(&self) -> Result<impl FnOnce(), StoreError> {
        let pair = client::certified_key(&self.certificate, &self.key)?;
        Ok(|| self.shown.replace(pair))
    }

    /// Reads the files again whenever they have changed, until `stop` is cancelled. Files that are replaced one after the
    /// other do not match for a moment: what cannot be used is logged once it has not changed for [`LOOK`].
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut seen = Seen {
            stamps: self.first,
            is_settled: true,
        };
        loop {
            let look = async {
                tokio::time::sleep(LOOK).await;
                // On a thread of its own: the files may lie on a disk that hangs.
                let files = self.clone();
                tokio::task::spawn_blocking(move || files.look(seen)).await
            };
            match stop.run_until_cancelled(look).await {
                Some(Ok(next)) => seen = next,
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    /// Reads the files again if they have changed since they were seen last.
    fn look(&self, seen: Seen) -> Seen {
        let stamps = stamps(&self.certificate, &self.key);
        let is_settling = stamps == seen.stamps;
        if is_settling && seen.is_settled {
            return seen;
        }
        let is_settled = match self.reload() {
            Ok(show) => {
                show();
                info!(certificate = %self.certificate.display(), "using the new certificate");
                true
            }
            Err(error) => {
                if is_settling {
                    warn!(%error, "the new certificate cannot be used: the one in use stays");
                }
                is_settling
            }
        };
        Seen { stamps, is_settled }
    }
}

fn stamps(certificate: &Path, key: &Path) -> [Stamp; 2] {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}
