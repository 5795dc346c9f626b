//! Names as text: the presentation form of RFC 1035 5.1, with Unicode labels converted (UTS 46).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::idn;
use super::super::text::{self, Escape};
use super::error::{NameError, Reason};
use super::{Labels, Name, push_label};

/// Reads a name in presentation form. One without a final dot is completed with `origin`.
pub(crate) fn parse_relative(text: &[u8], origin: &Name) -> Result<Name, NameError> {
    let mut wire = Vec::with_capacity(64);
    parse_onto(text, Some(origin), &mut wire)?;
    Name::from_wire(&wire)
}

/// Reads a name in presentation form and appends its wire form, preserving case. A name without a final dot is
/// completed with `origin`.
pub(crate) fn parse_onto(
    text: &[u8],
    origin: Option<&Name>,
    out: &mut Vec<u8>,
) -> Result<(), NameError> {
    let start = out.len();
    match text {
        b"" => return Err(NameError(Reason::Empty)),
        b"." => {
            out.push(0);
            return Ok(());
        }
        b"@" => {
            let origin = origin.ok_or(NameError(Reason::Origin))?;
            out.extend_from_slice(&origin.0);
            return Ok(());
        }
        _ => {}
    }
    let mut label = Written {
        octets: Vec::with_capacity(64),
        ..Written::default()
    };
    let mut absolute = false;
    let mut rest = text;
    while !rest.is_empty() {
        absolute = false;
        match text::unescape(&mut rest).map_err(|_| NameError(Reason::BadEscape))? {
            Escape::Plain(b'.') => {
                label.push_onto(out)?;
                label.clear();
                absolute = true;
            }
            Escape::Plain(octet) if octet.is_ascii_control() || octet == b' ' => {
                return Err(NameError(Reason::Control));
            }
            Escape::Plain(b'"' | b';' | b'(' | b')') => return Err(NameError(Reason::Special)),
            // With an origin, as in master files, @ is an ordinary character: BIND allows it in the mailbox of an SOA
            // record.
            Escape::Plain(b'@') if origin.is_none() => return Err(NameError(Reason::Mailbox)),
            Escape::Plain(octet) => {
                label.has_unicode |= !octet.is_ascii();
                label.octets.push(octet);
            }
            Escape::Escaped(octet) => {
                label.has_escape = true;
                label.octets.push(octet);
            }
        }
    }
    if !absolute {
        absolute = label.push_last_onto(out)?;
    }
    match origin {
        Some(origin) if !absolute => out.extend_from_slice(&origin.0),
        _ => out.push(0),
    }
    Name::check_len(&out[start..])
}

/// A label as written, with escapes resolved.
#[derive(Default)]
struct Written {
    octets: Vec<u8>,
    /// Whether it has Unicode characters that are to be converted. Escaped octets are never converted.
    has_unicode: bool,
    has_escape: bool,
}

impl Written {
    /// Prepares for the next label and keeps the buffer.
    fn clear(&mut self) {
        self.octets.clear();
        (self.has_unicode, self.has_escape) = (false, false);
    }

    fn push_onto(&self, out: &mut Vec<u8>) -> Result<(), NameError> {
        if self.has_unicode {
            push_labels(out, &self.to_ascii()?)
        } else {
            push_label(out, &self.octets)
        }
    }

    /// Appends the last label of a name. Returns whether it ended in a full stop that is not ASCII, such as U+3002,
    /// which makes the name absolute.
    fn push_last_onto(&self, out: &mut Vec<u8>) -> Result<bool, NameError> {
        if !self.has_unicode {
            return push_label(out, &self.octets).map(|()| false);
        }
        let ascii = self.to_ascii()?;
        let stripped = ascii.strip_suffix('.');
        push_labels(out, stripped.unwrap_or(&ascii))?;
        Ok(stripped.is_some())
    }

    fn to_ascii(&self) -> Result<String, NameError> {
        if self.has_escape {
            return Err(NameError(Reason::UnicodeAndEscape));
        }
        let text = std::str::from_utf8(&self.octets).map_err(|_| NameError(Reason::NotUtf8))?;
        idn::to_ascii(text).ok_or(NameError(Reason::Unicode))
    }
}

fn push_labels(out: &mut Vec<u8>, labels: &str) -> Result<(), NameError> {
    labels
        .split('.')
        .try_for_each(|label| push_label(out, label.as_bytes()))
}

/// Writes the label in presentation form, dots and all other special octets escaped.
pub(crate) fn write_label(out: &mut impl fmt::Write, label: &[u8]) -> fmt::Result {
    for &octet in label {
        match octet {
            b'.' | b'"' | b'(' | b')' | b';' | b'@' | b'$' | b'\\' => {
                out.write_char('\\')?;
                out.write_char(char::from(octet))?;
            }
            0x21..=0x7e => out.write_char(char::from(octet))?,
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    Ok(())
}

/// Writes a name in wire form as text with a final dot, with its spelling.
pub(crate) fn write_wire(out: &mut impl fmt::Write, wire: &[u8]) -> fmt::Result {
    if wire.first() == Some(&0) {
        return out.write_char('.');
    }
    for label in Labels(wire) {
        write_label(out, label)?;
        out.write_char('.')?;
    }
    Ok(())
}

/// Reads a name in presentation form as absolute, with or without its final dot.
impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        parse_onto(text.as_bytes(), None, &mut wire)?;
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }
}

/// The presentation form with a final dot; reads back as the same name.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_wire(f, &self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Name {
    /// The name with its A-labels (`xn--…`) in Unicode, for people; none if it has none. Labels that would not convert
    /// back to the same name stay as they are.
    pub fn unicode(&self) -> Option<String> {
        let mut text = String::new();
        let mut converted = false;
        for label in self.labels() {
            match idn::to_unicode(label) {
                Some(unicode) => {
                    text.push_str(&unicode);
                    converted = true;
                }
                None => write_label(&mut text, label).ok()?,
            }
            text.push('.');
        }
        converted.then_some(text)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|error| {
            serde::de::Error::custom(format_args!("'{text}' is not a domain name: {error}"))
        })
    }
}
