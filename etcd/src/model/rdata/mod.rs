//! Rdata: the wire form that is served, the text form that is stored, and the way between the two.
//!
//! [`table`] lists the fields of each type. A kind of field is one `impl` of [`field::Field`], which reads it, prints
//! it, measures it and checks it. There is one file for each family: [`number`], [`timestamp`], [`name`], [`address`],
//! [`strings`], [`binary`], [`bitmap`], and one for each kind with a grammar of its own. [`constraints`] relates the
//! fields of a type to each other, and [`row`] walks through them. A type without a row in the table has the generic
//! form of RFC 3597.
//!
//! Files use each other in one direction: `mod` -> [`row`] -> [`table`] and [`constraints`] -> families -> [`field`] ->
//! [`cursor`] -> [`error`].
//!
//! etcd stores the text form in one canonical spelling. [`Rdata::text`] reads back what it has printed and compares the
//! octets. Where they differ, it prints the generic form instead, so that nothing is lost.

mod address;
mod binary;
mod bitmap;
mod constraints;
mod cursor;
mod doubt;
mod error;
mod field;
mod hip;
mod location;
mod name;
mod number;
mod prefixes;
mod row;
mod services;
mod strings;
mod svcb;
mod table;
mod timestamp;

use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::fmt;

use super::name::Name;
use super::rtype::Rtype;
use super::text::{self, ArgumentSplit, Entries, Position, Token};

pub use error::RdataError;

/// Rdata of a known type in wire form: names uncompressed, spelling kept, at most 65,535 octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Rdata(Box<[u8]>);

impl Rdata {
    /// Reads the text form, in which every name is absolute (its final dot may be missing).
    pub fn parse(rtype: Rtype, text: &str) -> Result<Self, RdataError> {
        if let Some(rdata) = Rdata::address(rtype, text) {
            return Ok(rdata);
        }
        // A value is a single entry: a line break outside of parentheses would begin another one.
        let mut entries = Entries::new(text.as_bytes());
        let tokens = match entries.next() {
            None => Vec::new(),
            Some(Ok(entry)) => entry.tokens,
            Some(Err((at, error))) => return Err(RdataError::new(at, error.0)),
        };
        if entries.next().is_some() {
            return Err(RdataError::new(
                Position { line: 2, column: 1 },
                "there is more than one line",
            ));
        }
        Rdata::from_tokens(rtype, &tokens, None, Position { line: 1, column: 1 })
    }

    /// A short cut for the most frequent types, without tokens and table.
    fn address(rtype: Rtype, text: &str) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Rdata(text.parse::<Ipv4Addr>().ok()?.octets().into())),
            Rtype::AAAA => Some(Rdata(text.parse::<Ipv6Addr>().ok()?.octets().into())),
            _ => None,
        }
    }

    /// Reads the tokens that follow the type in an entry, and completes relative names with `origin`. `at` is where the
    /// entry began; an error about something missing has this position.
    pub fn from_tokens(
        rtype: Rtype,
        tokens: &[Token<'_>],
        origin: Option<&Name>,
        at: Position,
    ) -> Result<Self, RdataError> {
        let mut wire = Vec::with_capacity(32);
        row::parse(rtype, tokens, origin, at, &mut wire)?;
        if wire.len() > usize::from(u16::MAX) {
            return Err(RdataError::new(at, "the rdata is longer than 65535 octets"));
        }
        Ok(Rdata(wire.into()))
    }

    /// Takes the uncompressed wire form, and checks that it is valid for the type.
    pub fn from_wire(rtype: Rtype, wire: &[u8]) -> Result<Self, RdataError> {
        if wire.len() > usize::from(u16::MAX) {
            let reason = "the rdata is longer than 65535 octets";
            return Err(RdataError::new(Position::default(), reason));
        }
        row::check(rtype, wire).map_err(|reason| RdataError::new(Position::default(), reason))?;
        Ok(Rdata(wire.into()))
    }

    /// Reads one record from arguments of a command line, names absolute. The line of an error's position is the
    /// number of the argument, counted from 1.
    pub fn from_arguments(
        rtype: Rtype,
        arguments: &[String],
        split: ArgumentSplit,
    ) -> Result<Self, RdataError> {
        if let [argument] = arguments
            && rtype.is_text()
            && !argument.starts_with("\\#")
        {
            return Rdata::text_argument(rtype, argument);
        }
        let mut tokens = Vec::new();
        for (argument, number) in arguments.iter().zip(1..) {
            tokens.extend(
                text::argument(argument, number, split)
                    .map_err(|(at, error)| RdataError::new(at, error.0))?,
            );
        }
        Rdata::from_tokens(rtype, &tokens, None, Position { line: 1, column: 1 })
    }

    /// Reads a text argument: either strings in double quotes, or plain text, which is cut into strings of 255 octets.
    fn text_argument(rtype: Rtype, argument: &str) -> Result<Self, RdataError> {
        let at = Position { line: 1, column: 1 };
        if argument.starts_with('"') {
            let tokens = text::argument(argument, 1, ArgumentSplit::AtSpace)
                .map_err(|(at, error)| RdataError::new(at, error.0))?;
            return match tokens.iter().find(|token| !token.quoted) {
                Some(token) => Err(RdataError::new(
                    token.at,
                    format!(
                        "'{}' is not in double quotes, as the text before it is",
                        text::shown(token.raw)
                    ),
                )),
                None => Rdata::from_tokens(rtype, &tokens, None, at),
            };
        }
        if argument.contains(['\n', '\r']) {
            return Err(RdataError::new(
                at,
                "the text has a line break; if it is meant, write \\010 within double quotes",
            ));
        }
        let in_parentheses = argument.strip_prefix('(').map(str::trim_start);
        if in_parentheses.is_some_and(|rest| rest.starts_with('"')) {
            return Err(RdataError::new(
                at,
                "parentheses belong to zone files: leave them out here",
            ));
        }
        let mut wire = Vec::with_capacity(argument.len() + 1 + argument.len() / 255);
        if argument.is_empty() {
            wire.push(0);
        }
        for chunk in argument.as_bytes().chunks(255) {
            wire.push(chunk.len() as u8);
            wire.extend_from_slice(chunk);
        }
        Rdata::from_wire(rtype, &wire)
    }

    /// The wire form, spelling of names kept.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The canonical form (RFC 4034 6.2), by which members of an RRset are compared.
    pub fn canonical(&self, rtype: Rtype) -> Cow<'_, [u8]> {
        row::canonical(rtype, &self.0)
    }

    /// The text form, names absolute.
    pub fn text(&self, rtype: Rtype) -> String {
        let mut text = String::with_capacity(32);
        if row::print(rtype, &self.0, &mut text).is_ok() {
            let reread = Rdata::parse(rtype, &text);
            if reread.is_ok_and(|reread| reread.0 == self.0) {
                return text;
            }
        }
        text.clear();
        row::print_generic(&self.0, &mut text);
        text
    }

    /// The names that the rdata points to, such as the host of an MX record or the target of a CNAME.
    pub fn names(&self, rtype: Rtype) -> Vec<Name> {
        row::names(rtype, &self.0)
    }

    /// A warning about rdata that is valid but probably a mistake, such as a digest that is too short.
    pub fn doubt(&self, rtype: Rtype) -> Option<String> {
        doubt::doubt(rtype, &self.0)
    }
}

impl fmt::Debug for Rdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        row::print_generic(&self.0, &mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
