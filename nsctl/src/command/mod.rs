//! The commands, one module each.

mod accept;
mod announce;
mod batch;
mod change;
mod cookie;
mod held;
mod history;
mod list;
mod records;
mod status;
mod verify;
mod watch;
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
    let user = config.user.as_ref().map(|(name, _)| name.clone());
    let store = Store::new(config, prefix, timeout).with_author(command.author(user));
    let context = Context::new(store, output, timeout, command.writing());
    match command {
        Command::Add(add) => records::add(&context, add).await,
        Command::Set(set) => records::set(&context, set).await,
        Command::Remove(remove) => records::remove(&context, remove).await,
        Command::Batch(batch) => batch::batch(&context, batch).await,
        Command::Announce(announce) => announce::announce(&context, announce).await,
        Command::History(history) => history::history(&context, history).await,
        Command::Watch(watch) => watch::watch(&context, watch).await,
        Command::List(list) => list::list(&context, list).await,
        Command::Zone(command) => zone::run(&context, command).await,
        Command::Status { frontend, no_fail } => {
            status::status(&context, frontend.as_deref(), no_fail).await
        }
        Command::Accept { .. } => accept::accept(&context).await,
        Command::Cookie(command) => cookie::run(&context, command).await,
        Command::Held(HeldCommand::Export { dir, frontend }) => {
            held::export(&context, &dir, frontend.as_deref()).await
        }
        Command::Verify => verify::verify(&context).await,
    }
}
