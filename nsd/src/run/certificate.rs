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
        let (mut seen, mut is_settled) = (self.first, true);
        loop {
            let look = tokio::time::sleep(LOOK);
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
            let now = stamps(&self.certificate, &self.key);
            if now == seen && is_settled {
                continue;
            }
            let is_settling = now == seen;
            seen = now;
            match self.reload() {
                Ok(show) => {
                    show();
                    is_settled = true;
                    info!(certificate = %self.certificate.display(), "using the new certificate");
                }
                Err(error) => {
                    is_settled = is_settling;
                    if is_settling {
                        warn!(%error, "the new certificate cannot be used: the one in use stays");
                    }
                }
            }
        }
    }
}

fn stamps(certificate: &Path, key: &Path) -> [Stamp; 2] {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}
