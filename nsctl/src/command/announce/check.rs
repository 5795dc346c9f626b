//! What is checked before and while records are announced.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::child::send_to_group;
use crate::arguments;
use crate::error::Error;

/// How many checks in a row have to fail before the records are withdrawn: one may fail by accident.
const FAILURES: u32 = 2;

/// The least time limit of a check, however short the interval.
const LIMIT_MIN: Duration = Duration::from_secs(1);

pub(super) enum Check {
    Http(reqwest::Url, reqwest::Client),
    Tcp(String),
    Command(String),
}

impl Check {
    /// The check that was asked for, if any.
    pub(super) fn of(asked: &arguments::Check) -> Result<Option<Self>, Error> {
        if let Some(url) = &asked.check_http {
            let parsed = reqwest::Url::parse(url);
            let parsed =
                parsed.map_err(|error| Error::usage(format!("'{url}' is not a URL: {error}")))?;
            if parsed.scheme() != "http" {
                return Err(Error::usage(format!(
                    "--check-http takes http URLs only: for '{url}' use --check-cmd \"curl -fsS {url}\""
                )));
            }
            let client = reqwest::Client::builder().no_proxy().build();
            return Ok(Some(Check::Http(parsed, client.map_err(Error::failed)?)));
        }
        if let Some(address) = &asked.check_tcp {
            let parts = address.rsplit_once(':');
            let is_address =
                parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !is_address {
                return Err(Error::usage(format!(
                    "'{address}' is not an address for --check-tcp: expected HOST:PORT"
                )));
            }
            return Ok(Some(Check::Tcp(address.clone())));
        }
        match &asked.check_cmd {
            Some(command) if command.trim().is_empty() => {
                Err(Error::usage("--check-cmd is empty: it would always pass"))
            }
            command => Ok(command.clone().map(Check::Command)),
        }
    }

    /// Checks for ever. Tells the first certain result, and each change of it. A failure is certain after [`FAILURES`] in a row.
    pub(super) async fn follow(
        &self,
        interval: Duration,
        mut tell: impl FnMut(Result<(), String>),
    ) -> Infallible {
        let (mut passes, mut failures) = (None, 0);
        loop {
            let begun = Instant::now();
            let result = self.run(interval.max(LIMIT_MIN)).await;
            failures = if result.is_ok() { 0 } else { failures + 1 };
            let is_certain = result.is_ok() || failures >= FAILURES;
            if is_certain && passes != Some(result.is_ok()) {
                passes = Some(result.is_ok());
                tell(result);
            }
            sleep_until(begun + interval).await;
        }
    }

    /// Checks once.
    async fn run(&self, limit: Duration) -> Result<(), String> {
        let checked = async {
            match self {
                Check::Http(url, client) => {
                    let answer = client.get(url.clone()).send().await;
                    let status = answer.map_err(|error| root_cause(&error))?.status();
                    match status.is_client_error() || status.is_server_error() {
                        true => Err(format!("{url} answers {status}")),
                        false => Ok(()),
                    }
                }
                Check::Tcp(address) => match TcpStream::connect(address).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("{address}: {error}")),
                },
                Check::Command(command) => {
                    let mut shell = Command::new("sh");
                    shell.args(["-c", command]).stdin(Stdio::null());
                    shell.stdout(Stdio::null()).stderr(Stdio::null());
                    let started = shell.process_group(0).kill_on_drop(true).spawn();
                    let mut group =
                        Group(started.map_err(|error| format!("cannot run sh: {error}"))?);
                    match group.0.wait().await {
                        Ok(status) if status.success() => Ok(()),
                        Ok(status) => Err(format!("'{command}' ends with {status}")),
                        Err(error) => Err(format!("cannot run sh: {error}")),
                    }
                }
            }
        };
        let late = |_| Err(format!("no result within {} s", limit.as_secs_f64()));
        timeout(limit, checked).await.unwrap_or_else(late)
    }
}

/// A shell. When it is dropped, all that it has started ends with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        send_to_group(&self.0, Signal::KILL);
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let url = error
        .url()
        .map_or_else(String::new, |url| format!("{url}: "));
    format!("{url}{}", crate::frontends::root_cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_failure_is_an_accident_and_two_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = folder.path().join("count");
        // Passes, fails once, passes, fails twice, passes.
        let script = format!(
            "echo >> {0}; case $(wc -l < {0}) in 2|4|5) exit 1;; esac",
            count.display()
        );
        let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
        let check = Check::Command(script);
        let followed = check.follow(Duration::from_millis(10), |result| {
            told.send(result.is_ok()).expect("it is waited for");
        });
        let three = async {
            let mut all = Vec::new();
            while all.len() < 3 {
                all.extend(tell.recv().await);
            }
            all
        };
        tokio::select! {
            never = followed => match never {},
            three = three => assert_eq!(three, [true, false, true]),
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let none = || arguments::Check {
            check_http: None,
            check_tcp: None,
            check_cmd: None,
        };
        assert!(matches!(Check::of(&none()), Ok(None)));
        for url in ["https://x/", "x", "ftp://x"] {
            let asked = arguments::Check {
                check_http: Some(url.into()),
                ..none()
            };
            assert!(matches!(Check::of(&asked), Err(Error::Usage(_))), "{url}");
        }
        for address in ["x", "x:", "x:70000", ":80"] {
            let asked = arguments::Check {
                check_tcp: Some(address.into()),
                ..none()
            };
            assert!(
                matches!(Check::of(&asked), Err(Error::Usage(_))),
                "{address}"
            );
        }
    }
}
