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
}

/// When a file was changed last, and its length: both change if its content does.
type Stamp = Option<(SystemTime, u64)>;

impl CertificateFiles {
    /// Reads the files for the first time.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, StoreError> {
        let shown = Certificate::new(client::certified_key(certificate, key)?);
        Ok(CertificateFiles {
            certificate: certificate.into(),
            key: key.into(),
            shown,
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
        let (mut seen, mut is_settled) = (self.stamps(), true);
        loop {
            let look = tokio::time::sleep(LOOK);
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
            let now = self.stamps();
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

    fn stamps(&self) -> [Stamp; 2] {
        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}
