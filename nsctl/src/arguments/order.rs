//! Rearranges the command line for clap.
//!
//! clap cannot parse two things that people type: rdata that begins with a hyphen and has options after it
//! (`add example.org TXT -all --ttl 60`), and `--wait` with an optional time before other words
//! (`add --wait www.example.org A 192.0.2.1`, `accept --wait 10s`).

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::values::time;

/// The commands that take rdata.
const TAKE_RDATA: [&str; 3] = ["add", "set", "remove"];

/// For a command that takes rdata: puts its options first, then a `--`, then its positional arguments, so that clap does
/// not take rdata with a hyphen for options. Joins `--wait` with the time after it.
pub(super) fn arranged(typed: Vec<OsString>, program: &Command) -> Vec<OsString> {
    let mut typed = join_wait(typed).into_iter();
    let mut arranged: Vec<OsString> = typed.next().into_iter().collect();
    // Options before the command.
    let command = loop {
        let Some(word) = typed.next() else {
            return arranged;
        };
        let (is_option, takes_next) = option(&word, program, None);
        let found = word.to_str().and_then(|word| program.find_subcommand(word));
        arranged.push(word);
        match found {
            Some(command) if TAKE_RDATA.contains(&command.get_name()) => break command,
            _ if is_option && takes_next => arranged.extend(typed.next()),
            _ if is_option => {}
            _ => return arranged.into_iter().chain(typed).collect(),
        }
    };
    let mut records = Vec::new();
    while let Some(word) = typed.next() {
        if word == "--" {
            records.extend(typed);
            break;
        }
        let (is_option, takes_next) = option(&word, program, Some(command));
        if !is_option {
            records.push(word);
            continue;
        }
        arranged.push(word);
        if takes_next {
            arranged.extend(typed.next());
        }
    }
    if !records.is_empty() {
        arranged.push("--".into());
        arranged.extend(records);
    }
    arranged
}

/// Joins `--wait 10s` to `--wait=10s`. A number without a unit is a time only at the end or before another option: in
/// `--wait 10 mail.example.org` it belongs to an MX record.
fn join_wait(typed: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut typed = typed.into_iter().peekable();
    while let Some(word) = typed.next() {
        if word == "--" {
            joined.push(word);
            joined.extend(typed);
            break;
        }
        let next = typed.peek().map(|next| next.to_string_lossy());
        let ends = next.is_none_or(|next| next.starts_with('-'));
        let is_time = word.to_str().is_some_and(|word| {
            time(word).is_ok() && (ends || word.ends_with(|last: char| last.is_ascii_alphabetic()))
        });
        match joined.last_mut() {
            Some(last) if *last == "--wait" && is_time => {
                last.push("=");
                last.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// Returns whether a word is an option, of the command or a global one, and whether the next word is its value. Anything
/// that begins with two hyphens counts as an option: clap refuses unknown ones, so that a misspelt option is not stored
/// as rdata.
fn option(word: &OsString, program: &Command, command: Option<&Command>) -> (bool, bool) {
    let Some(word) = word.to_str() else {
        return (false, false);
    };
    let mut known = program
        .get_arguments()
        .chain(command.into_iter().flat_map(Command::get_arguments));
    let takes_next = |arg: &Arg| {
        matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
            && !arg.is_require_equals_set()
    };
    if let Some(long) = word.strip_prefix("--") {
        let arg = known.find(|arg| arg.get_long() == Some(long));
        return (true, arg.is_some_and(takes_next));
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let Some(letter) = letters.next() else {
        return (false, false);
    };
    let Some(arg) = known.find(|arg| arg.get_short() == Some(letter)) else {
        return (false, false);
    };
    match letters.as_str().trim_start_matches('=') {
        "" => (true, takes_next(arg)),
        // As in -ojson.
        value => {
            let values = arg.get_possible_values();
            (
                values.iter().any(|known| known.matches(value, false)),
                false,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Arguments;
    use super::*;

    #[test]
    fn records_come_last_and_a_time_to_its_option() {
        let mut program = Arguments::command();
        program.build();
        for (typed, expected) in [
            ("add x TXT -all", "add -- x TXT -all"),
            (
                "add x TXT -all --ttl 60 -o json",
                "add --ttl 60 -o json -- x TXT -all",
            ),
            (
                "-o json --prefix /a add x LOC 52 N -2m --wait",
                "-o json --prefix /a add --wait -- x LOC 52 N -2m",
            ),
            ("set x A --ttl 60", "set --ttl 60 -- x A"),
            ("remove x TXT -ojson -old", "remove -ojson -- x TXT -old"),
            ("add x TXT -- --ttl 60", "add -- x TXT --ttl 60"),
            // A misspelt option stays an option, which clap refuses.
            ("add x TXT a --tll 60", "add --tll -- x TXT a 60"),
            ("add x A 192.0.2.1 -h", "add -h -- x A 192.0.2.1"),
            ("add", "add"),
            ("list -all", "list -all"),
            ("zone add -x", "zone add -x"),
            ("--prefix add list -x", "--prefix add list -x"),
            ("add --wait x A 192.0.2.1", "add --wait -- x A 192.0.2.1"),
            (
                "add --wait 10s x A 192.0.2.1",
                "add --wait=10s -- x A 192.0.2.1",
            ),
            ("add x MX --wait 10 mail", "add --wait -- x MX 10 mail"),
            ("accept --wait 1m", "accept --wait=1m"),
            (
                "add x A 192.0.2.1 --wait 10",
                "add --wait=10 -- x A 192.0.2.1",
            ),
            ("accept --wait 10 --expect 3", "accept --wait=10 --expect 3"),
            ("accept --wait 10 -ojson", "accept --wait=10 -ojson"),
            ("zone remove --wait x", "zone remove --wait x"),
            ("add x TXT -- --wait 1m", "add -- x TXT --wait 1m"),
        ] {
            let words = |text: &str| -> Vec<OsString> {
                let words = text.split(' ').map(OsString::from);
                [OsString::from("nsctl")].into_iter().chain(words).collect()
            };
            assert_eq!(arranged(words(typed), &program), words(expected), "{typed}");
        }
    }
}
