//! Reads the certificate of the encrypted transports, and reads it again when its files change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcd::client::{self, StoreError};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

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
        let pair = client::certified_key(certificate, key)?;
        warn_of_dates(&pair, certificate);
        let shown = Certificate::new(pair);
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
        Ok(|| {
            warn_of_dates(&pair, &self.certificate);
            self.shown.replace(pair);
        })
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

/// Warns of a certificate that clients reject because of its dates. It is used all the same: somebody has put it there, and
/// some clients do not check.
fn warn_of_dates(pair: &CertifiedKey, file: &Path) {
    let parsed = pair.cert.first().map(|leaf| parse_x509_certificate(leaf));
    let Some(Ok((_, certificate))) = parsed else {
        return;
    };
    let (validity, now) = (certificate.validity(), ASN1Time::now());
    let file = file.display();
    if validity.not_after < now {
        warn!(certificate = %file, expired = %validity.not_after, "the certificate has expired: clients will reject it");
    } else if validity.not_before > now {
        warn!(certificate = %file, from = %validity.not_before, "the certificate is not valid yet: clients will reject it");
    }
}

fn stamps(certificate: &Path, key: &Path) -> [Stamp; 2] {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}
