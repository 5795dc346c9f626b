//! etcd and `nsctl` on the server's side.

use std::path::Path;
use std::time::Duration;

use tests::{Process, TempDir, binary};

use crate::data::ZONE;
use crate::net::{CLIENT_CORE, Net, SERVER_CORE, Side, output};

/// Where etcd listens, within the namespace.
pub(crate) const ENDPOINT: &str = "http://127.0.0.1:2379";

/// One member of etcd. Frozen while others are measured.
pub(crate) struct Store {
    process: Process,
    _data: TempDir,
}

impl Store {
    /// Starts it on the generator's core, or on the server's: then what it takes is the server's loss.
    pub(crate) fn start(net: &Net, core: &str) -> Result<Self, String> {
        let data = TempDir::new();
        let folder = data.path().display().to_string();
        let args = [
            "--data-dir",
            &folder,
            "--listen-client-urls",
            ENDPOINT,
            "--advertise-client-urls",
            ENDPOINT,
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--log-level",
            "error",
            // A few hundred megabytes are a million RRsets.
            "--quota-backend-bytes",
            "8589934592",
        ];
        let process = net.start(Side::Server, core, Path::new("etcd"), &args);
        let store = Store {
            process,
            _data: data,
        };
        wait("etcd answers", Duration::from_secs(20), || {
            nsctl(net, &["zone", "list"]).map(drop)
        })?;
        Ok(store)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// Stops it from taking any CPU.
    pub(crate) fn freeze(&self) {
        self.process.signal("STOP");
    }
}

/// Runs `nsctl` on the server's side.
pub(crate) fn nsctl(net: &Net, args: &[&str]) -> Result<String, String> {
    let cores = format!("{SERVER_CORE},{CLIENT_CORE}");
    let args = [&["--endpoints", ENDPOINT, "--timeout", "60s"], args].concat();
    net.run(Side::Server, &cores, &binary("nsctl"), &args)
}

/// Imports the zone.
pub(crate) fn import(net: &Net, zone: &Path) -> Result<(), String> {
    let file = zone.to_str().ok_or("a path that is no text")?;
    nsctl(net, &["zone", "import", ZONE, file, "--replace"]).map(drop)
}

/// Asks until the answer is yes.
pub(crate) fn wait(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let end = std::time::Instant::now() + limit;
    loop {
        match check() {
            Ok(()) => return Ok(()),
            Err(error) if std::time::Instant::now() > end => {
                return Err(format!("not within {limit:?}: {what}: {error}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Whether a program is on PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    output(std::process::Command::new("sh").args(["-c", &format!("command -v {program}")])).is_ok()
}
