//! Reading the tokens of one rdata.

use super::super::text::shown;
use std::borrow::Cow;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::super::name::{self, Name};
use super::super::text::{self, Position, Token};
use super::error::RdataError;

pub(super) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
    origin: Option<&'t Name>,
    /// Where the token that was read last began.
    at: Position,
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(super) fn new(tokens: &'t [Token<'a>], origin: Option<&'t Name>, at: Position) -> Self {
        Cursor { tokens, origin, at }
    }

    pub(super) fn next(&mut self, what: &str) -> Result<Token<'a>, RdataError> {
        let (token, rest) = self
            .tokens
            .split_first()
            .ok_or_else(|| RdataError::new(self.at, format!("{what} is missing")))?;
        self.tokens = rest;
        self.at = token.at;
        Ok(*token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The next token, without removing it.
    pub(super) fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.first()
    }

    pub(super) fn fail<T>(&self, reason: impl Into<Cow<'static, str>>) -> Result<T, RdataError> {
        Err(RdataError::new(self.at, reason))
    }

    /// The next token as written. Quotes and escapes are errors here: only strings have quotes, only strings and names
    /// have escapes.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, RdataError> {
        self.refuse_quotes(what)?;
        let raw = self.next(what)?.raw;
        match std::str::from_utf8(raw) {
            Ok(text) if !text.contains('\\') => Ok(text),
            Ok(text) => self.fail(format!(
                "{what} is written without escapes, and not as '{text}'"
            )),
            Err(_) => self.fail(format!("{what} is not text")),
        }
    }

    /// The octets that the next token stands for.
    pub(super) fn octets(&mut self, what: &str) -> Result<Vec<u8>, RdataError> {
        let token = self.next(what)?;
        text::unescaped(token.raw).or_else(|error| self.fail(error.0))
    }

    pub(super) fn number(&mut self, what: &str, max: u32) -> Result<u32, RdataError> {
        let text = self.text(what)?;
        match digits(text).filter(|number| *number <= max) {
            Some(number) => Ok(number),
            None => self.fail(format!(
                "expected {what}, a number up to {max}, and got '{text}'"
            )),
        }
    }

    /// A number, as a mnemonic in any case or in digits.
    pub(super) fn mnemonic<N: Copy + Into<u16>>(
        &mut self,
        what: &str,
        known: &[(N, &str)],
        max: u32,
    ) -> Result<u16, RdataError> {
        let text = self.text(what)?;
        let found = known
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        if let Some((number, _)) = found {
            return Ok((*number).into());
        }
        match digits(text).filter(|number| *number <= max) {
            Some(number) => Ok(number as u16),
            None => self.fail(format!("'{text}' is not {what}")),
        }
    }

    /// All remaining tokens, joined: Base 64 and the like may have spaces anywhere.
    pub(super) fn joined(&mut self) -> Result<String, RdataError> {
        let mut joined = String::new();
        while !self.is_empty() {
            joined.push_str(self.text("data")?);
        }
        Ok(joined)
    }

    pub(super) fn hex(&self, text: &str) -> Result<Vec<u8>, RdataError> {
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .or_else(|_| self.fail("expected pairs of hexadecimal digits"))
    }

    fn refuse_quotes(&self, what: &str) -> Result<(), RdataError> {
        match self.tokens.first() {
            Some(token) if token.quoted => Err(RdataError::new(
                token.at,
                format!("a quoted string stands where {what} is expected"),
            )),
            _ => Ok(()),
        }
    }

    /// Reads the next token as a name and appends it with its spelling.
    pub(super) fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RdataError> {
        self.refuse_quotes(what)?;
        let token = self.next(what)?;
        name::parse_onto(token.raw, self.origin, out).or_else(|error| {
            self.fail(format!(
                "'{}' is not a domain name: {error}",
                shown(token.raw)
            ))
        })
    }

    /// Appends `octets`, preceded by their length.
    pub(super) fn counted(&self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), RdataError> {
        match u8::try_from(octets.len()) {
            Ok(len) => {
                out.push(len);
                out.extend(octets);
                Ok(())
            }
            Err(_) => self.fail(format!(
                "a string of {} octets is longer than 255",
                octets.len()
            )),
        }
    }
}

/// A decimal number without sign.
pub(super) fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
