//! Records from the command line.

use etcd::model::{Rdata, RdataError, Rtype};

use crate::error::Error;

/// Reads the arguments behind the type: each is one record, or all of them are one.
pub(crate) fn records(rtype: Rtype, arguments: &[String]) -> Result<Vec<Rdata>, Error> {
    let each: Result<Vec<Rdata>, RdataError> =
        arguments.iter().map(|text| one(rtype, text)).collect();
    let Err(error) = each else {
        return each.map_err(|error| Error::usage(error.to_string()));
    };
    let together = arguments.join(" ");
    if arguments.len() > 1
        && let Ok(rdata) = one(rtype, &together)
    {
        return Ok(vec![rdata]);
    }
    let bad = arguments
        .iter()
        .find(|text| one(rtype, text).is_err())
        .unwrap_or(&together);
    Err(Error::usage(format!(
        "'{bad}' is no {rtype} record: {error}"
    )))
}

fn one(rtype: Rtype, text: &str) -> Result<Rdata, RdataError> {
    // The shell has eaten the quotes that a master file would have; spaces and semicolons belong to the text.
    if rtype == Rtype::TXT && !text.starts_with('"') && !text.starts_with("\\#") {
        return Rdata::literal_txt(text);
    }
    Rdata::parse(rtype, text)
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
        assert_eq!(
            read("A", &["192.0.2.1", "192.0.2.2"]),
            Ok(vec!["192.0.2.1".into(), "192.0.2.2".into()])
        );
        assert_eq!(
            read("MX", &["10", "mail.example.org"]),
            Ok(vec!["10 mail.example.org.".into()])
        );
        assert_eq!(
            read("MX", &["10 a.", "20 b."]),
            Ok(vec!["10 a.".into(), "20 b.".into()])
        );
        assert_eq!(
            read("TXT", &["v=spf1 -all", "v=DKIM1; p=x"]),
            Ok(vec!["\"v=spf1 -all\"".into(), "\"v=DKIM1; p=x\"".into()])
        );
        assert_eq!(
            read("TXT", &["\"a\" \"b\""]),
            Ok(vec!["\"a\" \"b\"".into()])
        );
        assert_eq!(
            read("A", &["192.0.2.1", "x"]),
            Err("'x' is no A record: 'x' is not an IPv4 address".into())
        );
        assert_eq!(
            read("MX", &["10"]),
            Err("'10' is no MX record: a domain name is missing".into())
        );
    }
}
