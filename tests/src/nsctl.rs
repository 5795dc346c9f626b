//! Running `nsctl`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{Process, binary};

/// `nsctl` with the options that every call needs.
#[derive(Clone, Debug)]
pub struct Nsctl {
    /// Names and values.
    options: Vec<[String; 2]>,
}

/// What a call came to.
#[derive(Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// The exit code.
    pub code: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Nsctl {
    /// `nsctl` for these endpoints.
    pub fn new(endpoints: &[String]) -> Self {
        Nsctl {
            options: Vec::new(),
        }
        .with("--endpoints", &endpoints.join(","))
        .with("--prefix", "/ns")
        // On a machine that is busy elections happen by themselves.
        .with("--timeout", "30s")
    }

    /// The same with another option, or with another value of one that it has.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let kept = self
            .options
            .iter()
            .filter(|[present, _]| present != name)
            .cloned();
        Nsctl {
            options: kept.chain([[name.into(), value.into()]]).collect(),
        }
    }

    /// Runs a command, split at white space.
    pub async fn run(&self, command: &str) -> Output {
        self.run_args(&command.split_whitespace().collect::<Vec<_>>())
            .await
    }

    /// Runs a command of these arguments.
    pub async fn run_args(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary("nsctl"));
        command.args(self.options.as_flattened()).args(args);
        command.stdout(Stdio::piped());
        outcome(command, args).await
    }

    /// Starts a command, split at white space, that does not end by itself.
    pub fn start(&self, command: &str) -> Process {
        self.start_args(&command.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts a command of these arguments that does not end by itself.
    pub fn start_args(&self, args: &[&str]) -> Process {
        let options = self.options.as_flattened().iter().map(String::as_str);
        let name = format!("nsctl {}", args.join(" "));
        Process::start(&name, &binary("nsctl"), options.chain(args.iter().copied()))
    }

    /// Runs a command from a shell, as `$0` with the arguments `$@`, with this standard output.
    pub async fn run_from(&self, shell: &str, stdout: Stdio, args: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", shell]).arg(binary("nsctl"));
        command.args(self.options.as_flattened()).args(args);
        command.stdout(stdout);
        outcome(command, args).await
    }

    /// Edits a zone with this command in place of an editor. It must have no single quotes.
    pub async fn edit(&self, zone: &str, editor: &str) -> Output {
        let shell = format!("EDITOR='{editor}' VISUAL= exec \"$0\" \"$@\"");
        let args = ["zone", "edit", zone];
        self.run_from(&shell, Stdio::piped(), &args).await
    }

    /// Runs a command that is to succeed, and returns its JSON.
    pub async fn ok(&self, command: &str) -> Value {
        self.with("-o", "json").run(command).await.expect(0).json()
    }

    /// Runs a writing command that is to succeed and to change something, and returns the revision.
    pub async fn write(&self, command: &str) -> i64 {
        let json = self.ok(command).await;
        assert_eq!(json["changed"], true, "nsctl {command}: {json}");
        json["revision"]
            .as_i64()
            .unwrap_or_else(|| panic!("nsctl {command}: no revision in {json}"))
    }
}

impl Output {
    /// Panics with all there is unless the exit code is this one.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "{}\nstdout: {}\nstderr: {}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed
            .unwrap_or_else(|error| panic!("{}: no JSON: {error}: {:?}", self.command, self.stdout))
    }

    /// The one line of standard error; panics where it is not one.
    pub fn complaint(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(
            lines.len(),
            1,
            "{}: not one line on standard error: {:?}",
            self.command,
            self.stderr
        );
        lines[0]
    }
}

/// Runs a command to its end.
async fn outcome(mut command: Command, args: &[&str]) -> Output {
    let started = Instant::now();
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = async { command.spawn()?.wait_with_output().await };
    let output = timeout(Duration::from_secs(90), output).await;
    let output = output.unwrap_or_else(|_| panic!("nsctl {args:?} did not end within 90 s"));
    let output = output.unwrap_or_else(|error| panic!("nsctl {args:?} did not run: {error}"));
    Output {
        command: format!("nsctl {}", args.join(" ")),
        code: output
            .status
            .code()
            .unwrap_or_else(|| panic!("nsctl {args:?} was killed: {}", output.status)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: started.elapsed(),
    }
}
