//! Warnings about names that are probably misspelt.

use core::net::IpAddr;

use super::super::super::name::Name;
use super::super::super::rtype::Rtype;
use super::Search;

impl Search<'_> {
    /// What is suspicious about the spelling of a name in rdata.
    pub(super) fn misspelt(&self, name: &Name) -> Option<String> {
        if self.address(name).is_some() {
            return Some(format!("{name}, which is an address: a name is needed"));
        }
        self.repeats_apex(name).then(|| {
            format!("{name}, which has the name of the zone twice: is a final dot missing?")
        })
    }

    /// What is suspicious about a target with a single label: it was probably meant to be relative. Hardly any top-level
    /// domain is a host; `localhost` is one, to which 127.0.0.1 points (RFC 1912 4.1).
    pub(super) fn single_label(&self, rtype: Rtype, target: &Name) -> Option<String> {
        let is_host = matches!(
            rtype,
            Rtype::NS
                | Rtype::MX
                | Rtype::CNAME
                | Rtype::SRV
                | Rtype::PTR
                | Rtype::SVCB
                | Rtype::HTTPS
        );
        let is_localhost = target.labels().next() == Some(b"localhost");
        if !is_host || target.label_count() != 1 || is_localhost || target.is_within(self.apex) {
            return None;
        }
        let is_reverse = self.apex.labels().last() == Some(b"arpa");
        let meant = Name::from_labels(target.labels(), self.apex).ok();
        Some(match meant.filter(|_| !is_reverse) {
            Some(meant) => {
                format!("{target}, a single label: names are absolute, did you mean {meant}?")
            }
            None => format!("{target}, a single label: names are absolute"),
        })
    }

    /// The address that a name looks like, with or without the zone's name at its end.
    fn address(&self, name: &Name) -> Option<IpAddr> {
        // Reverse zones have names made of numbers.
        if name.labels().last() == Some(b"arpa") {
            return None;
        }
        let all: Vec<&[u8]> = name.labels().collect();
        let inside = if name.is_within(self.apex) {
            self.apex.label_count()
        } else {
            0
        };
        [all.len(), all.len() - inside]
            .into_iter()
            .find_map(|count| {
                let text = all.get(..count)?.join(&b'.');
                std::str::from_utf8(&text).ok()?.parse().ok()
            })
    }

    /// Whether the name contains the apex twice, as in `www.example.org.example.org`. A top-level domain may have a
    /// name below it that equals its own label.
    pub(super) fn repeats_apex(&self, name: &Name) -> bool {
        let apex: Vec<&[u8]> = self.apex.labels().collect();
        if apex.len() < 2 || !name.is_within(self.apex) {
            return false;
        }
        let own: Vec<&[u8]> = name.labels().collect();
        own[..own.len() - apex.len()]
            .windows(apex.len())
            .any(|labels| labels == apex)
    }

    pub(super) fn dot_missing(&self, target: &Name) -> &'static str {
        match target.label_count() - self.apex.label_count() {
            0 | 1 => "",
            _ => "; is a final dot missing?",
        }
    }
}
