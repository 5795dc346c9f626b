//! What people and programs read.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::Error;

/// Prints to stdout. A reader that has gone away (`nsctl list | head`) is no error.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    print(&(text + "\n"));
    Ok(())
}

/// Prints rows under a header; `none` where there are no rows.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, none: &str) {
    if rows.is_empty() {
        return print(&format!("{none}\n"));
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: String = table
        .lines()
        .map(|line| line.trim_end().to_string() + "\n")
        .collect();
    print(&text);
}

/// One line on stderr.
pub(crate) fn error(error: &Error) {
    note(&format!("nsctl: {error}"));
}

/// A line on stderr, beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
