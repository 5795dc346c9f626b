//! `$GENERATE`, as BIND has it: `$GENERATE 1-20/2 host-$ A 192.0.2.$`.
//!
//! In owner and rdata, `$` stands for the number; `${OFFSET[,WIDTH[,BASE]]}` for the number plus an offset, in base
//! `d`, `o`, `x` or `X`, or as reversed nibbles `n` or `N`, filled with zeros to a width. `\$` and `$$` stand for a
//! dollar sign. Rdata that is one quoted string is read once more without its quotes: `MX "10 mail$"`.

use std::fmt::{self, Write};

/// The most records that one directive may generate.
const COUNT_MAX: u64 = 1 << 20;

/// What is wrong with a `$GENERATE` directive.
#[derive(Debug)]
pub(super) enum GenerateError {
    /// This is not a range.
    Range(String),
    /// This range has too many numbers.
    Count(String),
    /// A `${` is never closed.
    Open,
    /// This is not a modifier.
    Modifier(String),
    /// This modifier takes this number out of range.
    Number(String, u32),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GenerateError::Range(text) => {
                write!(f, "'{text}' is not a range START-STOP or START-STOP/STEP")
            }
            GenerateError::Count(text) => {
                write!(f, "the range '{text}' makes more than {COUNT_MAX} records")
            }
            GenerateError::Open => f.write_str("a ${ has no }"),
            GenerateError::Modifier(text) => {
                write!(f, "'${{{text}}}' is not a modifier OFFSET[,WIDTH[,BASE]]")
            }
            GenerateError::Number(text, value) => write!(
                f,
                "'${{{text}}}' with {value} is not between -2^31 and 2^31 - 1"
            ),
        }
    }
}

/// The numbers of a range.
pub(super) struct GenerateRange {
    next: u32,
    stop: u32,
    step: u32,
}

impl GenerateRange {
    /// Reads `START-STOP[/STEP]`.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, GenerateError> {
        let text = String::from_utf8_lossy(raw);
        let bad = || GenerateError::Range(text.clone().into_owned());
        let (range, step) = text.split_once('/').unwrap_or((&text, "1"));
        let (start, stop) = range.split_once('-').ok_or_else(bad)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
            digits
                .parse::<u32>()
                .ok()
                .filter(|number| plain && *number < 1 << 31)
                .ok_or_else(bad)
        };
        let (next, stop, step) = (number(start)?, number(stop)?, number(step)?);
        if step == 0 || next > stop {
            return Err(bad());
        }
        if u64::from((stop - next) / step) >= COUNT_MAX {
            return Err(GenerateError::Count(text.into_owned()));
        }
        Ok(GenerateRange { next, stop, step })
    }
}

impl Iterator for GenerateRange {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let value = self.next;
        self.next = self.next.saturating_add(self.step);
        (value <= self.stop).then_some(value)
    }
}

/// Replaces `$` and `${…}` in a token by the number.
pub(super) fn fill(raw: &[u8], value: u32) -> Result<Vec<u8>, GenerateError> {
    let mut out = Vec::with_capacity(raw.len() + 8);
    let mut rest = raw;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'\\', [b'$', after @ ..]) => {
                // Keep the escape: whoever parses the result removes it.
                out.extend(b"\\$");
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                out.extend([b'\\', *escaped]);
                rest = after;
            }
            (b'$', [b'$', after @ ..]) => {
                out.extend(b"\\$");
                rest = after;
            }
            (b'$', [b'{', after @ ..]) => {
                let end = after
                    .iter()
                    .position(|octet| *octet == b'}')
                    .ok_or(GenerateError::Open)?;
                out.extend(modified(&after[..end], value)?.bytes());
                rest = &after[end + 1..];
            }
            (b'$', _) => out.extend(value.to_string().bytes()),
            _ => out.push(octet),
        }
    }
    Ok(out)
}

/// The text inside a quoted string: escaped quotes become quotes, other escapes stay. As in BIND, `TXT "\"a b\""` makes
/// one string and `TXT "a b"` makes two. Unlike BIND, a semicolon does not begin a comment, so that no text is lost.
pub(super) fn quoted_again(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'\\', [b'"', after @ ..]) => {
                out.push(b'"');
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                out.extend([b'\\', *escaped]);
                rest = after;
            }
            (b';', _) => out.extend(b"\\;"),
            _ => out.push(octet),
        }
    }
    out
}

fn modified(modifier: &[u8], value: u32) -> Result<String, GenerateError> {
    let text = String::from_utf8_lossy(modifier);
    let bad = || GenerateError::Modifier(text.clone().into_owned());
    let mut parts = text.split(',');
    let offset = parts
        .next()
        .unwrap_or_default()
        .parse::<i64>()
        .map_err(|_| bad())?;
    let width = parts
        .next()
        .map_or(Ok(0), |width| width.parse::<usize>().map_err(|_| bad()))?;
    let base = parts.next().unwrap_or("d");
    // No label and no string is longer; without a limit a file could ask for a gigabyte of zeros.
    if width > 255 || parts.next().is_some() {
        return Err(bad());
    }
    let number = i64::from(value)
        .checked_add(offset)
        .and_then(|number| i32::try_from(number).ok());
    let number = number.ok_or_else(|| GenerateError::Number(text.clone().into_owned(), value))?;
    // All bases but the decimal show negative numbers as 32 bits in two's complement.
    Ok(match base {
        "d" => format!("{number:0width$}"),
        "o" => format!("{number:0width$o}"),
        "x" => format!("{number:0width$x}"),
        "X" => format!("{number:0width$X}"),
        "n" | "N" => nibbles(number.cast_unsigned(), width, base == "N"),
        _ => return Err(bad()),
    })
}

/// Hexadecimal digits, the last one first, separated by dots, as in names below ip6.arpa. The width includes the dots.
fn nibbles(mut number: u32, width: usize, upper: bool) -> String {
    let mut text = String::new();
    loop {
        let digit = number & 15;
        // Writing to a string does not fail.
        let _ = if upper {
            write!(text, "{digit:X}")
        } else {
            write!(text, "{digit:x}")
        };
        number >>= 4;
        if number == 0 && text.len() >= width {
            return text;
        }
        text.push('.');
        if number == 0 && text.len() >= width {
            return text;
        }
    }
}
