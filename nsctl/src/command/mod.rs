//! The commands, one module each.

mod accept;
mod change;
mod cookie;
mod held;
mod list;
mod records;
mod status;
mod verify;
mod zone;

use etcd::client::Store;

use crate::arguments::{Arguments, Command, HeldCommand};
use crate::context::Context;
use crate::error::Error;

/// Runs a command.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        store,
        timeout,
        output,
        command,
        ..
    } = arguments;
    let prefix = store.prefix().map_err(Error::usage)?;
    let config = store.config().map_err(Error::usage)?;
    let config = config.complete().map_err(Error::usage)?;
    let store = Store::new(config, prefix, timeout);
    let context = Context::new(store, output, timeout, command.is_dry_run());
    match command {
        Command::Add(add) => records::add(&context, add).await,
        Command::Set(set) => records::set(&context, set).await,
        Command::Remove(remove) => records::remove(&context, remove).await,
        Command::List(list) => list::list(&context, list).await,
        Command::Zone(command) => zone::run(&context, command).await,
        Command::Status { frontend, no_fail } => {
            status::status(&context, frontend.as_deref(), no_fail).await
        }
        Command::Accept { writing } => accept::accept(&context, writing).await,
        Command::Cookie(command) => cookie::run(&context, command).await,
        Command::Held(HeldCommand::Export { dir, frontend }) => {
            held::export(&context, &dir, frontend.as_deref()).await
        }
        Command::Verify => verify::verify(&context).await,
    }
}
