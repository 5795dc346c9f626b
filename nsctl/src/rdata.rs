//! Records from the command line.
//!
//! The shell delimits arguments, so nothing in them is a comment, and parentheses group nothing.

use std::slice;

use etcd::model::{ArgumentSplit, Rdata, Rtype};

use crate::error::Error;

/// Parses the arguments after the type: each is one record, or all of them together are one.
pub(crate) fn records(rtype: Rtype, arguments: &[String]) -> Result<Vec<Rdata>, Error> {
    let one =
        |argument| Rdata::from_arguments(rtype, slice::from_ref(argument), ArgumentSplit::AtSpace);
    let mut each = arguments
        .iter()
        .map(|argument| one(argument).map_err(|error| (argument, error)));
    // Each text argument is a record by itself.
    let together = (arguments.len() > 1 && !rtype.is_text())
        .then(|| Rdata::from_arguments(rtype, arguments, ArgumentSplit::Never));
    match (each.clone().collect(), together) {
        (Ok(_), Some(Ok(_))) => Err(Error::usage(format!(
            "'{}' can be one {rtype} record or {} of them: give a record in one argument",
            arguments.join(" "),
            arguments.len()
        ))),
        (Ok(records), _) => Ok(records),
        (Err(_), Some(Ok(record))) => Ok(vec![record]),
        // The first argument alone is not a record, so they are probably meant as one.
        (Err(_), Some(Err(_))) if each.next().is_some_and(|first| first.is_err()) => {
            split_together(rtype, arguments).map(|record| vec![record])
        }
        (Err((argument, error)), _) => Err(Error::usage(format!(
            "'{argument}' is not a record of type {rtype}: {error}"
        ))),
    }
}

/// Parses all arguments as one record. White space inside an argument separates fields, as in `SRV '0 5' '5060 sip'`.
fn split_together(rtype: Rtype, arguments: &[String]) -> Result<Rdata, Error> {
    Rdata::from_arguments(rtype, arguments, ArgumentSplit::AtSpace).map_err(|error| {
        // The error's line is the number of the argument.
        let at = (error.at.line as usize).saturating_sub(1);
        let argument = arguments.get(at).map_or("", String::as_str);
        let all = arguments.join(" ");
        Error::usage(format!(
            "'{all}' is not a record of type {rtype}, because of '{argument}': {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rtype: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
        let rtype: Rtype = rtype.parse().expect("a type");
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        match records(rtype, &arguments) {
            Ok(rdata) => Ok(rdata.iter().map(|rdata| rdata.text(rtype)).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn each_argument_or_all_together() {
        for (rtype, arguments, records) in [
            (
                "A",
                &["192.0.2.1", "192.0.2.2"][..],
                &["192.0.2.1", "192.0.2.2"][..],
            ),
            ("MX", &["10", "mail.example.org"], &["10 mail.example.org."]),
            ("MX", &["10 a.", "20 b."], &["10 a.", "20 b."]),
            ("SRV", &["0 5", "5060 sip.x"], &["0 5 5060 sip.x."]),
            (
                "TXT",
                &["v=spf1 -all", "v=DKIM1; p=x"],
                &["\"v=spf1 -all\"", "\"v=DKIM1; p=x\""],
            ),
            ("TXT", &["\"a\" \"b\""], &["\"a\" \"b\""]),
            (
                "TXT",
                &["a\\", "", "say \"x\" (y)"],
                &["\"a\\\\\"", "\"\"", "\"say \\\"x\\\" (y)\""],
            ),
            ("SPF", &["v=spf1 -all"], &["\"v=spf1 -all\""]),
            ("TYPE65280", &["\\#", "2", "ab", "cd"], &["\\# 2 ABCD"]),
            ("OPENPGPKEY", &["AQID\nBAUG\n"], &["AQIDBAUG"]),
        ] {
            let records = records.iter().map(|text| text.to_string()).collect();
            assert_eq!(read(rtype, arguments), Ok(records), "{rtype} {arguments:?}");
        }
    }

    #[test]
    fn nothing_is_a_comment() {
        for (rtype, arguments, record) in [
            (
                "CAA",
                &["0", "issue", "ca.example; a=b"][..],
                "0 issue \"ca.example; a=b\"",
            ),
            (
                "CAA",
                &["0 issue \"ca.example; a=b\""],
                "0 issue \"ca.example; a=b\"",
            ),
            ("CAA", &["0", "issue", ";"], "0 issue \";\""),
            ("CAA", &["0 issue ;"], "0 issue \";\""),
            (
                "URI",
                &["10", "1", "https://example.org/(a;b)"],
                "10 1 \"https://example.org/(a;b)\"",
            ),
            (
                "URI",
                &["10 1 https://example.org/a;b"],
                "10 1 \"https://example.org/a;b\"",
            ),
            (
                "HTTPS",
                &["1", ".", "key65000=a;b (c)"],
                "1 . key65000=\"a;b (c)\"",
            ),
            (
                "SVCB",
                &["1 svc.x alpn=h2 key65000=\"a;b (c)\""],
                "1 svc.x. alpn=\"h2\" key65000=\"a;b (c)\"",
            ),
            ("HINFO", &["Intel(R); x", ""], "\"Intel(R); x\" \"\""),
            (
                "NAPTR",
                &[
                    "100",
                    "10",
                    "u",
                    "E2U+sip",
                    "!^.*$!sip:a@x;user=phone!",
                    ".",
                ],
                "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@x;user=phone!\" .",
            ),
            (
                "NAPTR",
                &["100", "10", "", "", "", "x"],
                "100 10 \"\" \"\" \"\" x.",
            ),
            ("TXT", &["a; b"], "\"a; b\""),
            ("SPF", &["a; b"], "\"a; b\""),
        ] {
            assert_eq!(
                read(rtype, arguments),
                Ok(vec![record.to_string()]),
                "{rtype} {arguments:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_that_names_the_argument() {
        for (rtype, arguments, error) in [
            (
                "A",
                &["192.0.2.1", "x"][..],
                "'x' is not a record of type A: 'x' is not an IPv4 address",
            ),
            (
                "A",
                &["192.0.2.1 ; web"],
                "'192.0.2.1 ; web' is not a record of type A: ';' is more than A rdata has room for",
            ),
            (
                "A",
                &["192.0.2.1;web"],
                "'192.0.2.1;web' is not an IPv4 address",
            ),
            (
                "A",
                &["192.0.2.1\n192.0.2.2"],
                "'192.0.2.2' is more than A rdata has room for",
            ),
            (
                "A",
                &[""],
                "'' is not a record of type A: an IPv4 address is missing",
            ),
            (
                "MX",
                &["10"],
                "'10' is not a record of type MX: a domain name is missing",
            ),
            (
                "MX",
                &["ten", "mail"],
                "'ten mail' is not a record of type MX, because of 'ten': expected a number",
            ),
            (
                "MX",
                &["10 mail; the mail server"],
                "'mail;' is not a domain name: quotes, semicolons",
            ),
            (
                "MX",
                &["10", "mail;"],
                "because of 'mail;': 'mail;' is not a domain name",
            ),
            (
                "MX",
                &["10 a.", "20"],
                "'20' is not a record of type MX: a domain name is missing",
            ),
            ("MX", &["10", "@"], "@ stands for the origin of a zone file"),
            (
                "RP",
                &["admin@example.org", "."],
                "a mailbox as a name has a dot",
            ),
            (
                "DS",
                &["1", "8", "2", "(", "aa", ")"],
                "expected pairs of hexadecimal digits",
            ),
            (
                "CAA",
                &["0", "issue", "\"ca.example"],
                "because of '\"ca.example': the quoted string has no end",
            ),
            (
                "CAA",
                &["0", "issue", "ca.example", "; a=b"],
                "because of '; a=b': ';' is more than CAA rdata has room for",
            ),
            (
                "CAA",
                &["0 issue ca.example; a=b"],
                "'a=b' is more than CAA rdata has room for",
            ),
            ("URI", &["10", "1", "https://x\\"], "a backslash at the end"),
            (
                "NAPTR",
                &["1", "1", "u", "x", "!a", "b\"!", "."],
                "because of 'b\"!': the quoted string has no end",
            ),
            (
                "HTTPS",
                &["1", ".", "alpn=\"h2"],
                "because of 'alpn=\"h2': the quoted string has no end",
            ),
            (
                "TXT",
                &["\"a"],
                "'\"a' is not a record of type TXT: the quoted string has no end",
            ),
            ("TXT", &["\"a", "b\""], "'\"a' is not a record of type TXT"),
            ("TXT", &["\"a\" ; b"], "';' is not in double quotes"),
            ("TXT", &["a\nb"], "the text has a line break"),
            ("TXT", &["( \"a\" \"b\" )"], "leave them out"),
            ("SPF", &["\"a\" b"], "'b' is not in double quotes"),
            (
                "HINFO",
                &["Intel Xeon", "Linux 6"],
                "'Intel Xeon Linux 6' can be one HINFO record or 2 of them",
            ),
            (
                "OPENPGPKEY",
                &["AQID", "BAUG"],
                "can be one OPENPGPKEY record or 2",
            ),
            (
                "APL",
                &["1:10.0.0.0/8", "1:192.0.2.0/24"],
                "can be one APL record or 2",
            ),
        ] {
            let read = read(rtype, arguments).expect_err(error);
            assert!(read.contains(error), "{rtype} {arguments:?}: {read}");
        }
    }
}
