//! Random zones: what they are made of, and how they become master files that all servers load.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use etcd::model::{Name, Rtype};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A zone, perhaps one below it, and one elsewhere that their aliases lead to.
#[derive(Clone, Debug)]
pub(crate) struct World {
    main: ZoneSpec,
    child: Option<ZoneSpec>,
    other: ZoneSpec,
}

/// Where the zones of a world are in the name space.
pub(crate) struct Site {
    main: String,
    other: String,
}

/// A zone's master file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) apex: Name,
    pub(crate) text: String,
    pub(crate) owners: BTreeSet<Name>,
}

#[derive(Clone, Debug)]
struct ZoneSpec {
    soa_ttl: u32,
    minimum: u32,
    servers: Vec<Target>,
    records: Vec<Spec>,
}

/// A record; rules between records are seen to when the zone is made.
#[derive(Clone, Debug)]
struct Spec {
    owner: Labels,
    ttl: u32,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    /// One name, after the text given.
    Name(Rtype, &'static str, Target),
    /// One name before the text given.
    NameBefore(Rtype, Target, &'static str),
    Text(Rtype, String),
    /// So many TXT records, more than a datagram has room for.
    Texts(u8),
    /// A delegation to so many name servers below it, with their addresses.
    Delegation(u8),
}

type Labels = Vec<&'static str>;

#[derive(Clone, Debug)]
enum Target {
    Main(Labels),
    Child(Labels),
    Other(Labels),
    Nowhere,
    Root,
}

/// As many octets as a label has at most, so that names grow too long.
const LONG: &str = "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll";

/// Labels are few, so that names meet.
pub(crate) fn label() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        8 => Just("a"),
        8 => Just("b"),
        4 => Just("c"),
        5 => Just("*"),
        2 => Just("WwW"),
        1 => Just("x\\.y"),
        1 => Just("\\000\\255"),
        1 => Just("B"),
        1 => Just(LONG),
    ]
}

fn labels() -> impl Strategy<Value = Labels> {
    prop_oneof![
        1 => vec(label(), 0..=0),
        8 => vec(label(), 1..=1),
        6 => vec(label(), 2..=2),
        3 => vec(label(), 3..=4),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        16 => labels().prop_map(Target::Main),
        2 => labels().prop_map(Target::Child),
        2 => labels().prop_map(Target::Other),
        1 => Just(Target::Nowhere),
        1 => Just(Target::Root),
    ]
}

fn ttl() -> impl Strategy<Value = u32> {
    prop::sample::select(&[60, 300, 3600][..])
}

fn data() -> impl Strategy<Value = Data> {
    let name = |rtype, before| target().prop_map(move |target| Data::Name(rtype, before, target));
    let text = |rtype, text: &str| Just(Data::Text(rtype, text.into()));
    let address = |rtype, network: &'static str| {
        (1..4u8).prop_map(move |host| Data::Text(rtype, format!("{network}{host}")))
    };
    prop_oneof![
        6 => address(Rtype::A, "192.0.2."),
        4 => address(Rtype::AAAA, "2001:db8::"),
        6 => name(Rtype::NS, ""),
        5 => name(Rtype::CNAME, ""),
        4 => name(Rtype::DNAME, ""),
        2 => name(Rtype::MX, "10 "),
        1 => name(Rtype::MX, "20 "),
        2 => name(Rtype::SRV, "1 2 443 "),
        1 => name(Rtype::HTTPS, "1 "),
        1 => name(Rtype::SVCB, "0 "),
        1 => name(Rtype::PTR, ""),
        1 => name(Rtype::NAPTR, "1 2 \"s\" \"\" \"\" "),
        1 => name(Rtype::KX, "1 "),
        1 => target().prop_map(|to| Data::NameBefore(Rtype::RP, to, " txt.example.")),
        2 => "[a-zA-Z ]{0,9}".prop_map(|string| Data::Text(Rtype::TXT, format!("\"{string}\""))),
        1 => text(Rtype::CAA, "0 issue \"ca.example\""),
        2 => text(Rtype::DS, "1 8 2 aabb"),
        1 => text(Rtype::TLSA, "3 1 1 aabbcc"),
        1 => text(Rtype(65_280), "\\# 3 010203"),
        1 => (2..30u8).prop_map(Data::Texts),
        1 => (1..30u8).prop_map(Data::Delegation),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    (labels(), ttl(), data()).prop_map(|(owner, ttl, data)| Spec { owner, ttl, data })
}

fn zone(records: std::ops::Range<usize>) -> impl Strategy<Value = ZoneSpec> {
    (ttl(), ttl(), vec(target(), 1..3), vec(spec(), records)).prop_map(
        |(soa_ttl, minimum, servers, records)| ZoneSpec {
            soa_ttl,
            minimum,
            servers,
            records,
        },
    )
}

/// Random worlds.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let child = option::weighted(0.6, zone(0..10));
    (zone(5..50), child, zone(0..12)).prop_map(|(main, child, other)| World { main, child, other })
}

impl Site {
    /// A place that no other world has.
    pub(crate) fn numbered(number: usize) -> Self {
        Site {
            main: format!("w{number}.test."),
            other: format!("o{number}.test."),
        }
    }

    /// At the root of the name space.
    pub(crate) fn root() -> Self {
        Site {
            main: String::new(),
            other: "o.test.".into(),
        }
    }

    fn child(&self) -> String {
        format!("b.a.{}", self.main)
    }
}

impl World {
    /// The master files.
    pub(crate) fn files(&self, site: &Site) -> Vec<File> {
        let apex = |text: &str| text.parse::<Name>().unwrap();
        // NSD has one tree for all zones, and nothing of any may be below a DNAME record in it.
        let mut names = BTreeSet::from([apex(&site.other)]);
        names.extend(self.child.as_ref().map(|_| apex(&site.child())));
        let main = self.main.file(&site.main, site, &names);
        names.extend(main.owners.iter().cloned());
        let child = self.child.as_ref();
        let child = child.map(|child| child.file(&site.child(), site, &names));
        let other = self.other.file(&site.other, site, &names);
        [Some(main), child, Some(other)]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl ZoneSpec {
    /// No DNAME record will be above the names of other zones, or at their apexes.
    fn file(&self, apex: &str, site: &Site, others: &BTreeSet<Name>) -> File {
        let mut zone = Builder::new(apex, others);
        let soa = format!("ns.example. mail.example. 1 2 3 4 {}", self.minimum);
        zone.add("", self.soa_ttl, Rtype::SOA, &soa);
        for server in &self.servers {
            zone.add("", 300, Rtype::NS, &server.text(site));
        }
        // All others may turn out to be too long.
        zone.add("", 300, Rtype::NS, "ns.example.");
        for Spec { owner, ttl, data } in &self.records {
            let owner: String = owner.iter().map(|label| format!("{label}.")).collect();
            match data {
                Data::Name(rtype, before, target) => {
                    zone.add(
                        &owner,
                        *ttl,
                        *rtype,
                        &format!("{before}{}", target.text(site)),
                    );
                }
                Data::NameBefore(rtype, target, after) => {
                    zone.add(
                        &owner,
                        *ttl,
                        *rtype,
                        &format!("{}{after}", target.text(site)),
                    );
                }
                Data::Text(rtype, text) => zone.add(&owner, *ttl, *rtype, text),
                Data::Texts(count) => {
                    for number in 0..*count {
                        let text = format!("\"{number} {}\"", LONG);
                        zone.add(&owner, *ttl, Rtype::TXT, &text);
                    }
                }
                Data::Delegation(count) => {
                    for number in 0..*count {
                        let server = format!("ns{number}.{owner}");
                        let address = format!("192.0.2.{number}");
                        zone.add(&owner, *ttl, Rtype::NS, &format!("{server}{apex}"));
                        zone.add(&server, *ttl, Rtype::A, &address);
                    }
                }
            }
        }
        File {
            apex: zone.apex,
            text: zone.text,
            owners: zone.sets.into_keys().map(|(owner, _)| owner).collect(),
        }
    }
}

impl Target {
    fn text(&self, site: &Site) -> String {
        let below = |labels: &Labels, apex: &str| {
            let labels: String = labels.iter().map(|label| format!("{label}.")).collect();
            let name = labels + apex;
            if name.is_empty() { ".".into() } else { name }
        };
        match self {
            Target::Main(labels) => below(labels, &site.main),
            Target::Child(labels) => below(labels, &site.child()),
            Target::Other(labels) => below(labels, &site.other),
            Target::Nowhere => "host.nowhere.example.".into(),
            Target::Root => ".".into(),
        }
    }
}

/// A zone that keeps the rules, as what would break one is left out: name servers do not agree on what
/// becomes of such a zone.
struct Builder<'a> {
    apex: Name,
    apex_text: String,
    text: String,
    others: &'a BTreeSet<Name>,
    /// The TTL and the rdata that are there.
    sets: BTreeMap<(Name, Rtype), (u32, Vec<String>)>,
}

impl<'a> Builder<'a> {
    fn new(apex: &str, others: &'a BTreeSet<Name>) -> Self {
        let apex_text = if apex.is_empty() { "." } else { apex };
        Builder {
            apex: apex_text.parse().unwrap(),
            apex_text: apex.into(),
            text: String::new(),
            others,
            sets: BTreeMap::new(),
        }
    }

    fn add(&mut self, owner: &str, ttl: u32, rtype: Rtype, rdata: &str) {
        let mut text = format!("{owner}{}", self.apex_text);
        if text.is_empty() {
            text.push('.');
        }
        let (Ok(name), Ok(_)) = (
            text.parse::<Name>(),
            etcd::model::Rdata::parse(rtype, rdata),
        ) else {
            return;
        };
        if !self.is_allowed(&name, rtype) {
            return;
        }
        let set = self.sets.entry((name, rtype));
        let (ttl, present) = set.or_insert((ttl, Vec::new()));
        let folded = rdata.to_ascii_lowercase();
        if present.contains(&folded) {
            return;
        }
        writeln!(self.text, "{text} {ttl} IN {rtype} {rdata}").unwrap();
        present.push(folded);
    }

    fn is_allowed(&self, owner: &Name, rtype: Rtype) -> bool {
        // They belong to the parent zone (RFC 4035 2.4).
        if rtype == Rtype::DS && *owner == self.apex {
            return false;
        }
        let has = |name: &Name, rtype| self.sets.contains_key(&(name.clone(), rtype));
        let mut here = self
            .sets
            .range((owner.clone(), Rtype(0))..=(owner.clone(), Rtype(u16::MAX)));
        let is_apex = *owner == self.apex;
        let below_dname = owner
            .ancestors()
            .skip(1)
            .take_while(|name| name.is_within(&self.apex))
            .any(|name| has(&name, Rtype::DNAME));
        let is_redirect_over_data = || {
            let mut own = self.sets.keys().map(|(name, _)| name);
            let mut others = self.others.iter();
            own.any(|name| name != owner && name.is_within(owner))
                || others.any(|name| {
                    name.is_within(&self.apex)
                        && *name != self.apex
                        && (name.is_within(owner) || owner.is_within(name))
                })
        };
        let clashes = match rtype {
            Rtype::CNAME => is_apex || here.next().is_some(),
            Rtype::DNAME => {
                has(owner, Rtype::DNAME)
                    || (!is_apex && has(owner, Rtype::NS))
                    || is_redirect_over_data()
            }
            Rtype::NS => !is_apex && has(owner, Rtype::DNAME),
            _ => false,
        };
        !clashes && !below_dname && !has(owner, Rtype::CNAME)
    }
}
