//! Internationalized labels: Unicode to A-labels and back (UTS 46, non-transitional).
//!
//! Labels are converted one at a time, so that the rule for names with right-to-left scripts does not reject a `_tcp` or
//! `*` elsewhere in the name. Callers do not convert labels of plain ASCII.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// In a label with Unicode characters, ASCII is limited to letters, digits, hyphens and underscores. This also applies
/// to the result: U+2100, for example, maps to `a/c`.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// The ASCII form of a label, or none if UTS 46 does not allow the label. If it contains a full stop of another script,
/// as in `例え。テスト`, the result is several labels separated by dots.
pub(super) fn to_ascii(label: &str) -> Option<String> {
    let ascii = Uts46::new().to_ascii(label.as_bytes(), DENIED, Hyphens::Check, DnsLength::Ignore);
    ascii.ok().map(Into::into)
}

/// The Unicode form of an A-label. None if it is not an A-label or would not convert back to the same one, as a name must
/// not be displayed like another name.
pub(super) fn to_unicode(label: &[u8]) -> Option<String> {
    if !label.starts_with(b"xn--") {
        return None;
    }
    let (unicode, result) = Uts46::new().to_unicode(label, DENIED, Hyphens::Check);
    result.ok()?;
    let same = !unicode.is_ascii() && to_ascii(&unicode)?.as_bytes() == label;
    same.then(|| unicode.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_convert_both_ways() {
        for (unicode, ascii) in [
            ("ü", "xn--tda"),
            ("bücher", "xn--bcher-kva"),
            // Non-transitional: these are letters of their own.
            ("straße", "xn--strae-oqa"),
            ("βόλος", "xn--nxasmm1c"),
            ("例え", "xn--r8jz45g"),
            ("مثال", "xn--mgbh0fb"),
            ("_ü", "xn--_-eha"),
        ] {
            assert_eq!(to_ascii(unicode).as_deref(), Some(ascii), "{unicode}");
            assert_eq!(to_unicode(ascii.as_bytes()).as_deref(), Some(unicode));
        }
        for (written, ascii) in [
            ("Bücher", "xn--bcher-kva"),
            ("bu\u{308}cher", "xn--bcher-kva"),
            ("ＷＷＷ", "www"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ] {
            assert_eq!(to_ascii(written).as_deref(), Some(ascii), "{written}");
        }
        for bad in [
            "a\u{2100}",
            "ü b",
            "-ü",
            "ü-",
            "aa--ü",
            "\u{fffd}",
            "a\u{200d}b",
            "\u{301}x",
            "ü*",
        ] {
            assert_eq!(to_ascii(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_converts_back_is_shown() {
        // No Punycode, Punycode of ASCII, of an upper-case letter, of a right-to-left override.
        for ascii in [
            "www",
            "xn--",
            "xn--a",
            "xn--abc-",
            "xn--uda",
            "xn--nda",
            "xn--ab-m1t",
            "xn--\u{fc}",
        ] {
            let shown = to_unicode(ascii.as_bytes());
            if let Some(shown) = shown {
                assert_eq!(to_ascii(&shown).as_deref(), Some(ascii));
            }
        }
        assert_eq!(to_unicode(b"xn--abc-"), None);
        assert_eq!(to_unicode(b"xn--zzzzzzz99"), None);
    }
}
