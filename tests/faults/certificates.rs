//! Certificates of two authorities: those in use, and those that replace them.

use std::path::PathBuf;
use std::process::Command;

use tests::TempDir;

/// The name in the members' certificates, as their addresses are not known before.
pub(crate) const NAME: &str = "etcd.test";

/// Where members find theirs.
const SERVER: &str = "/data/server.pem";
const SERVER_KEY: &str = "/data/server.key";
const AUTHORITIES: &str = "/data/authorities.pem";

const MAKE: &str = r#"
set -e
ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
for age in old new; do
  openssl req -x509 $ec -keyout $age-ca.key -out $age-ca.pem -subj /CN=$age-ca
  for who in server client; do
    openssl req $ec -keyout $age-$who.key -out $age-$who.csr -subj /CN=$who
    printf 'subjectAltName=DNS:etcd.test\nextendedKeyUsage=serverAuth,clientAuth\n' >ext
    openssl x509 -req -in $age-$who.csr -CA $age-ca.pem -CAkey $age-ca.key -CAcreateserial \
      -out $age-$who.pem -days 30 -extfile ext
  done
done
cat old-ca.pem new-ca.pem >authorities.pem
"#;

pub(crate) struct Certificates(TempDir);

impl Certificates {
    /// None where there is no openssl.
    pub(crate) fn make() -> Option<Self> {
        let folder = TempDir::new();
        let made = Command::new("sh")
            .args(["-c", MAKE])
            .current_dir(folder.path())
            .output();
        let made = made.expect("there is a shell");
        // The shell's word for a command that is not there.
        if made.status.code() == Some(127) {
            return None;
        }
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no certificates: {told}");
        let certificates = Certificates(folder);
        certificates.give_clients("old");
        Some(certificates)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file that was made")
    }

    /// The files that a member starts with, by their paths there. It trusts both authorities from the start: etcd does
    /// not read those again.
    pub(crate) fn of_members(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            (SERVER, self.read("old-server.pem")),
            (SERVER_KEY, self.read("old-server.key")),
            (AUTHORITIES, self.read("authorities.pem")),
        ]
    }

    /// What a member has to be told about them.
    pub(crate) fn options_of_members() -> Vec<&'static str> {
        let options = [
            ["--cert-file", SERVER],
            ["--key-file", SERVER_KEY],
            ["--trusted-ca-file", AUTHORITIES],
        ];
        options
            .into_iter()
            .flatten()
            .chain(["--client-cert-auth"])
            .collect()
    }

    /// What a front-end has to be told.
    pub(crate) fn options_of_clients(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        [
            ["--ca-file", &path("ca.pem")],
            ["--cert-file", &path("client.pem")],
            ["--key-file", &path("client.key")],
            ["--tls-name", NAME],
        ]
        .as_flattened()
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    /// Clients trust only the next authority, and show what is from it.
    pub(crate) fn rotate_clients(&self) {
        self.give_clients("new");
    }

    fn give_clients(&self, age: &str) {
        for name in ["ca.pem", "client.pem", "client.key"] {
            std::fs::copy(self.path(&format!("{age}-{name}")), self.path(name))
                .expect("a file that was made is copied");
        }
    }

    /// What replaces a member's certificate and its key, with their paths there.
    pub(crate) fn next_server(&self) -> [(PathBuf, &'static str); 2] {
        [
            (self.path("new-server.pem"), SERVER),
            (self.path("new-server.key"), SERVER_KEY),
        ]
    }
}
