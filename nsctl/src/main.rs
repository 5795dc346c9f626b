//! `nsctl`: DNS records in etcd, from the command line.
//!
//! `arguments` parses the command line, a module of `command` runs it with a `context`, and `output` prints the result.
//! Exit codes: 0 done, 1 failed, 2 usage, 3 conflict or unmet condition, 4 etcd unreachable, 5 wait timed out.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod arguments;
mod command;
mod context;
mod error;
mod frontends;
mod output;
mod rdata;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments::Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return arguments::refused(&error),
    };
    arguments.log();
    output::exit_code(command::run(arguments).await)
}
