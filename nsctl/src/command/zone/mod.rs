//! `zone …`.

mod check;
mod clean;
mod diff;
mod edit;
mod export;
mod file;
mod import;
mod overlap;
mod past;
mod remove;
mod serials;
mod settings;
mod show;

use crate::arguments::ZoneCommand;
use crate::context::Context;
use crate::error::Error;

/// Runs a `zone` command.
pub(super) async fn run(context: &Context, command: ZoneCommand) -> Result<(), Error> {
    match command {
        ZoneCommand::Add(add) => settings::add(context, add).await,
        ZoneCommand::Set(set) => settings::set(context, set).await,
        ZoneCommand::List => show::list(context).await,
        ZoneCommand::Show { zone } => show::show(context, &zone).await,
        ZoneCommand::Remove(remove) => remove::remove(context, remove).await,
        ZoneCommand::Import(import) => import::import(context, import).await,
        ZoneCommand::Diff {
            zone,
            from: Some(from),
            to,
            ..
        } => past::changed(context, &zone, from, to).await,
        ZoneCommand::Diff { zone, file, .. } => {
            diff::diff(context, &zone, &file.unwrap_or_default()).await
        }
        ZoneCommand::Check(check) => check::check(context, check).await,
        ZoneCommand::Export { zone, at: Some(at) } => past::export(context, &zone, at).await,
        ZoneCommand::Export { zone, at: None } => export::export(context, &zone).await,
        ZoneCommand::Edit(edit) => edit::edit(context, edit).await,
        ZoneCommand::Rollback(rollback) => past::rollback(context, rollback).await,
        ZoneCommand::RaiseSerials { count, .. } => serials::raise(context, count).await,
        ZoneCommand::Clean { zone, history, .. } => clean::clean(context, &zone, history).await,
    }
}
