//! Prints results to standard output, and everything else to standard error.
//!
//! If the output cannot be written, the command fails: a truncated backup must not look like a good one.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use etcd::model::zonefile::RrsetFinding;
use etcd::model::{Name, shown};
use etcd::schema::Unreadable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::error::Error;

/// Whether standard output was closed when the process started (`nsctl list >&-`).
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's runtime, which replaces a closed standard output by /dev/null: all output would be lost without an
/// error.
#[ctor::ctor(unsafe)]
fn note_closed_stdout() {
    if io::stdout().as_fd().try_clone_to_owned().is_err() {
        STDOUT_CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Prints to standard output. If the reader is gone (`nsctl list | head`), that is not an error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    print_to_reader(text).map(drop)
}

/// Does the same, and returns whether there still is a reader.
pub(crate) fn print_to_reader(text: &str) -> Result<bool, Error> {
    match write(text) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Failed(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

fn write(text: &str) -> io::Result<()> {
    if STDOUT_CLOSED.load(Ordering::Relaxed) {
        return Err(io::Error::other("it is closed"));
    }
    // Not through `Stdout`, which buffers, and ignores the error of a descriptor that cannot be written to.
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    stdout.write_all(text.as_bytes())
}

/// Waits until nobody reads standard output any more; for ever if it is nothing that has a reader.
pub(crate) async fn reader_left() {
    let stdout = io::stdout();
    loop {
        // Errors are reported whatever is asked for.
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let now = Timespec::default();
        if poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::ERR) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Prints the help or the version, as clap renders it.
pub(crate) fn help(text: &clap::builder::StyledStr) -> Result<(), Error> {
    match io::stdout().is_terminal() {
        true => print(&text.ansi().to_string()),
        false => print(&text.to_string()),
    }
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(Error::failed)?;
    print(&(text + "\n"))
}

/// Prints a value as one line of JSON. Returns whether there still is a reader.
pub(crate) fn json_line(value: &impl Serialize) -> Result<bool, Error> {
    let text = serde_json::to_string(value).map_err(Error::failed)?;
    print_to_reader(&(text + "\n"))
}

/// Prints rows under a header, or `none` if there are no rows.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, none: &str) -> Result<(), Error> {
    if rows.is_empty() {
        return print(&format!("{none}\n"));
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    let readable = |row: Vec<String>| row.into_iter().map(|cell| readable(&cell));
    table.add_rows(rows.into_iter().map(readable));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: String = table
        .lines()
        .map(|line| line.trim_end().to_string() + "\n")
        .collect();
    print(&text)
}

/// Returns the exit code of a command's result. Prints the error, if it is one.
pub(crate) fn exit_code(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error(&failure);
            failure.exit_code()
        }
    }
}

/// Asks a question on stderr. Returns whether the answer is yes.
pub(crate) fn confirm(question: &str) -> bool {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut answer = String::new();
    // No answer counts as no.
    let _ = io::stdin().read_line(&mut answer);
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Prints an error, or another message of nsctl's own, as a line on stderr.
pub(crate) fn error(message: impl Display) {
    note(&format!("nsctl: {message}"));
}

/// Prints a warning as a line on stderr.
pub(crate) fn warning(message: impl Display) {
    note(&format!("warning: {message}"));
}

/// Names what cannot be read and is missing in the result, a line each on stderr.
pub(crate) fn report_unreadable(unreadable: &[Unreadable]) {
    unreadable.iter().for_each(error);
}

/// Makes a line or a cell readable for people: adds the Unicode forms of its names that have A-labels, in parentheses.
pub(crate) fn readable(text: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    // Names contain no white space. Words in double quotes are text, not names.
    for word in text.split_whitespace().filter(|word| word.contains("xn--")) {
        let word = word.trim_matches([',', ':', '\'', '(', ')']);
        let unicode = word.parse().ok().and_then(|name: Name| name.unicode());
        names.extend(unicode.filter(|name| !names.contains(name)));
    }
    // What others have put into etcd must not steer the terminal.
    let text = shown(text.as_bytes());
    match names.is_empty() {
        true => text,
        false => format!("{text} ({})", names.join(", ")),
    }
}

/// Does the same as [`readable`] for each line.
pub(crate) fn readable_lines(text: &str) -> String {
    text.lines().map(|line| readable(line) + "\n").collect()
}

/// Prints what is probably a mistake in records, a line each on stderr.
pub(crate) fn warnings(found: Vec<RrsetFinding>) {
    for RrsetFinding { reason, .. } in found {
        warning(reason);
    }
}

/// Puts a count before a noun.
pub(crate) fn plural<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Prints a line on stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", readable(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_labels_are_followed_by_their_unicode_form() {
        for (text, shown) in [
            ("xn--tda.example.", "xn--tda.example. (ü.example.)"),
            ("fe\n1\u{1b}[31m", r"fe\n1\u{1b}[31m"),
            (
                "+ xn--tda.x. 300 MX 10 mail.xn--tda.x.",
                "+ xn--tda.x. 300 MX 10 mail.xn--tda.x. (ü.x., mail.ü.x.)",
            ),
            (
                "error: 'xn--tda.x.': it is xn--tda.x., is it?",
                "error: 'xn--tda.x.': it is xn--tda.x., is it? (ü.x.)",
            ),
            // Text is not a name, and an A-label that does not convert to Unicode stays as it is.
            ("\"see xn--tda.x.\"", "\"see xn--tda.x.\""),
            ("xn--abc-.x.", "xn--abc-.x."),
            ("www.example.org.", "www.example.org."),
        ] {
            assert_eq!(readable(text), shown);
        }
        assert_eq!(readable_lines("a\nxn--tda.\n"), "a\nxn--tda. (ü.)\n");
    }
}
