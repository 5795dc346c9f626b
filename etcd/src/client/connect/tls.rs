//! TLS files, checked before they are used.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcd_client::{Certificate, Identity, TlsOptions};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore};
use tracing::warn;

use super::StoreError;

/// TLS files. They are read for every connection, so that rotated certificates are picked up. If they become unusable,
/// the log says so, and their last usable content stays in use.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Trusted authorities, in PEM; the system's if none is given.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name expected in the server's certificate, if not the host in the URL.
    pub server_name: Option<String>,
    /// The last usable content. Clones share it.
    pub sound: Sound,
}

/// The last usable content of the files.
#[derive(Clone, Default)]
pub struct Sound(Arc<Mutex<Remembered>>);

#[derive(Default)]
struct Remembered {
    files: Option<Arc<Files>>,
    /// The reason logged for why the files are unusable now.
    told: Option<String>,
}

impl Sound {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sound {
    /// Leaves out the keys, which do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sound(..)")
    }
}

/// The content of the files.
struct Files {
    authorities: Option<(Vec<u8>, RootCertStore)>,
    identity: Option<ClientIdentity>,
}

struct ClientIdentity {
    /// The files of the certificate and of the key.
    pem: (Vec<u8>, Vec<u8>),
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Checks that the files are readable, hold what they should, and belong together. Remembers their content,
    /// to fall back on if the files become unusable later.
    pub fn check(&self) -> Result<(), StoreError> {
        self.renew().map(drop)
    }

    fn renew(&self) -> Result<Arc<Files>, StoreError> {
        let files = Arc::new(self.read()?);
        *self.sound.lock() = Remembered {
            files: Some(files.clone()),
            told: None,
        };
        Ok(files)
    }

    /// The content of the files, or their last usable content.
    fn files(&self) -> Result<Arc<Files>, StoreError> {
        self.renew().or_else(|error| {
            let mut sound = self.sound.lock();
            let Some(files) = sound.files.clone() else {
                return Err(error);
            };
            let told = Some(error.to_string());
            if sound.told != told {
                warn!(%error, "the TLS files are unusable: connecting to etcd with the last usable ones");
                sound.told = told;
            }
            Ok(files)
        })
    }

    /// The options for etcd-client.
    pub(super) fn options(&self) -> Result<TlsOptions, StoreError> {
        let files = self.files()?;
        let mut options = TlsOptions::new();
        options = match &files.authorities {
            Some((pem, _)) => options.ca_certificate(Certificate::from_pem(pem)),
            None => options.with_native_roots(),
        };
        if let Some(ClientIdentity { pem, .. }) = &files.identity {
            options = options.identity(Identity::from_pem(&pem.0, &pem.1));
        }
        if let Some(name) = &self.server_name {
            options = options.domain_name(name);
        }
        Ok(options)
    }

    /// The configuration for a connection without etcd-client.
    pub(super) fn client_config(&self) -> Result<ClientConfig, StoreError> {
        let files = self.files()?;
        let roots = match &files.authorities {
            Some((_, roots)) => roots.clone(),
            None => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            }
        };
        let unusable = |error: Error| StoreError::Config(format!("cannot set up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut config = match &files.identity {
            Some(ClientIdentity { chain, key, .. }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.push(b"h2".to_vec());
        Ok(config)
    }

    /// Where the trusted authorities come from, for messages.
    pub(super) fn authorities(&self) -> String {
        match &self.ca_file {
            Some(path) => path.display().to_string(),
            None => "the system's list (no --ca-file is given)".into(),
        }
    }

    fn read(&self) -> Result<Files, StoreError> {
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(StoreError::Config(format!(
                "'{name}' is not a host name (--tls-name)"
            )));
        }
        let authorities = self.ca_file.as_deref().map(read_authorities).transpose()?;
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| {
            read_identity(certificate, key).map(|(identity, _)| identity)
        });
        Ok(Files {
            authorities,
            identity: identity.transpose()?,
        })
    }
}

fn unusable(path: &Path, reason: impl Display) -> StoreError {
    StoreError::Config(format!("cannot use {}: {reason}", path.display()))
}

/// Limit for files of settings or certificates, in octets: devices never end.
const SMALL: u64 = 4 << 20;

/// The longest chain of certificates that clients accept, in octets: a TLS message may be longer, but libraries stop there.
const CHAIN_MAX: usize = 60_000;

/// Reads a file that is at most 4 MiB long.
pub fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let read = File::open(path)?.take(SMALL + 1).read_to_end(&mut octets)?;
    if read as u64 > SMALL {
        return Err(io::Error::other(format!(
            "it is longer than {SMALL} octets"
        )));
    }
    Ok(octets)
}

fn read_octets(path: &Path) -> Result<Vec<u8>, StoreError> {
    // To open a pipe may take for ever.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(StoreError::Config(format!(
            "cannot read {}: it is not a regular file",
            path.display()
        )));
    }
    let octets = read_small_file(path)
        .map_err(|error| StoreError::Config(format!("cannot read {}: {error}", path.display())))?;
    match octets.is_empty() {
        true => Err(unusable(path, "the file is empty")),
        false => Ok(octets),
    }
}

fn read_certificates(path: &Path) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), StoreError> {
    let octets = read_octets(path)?;
    let certificates = CertificateDer::pem_slice_iter(&octets).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| unusable(path, "its PEM form is damaged"))?;
    match certificates.is_empty() {
        true => Err(unusable(path, "it holds no certificate in PEM form")),
        false => Ok((octets, certificates)),
    }
}

fn read_authorities(path: &Path) -> Result<(Vec<u8>, RootCertStore), StoreError> {
    let (octets, certificates) = read_certificates(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, format!("a certificate in it is damaged: {error}")))?;
    }
    Ok((octets, roots))
}

/// A certificate and its key, read from files in PEM, for a server. They belong together.
pub fn certified_key(certificate: &Path, key: &Path) -> Result<CertifiedKey, StoreError> {
    read_identity(certificate, key).map(|(_, pair)| pair)
}

fn read_identity(
    certificate: &Path,
    key: &Path,
) -> Result<(ClientIdentity, CertifiedKey), StoreError> {
    let (certificate_pem, chain) = read_certificates(certificate)?;
    let key_pem = read_octets(key)?;
    let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
        unusable(
            key,
            "it holds no private key in PEM form, or an encrypted one",
        )
    })?;
    if chain.iter().map(|der| der.len()).sum::<usize>() > CHAIN_MAX {
        return Err(unusable(
            certificate,
            "the chain is longer than clients accept",
        ));
    }
    let provider = ring::default_provider();
    let pair = match CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider) {
        Ok(pair) => pair,
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(StoreError::Config(format!(
                "the key in {} is not that of the certificate in {}",
                key.display(),
                certificate.display()
            )));
        }
        Err(Error::InvalidCertificate(error)) => {
            return Err(unusable(
                certificate,
                format!("a certificate in it is damaged: {error:?}"),
            ));
        }
        Err(error) => return Err(unusable(key, error)),
    };
    let identity = ClientIdentity {
        pem: (certificate_pem, key_pem),
        chain,
        key: private,
    };
    Ok((identity, pair))
}
