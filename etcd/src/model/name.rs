//! Domain names in canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::idn;
use super::text::{self, Escape};

/// An absolute domain name, in lower case: the form that owners are stored, compared and hashed in
/// (RFC 4343).
///
/// Kept as the uncompressed wire form of RFC 1035 3.1, at most 255 octets with the root label.
/// Ordered canonically (RFC 4034 6.1), so a sorted list has every name right before its descendants.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

/// Why a text or some octets are no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    Origin,
    EmptyLabel,
    LongLabel,
    LongName,
    BadEscape,
    Control,
    Special,
    Mailbox,
    NotUtf8,
    Unicode,
    UnicodeAndEscape,
    Wire,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Name(Box::new([0]))
    }

    /// Takes a name in uncompressed wire form, which must be the whole of `wire`.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        match wire_len(wire) {
            Some(len) if len == wire.len() => Ok(Name(wire.to_ascii_lowercase().into())),
            _ => Err(NameError(Reason::Wire)),
        }
    }

    /// The wire form, root label included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The labels, leftmost first, without the root label.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// How many labels there are, the root label not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Name> {
        (!self.is_root()).then(|| Name(self.0[1 + usize::from(self.0[0])..].into()))
    }

    /// The name itself, then its parent, and so on up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Name> {
        std::iter::successors(Some(self.clone()), Name::parent)
    }

    /// Whether this name is `other` or below it.
    pub fn is_within(&self, other: &Name) -> bool {
        let Some(start) = self.0.len().checked_sub(other.0.len()) else {
            return false;
        };
        self.0[start..] == *other.0 && label_starts(&self.0).any(|at| at == start)
    }

    /// Builds the name that has `labels` (leftmost first) in front of `suffix`.
    pub fn from_labels<'a>(
        labels: impl Iterator<Item = &'a [u8]>,
        suffix: &Name,
    ) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.extend_from_slice(&suffix.0);
        Name::check_len(&wire)?;
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }

    /// The name with its A-labels (`xn--…`) in Unicode, for people to read: none where there are none. Labels that
    /// would not convert back to the same name stay as they are.
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

    fn check_len(wire: &[u8]) -> Result<(), NameError> {
        if wire.len() > 255 {
            Err(NameError(Reason::LongName))
        } else {
            Ok(())
        }
    }
}

/// The labels of a name, leftmost first.
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.0 = rest;
        Some(label)
    }
}

/// The length of the uncompressed name that `octets` begins with, or none if there is none.
pub(crate) fn wire_len(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*octets.get(at)?);
        at += 1 + len;
        match len {
            0 => return (at <= 255).then_some(at),
            1..=63 => {}
            _ => return None,
        }
    }
}

/// Appends the wire form of a name in presentation form, spelling kept, completed with `origin` where it has no final dot.
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
            // Only a master file has an origin; in a SOA record there some write a mailbox so, as BIND allows.
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

/// A label as it is written, escapes resolved.
#[derive(Default)]
struct Written {
    octets: Vec<u8>,
    /// Whether it has Unicode characters that are to be converted. Escaped octets are never converted.
    has_unicode: bool,
    has_escape: bool,
}

impl Written {
    /// Makes room for the next label; the buffer stays.
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

    /// The same at the end of a name. Says whether the label ended in a full stop of another script, which makes the
    /// name absolute.
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

fn push_label(out: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError(Reason::EmptyLabel)),
        len @ 1..=63 => {
            out.push(len as u8);
            out.extend_from_slice(label);
            Ok(())
        }
        _ => Err(NameError(Reason::LongLabel)),
    }
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

/// Writes a name in wire form as text with a final dot, spelling kept.
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

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        canonical_cmp(&self.0, &other.0)
    }
}

/// Compares two names in canonical order (RFC 4034 6.1): label by label from the right, octet by octet. Both are in
/// lower-case wire form, either absolute or relative to the same name.
pub fn canonical_cmp(ours: &[u8], theirs: &[u8]) -> Ordering {
    // Names have at most 127 labels: two small arrays on the stack save the allocations.
    let starts = |name: &[u8]| {
        let (mut starts, mut count) = ([0u8; 128], 0);
        for (slot, at) in starts.iter_mut().zip(label_starts(name)) {
            *slot = at as u8;
            count += 1;
        }
        (starts, count)
    };
    let ((our_starts, our_count), (their_starts, their_count)) = (starts(ours), starts(theirs));
    let label = |name: &'_ [u8], at: u8| {
        let at = usize::from(at);
        (at + 1, at + 1 + usize::from(name[at]))
    };
    let our_labels = our_starts[..our_count].iter().rev();
    for (&a, &b) in our_labels.zip(their_starts[..their_count].iter().rev()) {
        let (from, to) = label(ours, a);
        let (other_from, other_to) = label(theirs, b);
        match ours[from..to].cmp(&theirs[other_from..other_to]) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    our_count.cmp(&their_count)
}

/// Where the labels of a name in wire form start, the root label included if it is there.
fn label_starts(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let here = at;
        let len = usize::from(*name.get(here)?);
        at = here + 1 + len;
        Some(here)
    })
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reason::Empty => "a name is missing",
            Reason::EmptyLabel => "it has an empty label (two dots in a row, or one in front)",
            Reason::LongLabel => "a label is longer than 63 octets (RFC 1035, 2.3.4)",
            Reason::LongName => "it is longer than 255 octets (RFC 1035, 2.3.4)",
            Reason::BadEscape => {
                "a backslash must be followed by a character or three digits up to 255"
            }
            Reason::Control => "spaces and control characters must be escaped, as in \\032",
            Reason::Origin => {
                "@ stands for the origin of a zone file, and there is none here: write the whole name"
            }
            Reason::Special => {
                "quotes, semicolons and parentheses must be escaped in a name, as in \\;"
            }
            Reason::Mailbox => {
                "an @ must be escaped in a name, as in \\@; a mailbox as a name has a dot instead"
            }
            Reason::NotUtf8 => "it is neither ASCII nor UTF-8; octets can be written as in \\252",
            Reason::Unicode => "a label is not valid as an internationalized name (UTS 46)",
            Reason::UnicodeAndEscape => {
                "a label has both Unicode characters and escapes; only one of them is possible"
            }
            Reason::Wire => "the octets are no uncompressed name",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    #[test]
    fn text_and_wire_agree() {
        let table: &[(&str, &str, &[u8])] = &[
            (".", ".", b"\0"),
            ("example.org", "example.org.", b"\x07example\x03org\0"),
            (
                "WWW.Example.ORG.",
                "www.example.org.",
                b"\x03www\x07example\x03org\0",
            ),
            (r"a\.b.c.", r"a\.b.c.", b"\x03a.b\x01c\0"),
            (r"\000\255\032.", r"\000\255\032.", b"\x03\x00\xff \0"),
            (r"\097.", "a.", b"\x01a\0"),
            (r"\@.", r"\@.", b"\x01@\0"),
            ("*.x", "*.x.", b"\x01*\x01x\0"),
            ("_a/b.x", "_a/b.x.", b"\x04_a/b\x01x\0"),
        ];
        for (text, printed, wire) in table {
            assert_eq!(name(text).wire(), *wire, "{text}");
            assert_eq!(name(text).to_string(), *printed);
            assert_eq!(name(printed), name(text));
            assert_eq!(Name::from_wire(wire), Ok(name(text)));
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        let label = "a".repeat(63);
        let longest = [&label[..], &label, &label, &"a".repeat(61)].join(".");
        assert_eq!(name(&longest).wire().len(), 255);
        for (text, reason) in [
            ("", Reason::Empty),
            ("@", Reason::Origin),
            ("a@b", Reason::Mailbox),
            ("a;b", Reason::Special),
            ("a(b", Reason::Special),
            ("a\"b", Reason::Special),
            ("ü-.x", Reason::Unicode),
            ("ü\\195.x", Reason::UnicodeAndEscape),
            ("例。.x", Reason::EmptyLabel),
            ("\u{ad}", Reason::EmptyLabel),
            ("a..b", Reason::EmptyLabel),
            (".a", Reason::EmptyLabel),
            ("..", Reason::EmptyLabel),
            (&"a".repeat(64), Reason::LongLabel),
            (&format!("{longest}a"), Reason::LongName),
            (r"a\", Reason::BadEscape),
            (r"a\25", Reason::BadEscape),
            (r"a\256", Reason::BadEscape),
            ("a b", Reason::Control),
        ] {
            assert_eq!(text.parse::<Name>(), Err(NameError(reason)), "{text}");
        }
        for wire in [
            &b""[..],
            b"\x01",
            b"\x01a",
            b"\xc0\x0c",
            b"\x00\x00",
            &[1; 300],
        ] {
            assert_eq!(Name::from_wire(wire), Err(NameError(Reason::Wire)));
        }
    }

    #[test]
    fn unicode_becomes_a_labels() {
        for (text, ascii, unicode) in [
            (
                "ü.example.org",
                "xn--tda.example.org.",
                Some("ü.example.org."),
            ),
            ("*.Ü.x", "*.xn--tda.x.", Some("*.ü.x.")),
            ("_tcp.مثال.x", "_tcp.xn--mgbh0fb.x.", Some("_tcp.مثال.x.")),
            (
                "例え。テスト。",
                "xn--r8jz45g.xn--zckzah.",
                Some("例え.テスト."),
            ),
            // Octets that are escaped stay octets, and ASCII stays as it is.
            ("\\195\\188.x", "\\195\\188.x.", None),
            (
                "xn--zzzzzzz99.-a-.a--b.x",
                "xn--zzzzzzz99.-a-.a--b.x.",
                None,
            ),
        ] {
            assert_eq!(name(text).to_string(), ascii, "{text}");
            assert_eq!(name(text).unicode().as_deref(), unicode, "{text}");
        }
        let mut wire = Vec::new();
        let latin1 = parse_onto(b"b\xfccher.x", None, &mut wire);
        assert_eq!(latin1, Err(NameError(Reason::NotUtf8)));
        // A final full stop of any script makes a name absolute.
        wire.clear();
        parse_onto("ü。".as_bytes(), Some(&name("x")), &mut wire).expect("a name");
        assert_eq!(wire, b"\x07xn--tda\0");
    }

    #[test]
    fn order_is_canonical() {
        // The example of RFC 4034 6.1.
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "z.a.example.",
            "zabc.a.example.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        let mut names: Vec<Name> = sorted.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names, sorted.map(name));
    }

    #[test]
    fn ancestry() {
        assert!(name("a.b.c").is_within(&name("b.c")));
        assert!(name("b.c").is_within(&name("b.c")));
        assert!(name("b.c").is_within(&Name::root()));
        assert!(!name("ab.c").is_within(&name("b.c")));
        assert!(!name("c").is_within(&name("b.c")));
        // The octets of `b.` at the end, but inside of one label.
        assert!(!name(r"x\001b").is_within(&name("b")));
        let up: Vec<String> = name("a.b").ancestors().map(|n| n.to_string()).collect();
        assert_eq!(up, ["a.b.", "b.", "."]);
    }
}
