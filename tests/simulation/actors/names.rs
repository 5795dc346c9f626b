use etcd::model::{Name, Prerequisite, Rdata, Rtype};

use crate::schedule::{Required, What};

pub(crate) fn zone_name(zone: usize) -> Name {
    // The last one is below the first, and can hide its records.
    let names = ["example.org.", "example.com.", "n1.example.org."];
    names[zone].parse().expect("a name")
}

pub(crate) fn owner_name(zone: usize, owner: usize) -> Name {
    format!("n{owner}.{}", zone_name(zone))
        .parse()
        .expect("a name")
}

pub(crate) fn address(last: u8) -> Rdata {
    Rdata::parse(Rtype::A, &format!("192.0.2.{last}")).expect("an address")
}

pub(crate) fn name_server() -> Rdata {
    Rdata::parse(Rtype::NS, "ns1.example.net.").expect("a name server")
}

/// The target of all aliases.
pub(crate) fn alias() -> Rdata {
    Rdata::parse(Rtype::CNAME, "n9.example.net.").expect("a name")
}

pub(crate) fn prerequisite(required: Required) -> Prerequisite {
    let (owner, rtype) = (owner_name(required.zone, required.owner), Rtype::A);
    match required.what {
        What::NameInUse => Prerequisite::NameInUse(owner),
        What::NameNotInUse => Prerequisite::NameNotInUse(owner),
        What::Addresses => Prerequisite::RrsetExists {
            owner,
            rtype,
            rdata: Vec::new(),
        },
        What::Address(last) => Prerequisite::RrsetExists {
            owner,
            rtype,
            rdata: vec![address(last)],
        },
        What::NoAddresses => Prerequisite::RrsetAbsent { owner, rtype },
    }
}
