//! An `nsd` process.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use crate::{Process, Response, binary, ensure, eventually, free_port, get};

/// A front-end that runs.
pub struct Frontend {
    /// Its id.
    pub id: String,
    /// Where it answers DNS.
    pub dns: SocketAddr,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    launch: Launch,
    process: Process,
}

/// What it is started with, but for its addresses.
#[derive(Clone)]
struct Launch {
    program: PathBuf,
    options: Vec<String>,
    variables: Vec<(String, OsString)>,
}

impl Frontend {
    /// Starts one with an id and more options, and waits until its sockets are bound, which does not need
    /// etcd.
    pub async fn start(id: &str, endpoints: &[String], more: &[&str]) -> Self {
        Self::start_program(&binary("nsd"), id, endpoints, more).await
    }

    /// The same of another build of `nsd`.
    pub async fn start_program(
        program: &Path,
        id: &str,
        endpoints: &[String],
        more: &[&str],
    ) -> Self {
        let launch = Launch::new(program, id, endpoints, more);
        launch.start(id, free_address(), free_address()).await
    }

    /// The same with the log level left to the configuration file.
    pub async fn start_by_file(id: &str, endpoints: &[String], more: &[&str]) -> Self {
        let mut launch = Launch::new(&binary("nsd"), id, endpoints, more);
        launch
            .options
            .retain(|option| option != "--log-level" && option != "info");
        launch.start(id, free_address(), free_address()).await
    }

    /// The same with more environment variables.
    pub async fn start_with(
        id: &str,
        endpoints: &[String],
        more: &[&str],
        variables: &[(&str, &OsStr)],
    ) -> Self {
        let mut launch = Launch::new(&binary("nsd"), id, endpoints, more);
        let variables = variables.iter();
        launch.variables = variables
            .map(|(name, value)| (name.to_string(), value.to_os_string()))
            .collect();
        launch.start(id, free_address(), free_address()).await
    }

    /// Ends it as an operator does, and starts it again with the same options at the same addresses.
    pub async fn restart(&mut self, limit: Duration) {
        let status = self.terminate(limit).await;
        assert!(status.success(), "{}: {status}", self.id);
        let launch = self.launch.clone();
        *self = launch.start(&self.id, self.dns, self.admin).await;
    }

    /// Asks the admin listener for a path.
    pub async fn get(&self, path: &str) -> Result<Response, String> {
        get(self.admin, path).await
    }

    /// What it says of itself.
    pub async fn status(&self) -> Value {
        let response = self
            .get("/status")
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.id));
        assert_eq!(response.code, 200, "{}: {}", self.id, response.body);
        response.json()
    }

    /// Waits until it has data to answer from.
    pub async fn ready(&self) {
        eventually(
            &format!("{} is ready", self.id),
            Duration::from_secs(20),
            async || {
                let response = self.get("/readyz").await?;
                ensure(response.code == 200, || {
                    format!("{}: {}", response.code, response.body)
                })
            },
        )
        .await;
    }

    /// Waits until it has applied a revision.
    pub async fn applied(&self, revision: i64, limit: Duration) {
        let path = format!("/status?min_revision={revision}&timeout_ms=1000");
        eventually(
            &format!("{} has applied {revision}", self.id),
            limit,
            async || {
                let status = self.get(&path).await?.json();
                ensure(status["applied"].as_i64() >= Some(revision), || {
                    status.to_string()
                })
            },
        )
        .await;
    }

    /// Its log so far, a value a line.
    pub fn log(&self) -> Vec<Value> {
        // The last line may not be written to its end yet.
        self.process
            .stderr()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Panics if the process has ended.
    pub fn check(&mut self) {
        self.process
            .check()
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Frontend::freeze`].
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends a signal, as in `HUP`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// SIGTERM.
    pub fn tell_to_end(&self) {
        self.process.signal("TERM");
    }

    /// Waits until it has ended.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        self.process.end(limit).await
    }

    /// SIGTERM, and the end that follows.
    pub async fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.tell_to_end();
        self.end(limit).await
    }
}

/// Not port 0, which another socket could have when the front-end is started again.
fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

impl Launch {
    fn new(program: &Path, id: &str, endpoints: &[String], more: &[&str]) -> Self {
        let endpoints = endpoints.join(",");
        let options = [
            ["--endpoints", &endpoints],
            ["--prefix", "/ns"],
            ["--id", id],
            ["--log-format", "json"],
            ["--log-level", "info"],
        ];
        // Many tests make their zones later.
        let allow_empty = match more.contains(&"--allow-empty") {
            true => &[][..],
            false => &["--allow-empty"],
        };
        let options = options.iter().flatten().chain(allow_empty).chain(more);
        Launch {
            program: program.into(),
            options: options.map(|option| option.to_string()).collect(),
            variables: Vec::new(),
        }
    }

    async fn start(self, id: &str, dns: SocketAddr, admin: SocketAddr) -> Frontend {
        let addresses = [dns, admin].map(|address| address.to_string());
        let listen = ["--listen", &addresses[0], "--admin", &addresses[1]];
        let options = self.options.iter().map(String::as_str);
        let args = listen.into_iter().chain(options);
        let variables = self.variables.iter();
        let variables: Vec<(&str, &OsStr)> = variables
            .map(|(name, value)| (name.as_str(), value.as_os_str()))
            .collect();
        let mut process = Process::start_with(id, &self.program, args, &variables);
        let (dns, admin) = eventually(
            &format!("{id} listens"),
            Duration::from_secs(20),
            async || {
                process.check()?;
                listening(&process.stderr()).ok_or_else(|| process.stderr())
            },
        )
        .await;
        Frontend {
            id: id.into(),
            dns,
            admin,
            launch: self,
            process,
        }
    }
}

/// The addresses in the log line that tells them.
fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = lines
        .map(|line| line["fields"].clone())
        .find(|fields| fields["message"] == "listening")?;
    let address = |field: &str| {
        fields[field]
            .as_str()?
            .split(',')
            .next()?
            .trim()
            .parse()
            .ok()
    };
    Some((address("dns")?, address("admin")?))
}
