//! The certificate of `nsd dev --tls`.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::CertifiedKey;

/// Makes a self-signed certificate for this address and for `localhost`, and writes it and its key into a folder.
pub(super) fn make(folder: &Path, address: IpAddr) -> anyhow::Result<(PathBuf, PathBuf)> {
    let names = vec!["localhost".to_string(), address.to_string()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let (certificate, key) = (folder.join("tls-cert.pem"), folder.join("tls-key.pem"));
    for (path, text) in [
        (&certificate, cert.pem()),
        (&key, signing_key.serialize_pem()),
    ] {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        file.open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok((certificate, key))
}
