//! Rdata: the wire form that is served, the text form that is stored, and the way between the two.
//!
//! [`table`] says what fields a type has. A kind of field is one `impl` of [`field::Field`] with all
//! that there is to it: reading, printing, length, soundness. The kinds are in files by family:
//! [`number`], [`name`], [`address`], [`strings`], [`binary`], [`bitmap`], and those with a grammar of
//! their own. [`rules`] says what holds between fields, and [`row`] walks them. A type without a row has the generic form of
//! RFC 3597.
//!
//! Text is stored in one canonical spelling. [`Rdata::text`] reads back what it printed and compares
//! the octets; where they would differ it prints the generic form instead, so nothing is ever lost.

mod address;
mod binary;
mod bitmap;
mod cursor;
mod doubt;
mod field;
mod hip;
mod location;
mod name;
mod number;
mod prefixes;
mod row;
mod rules;
mod services;
mod strings;
mod svcb;
mod table;

use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::fmt;

use super::name::Name;
use super::rtype::Rtype;
use super::text::{self, Cut, Entries, Position, TextError, Token};

/// Rdata of a known type in wire form: names uncompressed, spelling kept, at most 65,535 octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Rdata(Box<[u8]>);

/// Why a text or some octets are no rdata, and which token showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdataError {
    /// Where the offending token began, or the entry where something is missing.
    pub at: Position,
    reason: Cow<'static, str>,
}

impl RdataError {
    fn new(at: Position, reason: impl Into<Cow<'static, str>>) -> Self {
        RdataError {
            at,
            reason: reason.into(),
        }
    }
}

impl Rdata {
    /// Reads the text form, in which every name is absolute (its final dot may be missing).
    pub fn parse(rtype: Rtype, text: &str) -> Result<Self, RdataError> {
        if let Some(rdata) = Rdata::address(rtype, text) {
            return Ok(rdata);
        }
        // A value is one entry whatever line breaks stand in it, as quoted strings keep theirs out.
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

    /// The short way for the types that most records have: no tokens, no table.
    fn address(rtype: Rtype, text: &str) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Rdata(text.parse::<Ipv4Addr>().ok()?.octets().into())),
            Rtype::AAAA => Some(Rdata(text.parse::<Ipv6Addr>().ok()?.octets().into())),
            _ => None,
        }
    }

    /// Reads the tokens of an entry behind its type; relative names are completed with `origin`.
    /// `at` is where the entry began: what is missing is reported there.
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

    /// Takes uncompressed wire form, which must be what the type asks for.
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
        cut: Cut,
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
                text::argument(argument, number, cut)
                    .map_err(|(at, error)| RdataError::new(at, error.0))?,
            );
        }
        Rdata::from_tokens(rtype, &tokens, None, Position { line: 1, column: 1 })
    }

    /// A text as it is, cut where 255 octets are full; or strings in double quotes.
    fn text_argument(rtype: Rtype, argument: &str) -> Result<Self, RdataError> {
        let at = Position { line: 1, column: 1 };
        if argument.starts_with('"') {
            let tokens = text::argument(argument, 1, Cut::AtSpace)
                .map_err(|(at, error)| RdataError::new(at, error.0))?;
            return match tokens.iter().find(|token| !token.quoted) {
                Some(token) => Err(RdataError::new(
                    token.at,
                    format!(
                        "'{}' is not in double quotes, as the text before it is",
                        String::from_utf8_lossy(token.raw)
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

    /// The canonical form (RFC 4034 6.2): what two members of a set are compared by.
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

    /// The names in the rdata that a client will ask the address of (NS, MX, SRV, …), or that the
    /// rdata points to (CNAME, DNAME, PTR).
    pub fn names(&self, rtype: Rtype) -> Vec<Name> {
        row::names(rtype, &self.0)
    }

    /// What is well-formed here and likely not meant, such as a digest that is too short.
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

impl From<TextError> for RdataError {
    fn from(error: TextError) -> Self {
        RdataError::new(Position::default(), error.0)
    }
}

impl fmt::Display for RdataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for RdataError {}

#[cfg(test)]
mod tests;
