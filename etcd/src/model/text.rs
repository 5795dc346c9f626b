//! Tokens of the master file grammar (RFC 1035 5.1), for zone files, values in etcd and the command line.
//!
//! An *entry* is one line, or several lines joined by parentheses. Tokens keep their escapes, as their meaning depends
//! on the field.

use std::fmt;

/// One octet of a token, and whether a backslash made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// It stood there as it is.
    Plain(u8),
    /// It was written as `\X` or `\DDD`, and has no special meaning.
    Escaped(u8),
}

/// Removes the first octet or escape from `rest` and returns it.
pub(crate) fn unescape(rest: &mut &[u8]) -> Result<Escape, TextError> {
    let bad = TextError("a backslash must be followed by a character or three digits up to 255");
    let (&first, after) = rest.split_first().ok_or(bad)?;
    if first != b'\\' {
        *rest = after;
        return Ok(Escape::Plain(first));
    }
    match *after {
        [a, b, c, ref tail @ ..] if a.is_ascii_digit() => {
            if !b.is_ascii_digit() || !c.is_ascii_digit() {
                return Err(bad);
            }
            let value = [a, b, c]
                .iter()
                .fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
            *rest = tail;
            u8::try_from(value).map(Escape::Escaped).map_err(|_| bad)
        }
        [a, ..] if a.is_ascii_digit() => Err(bad),
        [a, ref tail @ ..] => {
            *rest = tail;
            Ok(Escape::Escaped(a))
        }
        [] => Err(bad),
    }
}

/// The octets that a token stands for.
pub(crate) fn unescaped(mut raw: &[u8]) -> Result<Vec<u8>, TextError> {
    let mut octets = Vec::with_capacity(raw.len());
    while !raw.is_empty() {
        match unescape(&mut raw)? {
            Escape::Plain(octet) | Escape::Escaped(octet) => octets.push(octet),
        }
    }
    Ok(octets)
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The text with its escapes, without quotes around it. Quotes inside, as in `key="value"`, are kept.
    pub raw: &'a [u8],
    /// Whether all of it was in quotes.
    pub quoted: bool,
    /// Where it began.
    pub at: Position,
}

/// A line and a column in octets, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError(pub(crate) &'static str);

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for TextError {}

/// The tokens of one entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// Whether the entry began with white space, which means the previous owner.
    pub indented: bool,
    /// Never empty.
    pub tokens: Vec<Token<'a>>,
}

/// Splits a text into entries.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
    at: Position,
}

impl<'a> Entries<'a> {
    /// Starts at the first line of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Entries {
            rest: text,
            at: Position { line: 1, column: 1 },
        }
    }

    fn skip(&mut self, count: usize) {
        for at in 0..count {
            if ends_line(&self.rest[at..]) {
                self.at = Position {
                    line: self.at.line + 1,
                    column: 1,
                };
            } else {
                self.at.column += 1;
            }
        }
        self.rest = &self.rest[count..];
    }

    fn skip_line(&mut self) {
        let len = self.rest.len();
        let end = (0..len).find(|at| ends_line(&self.rest[*at..]));
        self.skip(end.unwrap_or(len));
    }

    fn token(&mut self) -> Result<Token<'a>, (Position, TextError)> {
        let ends = |octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')');
        let (token, len) = token(self.rest, self.at, ends).map_err(|error| (self.at, error))?;
        self.skip(len);
        Ok(token)
    }
}

/// Whether `text` begins with the end of a line: LF, or CR alone as on old systems. The CR of a CR LF is white space.
fn ends_line(text: &[u8]) -> bool {
    match text {
        [b'\r', b'\n', ..] => false,
        [b'\n' | b'\r', ..] => true,
        _ => false,
    }
}

/// The token at the start of `text`, up to an octet for which `ends` is true, and its length including quotes.
fn token(
    text: &[u8],
    at: Position,
    ends: impl Fn(u8) -> bool,
) -> Result<(Token<'_>, usize), TextError> {
    let endless = TextError("the quoted string has no end");
    if let Some((b'"', rest)) = text.split_first() {
        let len = quoted_len(rest).ok_or(endless)?;
        let token = Token {
            raw: &rest[..len],
            quoted: true,
            at,
        };
        return Ok((token, len + 2));
    }
    let mut len = 0;
    while let Some(&octet) = text.get(len).filter(|octet| !ends(**octet)) {
        len += match octet {
            b'\\' => match text.get(len + 1) {
                None | Some(b'\n') => {
                    return Err(TextError(
                        "a backslash at the end of a line escapes nothing",
                    ));
                }
                Some(_) => 2,
            },
            b'"' => quoted_len(&text[len + 1..]).ok_or(endless)? + 2,
            _ => 1,
        };
    }
    let token = Token {
        raw: &text[..len],
        quoted: false,
        at,
    };
    Ok((token, len))
}

/// Octets from outside, for a message: control characters are escaped, so that they neither reach a terminal nor begin a
/// line of a log.
pub fn shown(octets: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(octets).chars() {
        match c.is_control() {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

/// How an argument of a command line is split into tokens. The shell has already removed its own quotes. Comments and
/// parentheses have no meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentSplit {
    /// An argument is one token including white space, unless it begins with a quote or has several lines.
    Never,
    /// White space, line breaks included, separates tokens.
    AtSpace,
}

/// The tokens of an argument. The line of their positions is the number of the argument, counted from 1.
pub(crate) fn argument(
    argument: &str,
    number: u32,
    split: ArgumentSplit,
) -> Result<Vec<Token<'_>>, (Position, TextError)> {
    let is_whole = split == ArgumentSplit::Never
        && !argument.starts_with('"')
        && !argument.contains(['\n', '\r']);
    let ends = |octet| !is_whole && matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let text = argument.as_bytes();
    let (mut tokens, mut start) = (Vec::new(), 0);
    if is_whole && text.is_empty() {
        let at = Position {
            line: number,
            column: 1,
        };
        let (raw, quoted) = (text, true);
        return Ok(vec![Token { raw, quoted, at }]);
    }
    while let Some(&octet) = text.get(start) {
        if ends(octet) {
            start += 1;
            continue;
        }
        let at = Position {
            line: number,
            column: start as u32 + 1,
        };
        let (token, len) = token(&text[start..], at, ends).map_err(|error| (at, error))?;
        tokens.push(token);
        start += len;
    }
    Ok(tokens)
}

/// The number of octets before the closing quote. A string must not span lines.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, (Position, TextError)>;

    /// The next entry with a token. After an error, parsing continues with the next line.
    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = Entry::default();
        // The position of the outermost open parenthesis, and the number of open ones.
        let (mut opened, mut depth) = (self.at, 0usize);
        let fail = |entries: &mut Self, at, error| {
            entries.skip_line();
            Some(Err((at, TextError(error))))
        };
        entry.indented = matches!(self.rest.first(), Some(b' ' | b'\t'));
        while let Some(&octet) = self.rest.first() {
            match octet {
                _ if ends_line(self.rest) => {
                    self.skip(1);
                    if depth == 0 {
                        if !entry.tokens.is_empty() {
                            return Some(Ok(entry));
                        }
                        entry.indented = matches!(self.rest.first(), Some(b' ' | b'\t'));
                    }
                }
                b' ' | b'\t' | b'\r' => self.skip(1),
                b';' => self.skip_line(),
                b'(' => {
                    if depth == 0 {
                        opened = self.at;
                    }
                    depth += 1;
                    self.skip(1);
                }
                b')' if depth == 0 => {
                    return fail(
                        self,
                        self.at,
                        "a closing parenthesis without an opening one",
                    );
                }
                b')' => {
                    depth -= 1;
                    self.skip(1);
                }
                _ => match self.token() {
                    Ok(token) => entry.tokens.push(token),
                    Err((at, error)) => return fail(self, at, error.0),
                },
            }
        }
        if depth > 0 {
            return Some(Err((opened, TextError("the parenthesis is never closed"))));
        }
        (!entry.tokens.is_empty()).then_some(Ok(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Result<(bool, Vec<String>), String>> {
        Entries::new(text.as_bytes())
            .map(|entry| match entry {
                Ok(entry) => Ok((
                    entry.indented,
                    entry
                        .tokens
                        .iter()
                        .map(|t| String::from_utf8_lossy(t.raw).into_owned())
                        .collect(),
                )),
                Err((at, error)) => Err(format!("{at} {error}")),
            })
            .collect()
    }

    fn ok(indented: bool, tokens: &[&str]) -> Result<(bool, Vec<String>), String> {
        Ok((indented, tokens.iter().map(|t| t.to_string()).collect()))
    }

    #[test]
    fn cuts_entries() {
        assert_eq!(
            entries("; comment\n\n a b ; c\nx (1\n 2 ; n\n) 3\r\nq \"a ; b\\\"\" k=\"v w\" e\\;f"),
            [
                ok(true, &["a", "b"]),
                ok(false, &["x", "1", "2", "3"]),
                ok(false, &["q", "a ; b\\\"", "k=\"v w\"", "e\\;f"]),
            ]
        );
    }

    #[test]
    fn control_characters_are_not_shown() {
        for (octets, expected) in [
            (&b"a/b.c"[..], "a/b.c"),
            ("ü 中".as_bytes(), "ü 中"),
            (b"a\nb\x1b[31m\t\x7f", r"a\nb\u{1b}[31m\t\u{7f}"),
            (b"\xc2\x9b\xff", "\\u{9b}\u{fffd}"),
        ] {
            assert_eq!(shown(octets), expected);
        }
    }

    #[test]
    fn cuts_arguments() {
        let split_into = |text, split| -> Result<Vec<String>, String> {
            let tokens = argument(text, 1, split).map_err(|(at, error)| format!("{at} {error}"))?;
            let raw = |token: &Token<'_>| String::from_utf8_lossy(token.raw).into_owned();
            Ok(tokens.iter().map(raw).collect())
        };
        let tokens = |tokens: &[&str]| Ok(tokens.iter().map(|token| token.to_string()).collect());
        for (text, whole, words) in [
            ("a; (b)", &["a; (b)"][..], &["a;", "(b)"][..]),
            ("k=\"v w\" x", &["k=\"v w\" x"], &["k=\"v w\"", "x"]),
            ("\"a b\" c", &["a b", "c"], &["a b", "c"]),
            ("a b\n c\r\n", &["a", "b", "c"], &["a", "b", "c"]),
            ("a\\ b", &["a\\ b"], &["a\\ b"]),
            ("", &[""], &[]),
            ("  ", &["  "], &[]),
        ] {
            assert_eq!(
                split_into(text, ArgumentSplit::Never),
                tokens(whole),
                "{text}"
            );
            assert_eq!(
                split_into(text, ArgumentSplit::AtSpace),
                tokens(words),
                "{text}"
            );
        }
        for text in ["\"a", "a \"b", "a b\\", "k=\"v"] {
            assert!(split_into(text, ArgumentSplit::Never).is_err(), "{text}");
            assert!(split_into(text, ArgumentSplit::AtSpace).is_err(), "{text}");
        }
    }

    #[test]
    fn goes_on_after_an_error() {
        assert_eq!(
            entries("a \"open\nb )\nc ( ( 1\n) 2 )\nd\ne ( ( 1\n)\nf"),
            [
                Err("1:3 the quoted string has no end".into()),
                Err("2:3 a closing parenthesis without an opening one".into()),
                ok(false, &["c", "1", "2"]),
                ok(false, &["d"]),
                Err("6:3 the parenthesis is never closed".into()),
            ]
        );
    }

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        assert_eq!(
            entries("a\rb ; c\r d\r\ne )\r\n\r\rf )"),
            [
                ok(false, &["a"]),
                ok(false, &["b"]),
                ok(true, &["d"]),
                Err("4:3 a closing parenthesis without an opening one".into()),
                Err("7:3 a closing parenthesis without an opening one".into()),
            ]
        );
    }
}
