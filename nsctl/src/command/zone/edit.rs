//! `zone edit`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd::client::{Exported, ImportHow, ImportMode};
use etcd::model::Name;
use etcd::txn::Overlap;

use super::export::master_file;
use super::file::{self, Signatures};
use super::import;
use crate::arguments::EditZone;
use crate::command::change::ChangeReport;
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output;

/// The editor without `VISUAL` and `EDITOR`.
const EDITOR: &str = "vi";

pub(super) async fn edit(context: &Context, how: EditZone) -> Result<(), Error> {
    let apex = &how.zone;
    let (text, exported) = master_file(context, apex).await?;
    let path = write_file(apex, &text)?;
    let edited = apply(context, apex, &path, &text, exported).await;
    let is_edited = std::fs::read(&path).is_ok_and(|now| now != text.as_bytes());
    match &edited {
        Err(_) if is_edited => {
            let path = path.display();
            output::error(format!("the edited file is kept: {path}"));
            output::note(&format!(
                "(nsctl zone import {apex} {path} --replace writes it)"
            ));
        }
        _ => drop(std::fs::remove_file(&path)),
    }
    edited
}

/// Has the file edited, and imports it, unless others have changed the zone meanwhile.
async fn apply(
    context: &Context,
    apex: &Name,
    path: &Path,
    before: &str,
    exported: Exported,
) -> Result<(), Error> {
    let checked = loop {
        run_editor(path)?;
        let after = std::fs::read(path).map_err(|error| unusable(path, &error))?;
        if after == before.as_bytes() {
            let revision = exported.revision;
            let text = ChangeText::unchanged("the file was not edited", revision);
            let report = ChangeReport::of(apex, revision, false);
            return report.conclude(context, &text).await;
        }
        let text = file::open(path)?;
        match file::check(apex, path, &text, Signatures::Refuse) {
            Ok(checked) => break checked,
            Err(error) if io::stdin().is_terminal() => {
                output::error(&error);
                if !output::confirm("Edit again? [y/N] ") {
                    return Err(Error::Failed("nothing was written".into()));
                }
            }
            Err(error) => return Err(error),
        }
    };
    let import = ImportHow {
        mode: ImportMode::Replace,
        overlap: Overlap::Refuse,
        exported: Some(exported),
        is_at_once: true,
    };
    let imported = import::write(context, apex, &checked, &import).await?;
    let settings = import::soa_changed(&imported);
    import::conclude(context, apex, &imported, settings).await
}

/// Writes the zone to a new file that only this user can read.
fn write_file(apex: &Name, text: &str) -> Result<PathBuf, Error> {
    // Anything else may be in a name.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '.'
        }
    };
    let prefix: String = apex.to_string().chars().take(60).map(plain).collect();
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).suffix(".zone");
    let file = builder.tempfile().and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        Ok(file.keep()?.1)
    });
    file.map_err(|error| unusable(&std::env::temp_dir(), &error))
}

fn run_editor(path: &Path) -> Result<(), Error> {
    let given = |name| {
        std::env::var(name)
            .ok()
            .filter(|editor: &String| !editor.trim().is_empty())
    };
    let editor = given("VISUAL")
        .or_else(|| given("EDITOR"))
        .unwrap_or_else(|| EDITOR.into());
    // It may have arguments of its own, as in `code --wait`.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path);
    match shell.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed(format!(
            "the editor {editor} ended with {status}: nothing was written"
        ))),
        Err(error) => Err(Error::Failed(format!(
            "the editor {editor} did not start: {error}"
        ))),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("cannot use {}: {error}", path.display()))
}
