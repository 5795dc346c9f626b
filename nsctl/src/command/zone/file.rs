//! Master files of `zone import`, `diff` and `check`.

use std::path::Path;

use etcd::client::FileText;
use etcd::model::Name;
use etcd::model::zonefile::{self, Checked, FileFinding};

use crate::error::Error;
use crate::output::{self, plural};

/// What to do with the records that only a signed zone has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signatures {
    Refuse,
    LeaveOut,
}

/// Opens a file. A path of `-` is standard input.
pub(super) fn open(file: &Path) -> Result<FileText, Error> {
    FileText::open(file).map_err(Error::failed)
}

/// Reads and checks a file. Each error and warning is printed, a line each.
pub(super) fn check(
    zone: &Name,
    file: &Path,
    text: &FileText,
    signatures: Signatures,
) -> Result<Checked, Error> {
    let checked = text.records(zone).and_then(|mut file| {
        if signatures == Signatures::LeaveOut {
            file.leave_out_dnssec();
        }
        zonefile::check(zone, file)
    });
    let checked = checked.map_err(|faults| {
        print(&faults, "error");
        Error::Conflict(format!(
            "{} in {}",
            plural(faults.len(), "error"),
            file.display()
        ))
    })?;
    print(&checked.warnings, "warning");
    Ok(checked)
}

fn print(faults: &[FileFinding], level: &str) {
    for FileFinding { at, reason } in faults {
        let at = at.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        output::note(&format!("{at}{level}: {reason}"));
    }
}
