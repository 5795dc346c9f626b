//! Why a text or some octets are no domain name.

use std::fmt;

/// Why a text or some octets are no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError(pub(super) Reason);

/// The reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
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
