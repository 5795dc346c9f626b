//! Points in time.

use std::fmt::{self, Write};

use super::cursor::{Cursor, digits};
use super::error::RdataError;
use super::field::{Field, number};
use super::number::U32;

/// 32 bits of seconds since 1970, `YYYYMMDDHHmmSS` in text (RFC 4034 3.2).
pub(super) struct Timestamp;

impl Field for Timestamp {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("a time")?;
        match time(text).or_else(|| digits(text)) {
            Some(seconds) => out.extend(seconds.to_be_bytes()),
            None => {
                return cursor.fail(format!(
                    "expected a time as YYYYMMDDHHmmSS, from 1970 to 21060207062815 (RFC 4034, 3.2), and got '{text}'"
                ));
            }
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        U32.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        print_time(number(octets), out)
    }
}

/// Days since 1970 of a date in the Gregorian calendar, by counting from March of year 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `YYYYMMDDHHmmSS` as seconds since 1970, if they fit into 32 bits.
fn time(text: &str) -> Option<u32> {
    if text.len() != 14 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    // A minute may have a leap second.
    let valid = (1..=12).contains(&month)
        && day >= 1
        && days(year, month, day) < days(next_year, next_month, 1)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    valid.then_some(seconds)?.try_into().ok()
}

fn print_time(seconds: u32, out: &mut String) -> fmt::Result {
    let (total, clock) = (i64::from(seconds / 86_400), seconds % 86_400);
    // The inverse of `days`: a first guess at the year that is never too late, then count up.
    let mut year = 1970 + total / 366;
    while days(year + 1, 1, 1) <= total {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= total)
        .unwrap_or(1);
    let day = total - days(year, month, 1) + 1;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    write!(
        out,
        "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"
    )
}
