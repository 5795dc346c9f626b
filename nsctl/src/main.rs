//! `nsctl`: DNS records in etcd, from the command line.
//!
//! `arguments` says what can be typed, a module of `command` does it, `output` prints it. Exit codes:
//! 0 done, 1 failed, 2 usage, 3 conflict or unmet condition, 4 store unreachable, 5 wait timed out.

mod arguments;
mod command;
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
