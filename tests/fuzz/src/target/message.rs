use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use domain::base::iana::Class as DomainClass;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ToName};
use domain::rdata::AllRecordData;

use crate::message::{
    Class, Query, Reject, ServerEdns, encode, encode_chaos, encode_reject, parse,
};
use crate::model::{Name, Rdata, Rtype};
use crate::zone::{
    Answer, AnswerRdata, Contents, Rcode, Rrset, Section, SoaFields, View, Zone, resolve,
};

/// Something for every step of the resolver, and sets that do not fit into small messages.
const ZONES: &[(&str, &str)] = &[
    (
        "test.",
        "
test. NS ns.test.
test. NS ns.elsewhere.
test. MX 10 mail.test.
test. MX 20 Mail.Example.
test. TXT text
ns.test. A 192.0.2.1
mail.test. A 192.0.2.2
mail.test. A 192.0.2.3
mail.test. AAAA 2001:db8::1
a.b.c.test. TXT deep
*.w.test. A 192.0.2.4
*.w.test. MX 1 mail.test.
sub.*.w.test. TXT beside
*.cw.test. CNAME mail.test.
al.test. CNAME WWW.al2.test.
www.al2.test. CNAME x.d.test.
out.test. CNAME www.elsewhere.
loop.test. CNAME loop2.test.
loop2.test. CNAME loop.test.
d.test. DNAME t.test.
d.test. A 192.0.2.5
x.t.test. A 192.0.2.6
grow.test. DNAME a.grow.test.
long.test. DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.
cut.test. NS ns.cut.test.
cut.test. NS ns.sib.test.
cut.test. DS 1 8 2 00112233
ns.cut.test. A 192.0.2.7
ns.cut.test. AAAA 2001:db8::2
sib.test. NS ns.sib.test.
ns.sib.test. A 192.0.2.8
child.test. NS ns.child.test.
child.test. DS 2 8 2 44556677
_s._tcp.test. SRV 1 2 3 mail.test.
svc.test. SVCB 0 mail.test.
svc.test. HTTPS 1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.9
svc.test. A 192.0.2.9
odd.test. TYPE65280 \\# 3 010203
odd.test. NAPTR 1 2 u E2U+sip !^.*$!sip:a@b! .
odd.test. MINFO a.test. b.a.test.
odd.test. HINFO a b
many.test. NS *48 ns-%.many.test.
ns-7.many.test. A 192.0.2.10
ns-47.many.test. AAAA 2001:db8::3
big.test. TXT *40 %-this-is-one-of-many-strings-that-together-are-too-long-for-a-datagram
wide.test. MX *60 1 a%.b%.c%.wide.test.
huge.test. PTR *300 a-name-so-long-that-many-are-more-than-a-pointer-can-span.%.huge.test.
fat.test. SVCB *70 1 t%.fat.test. key65280=after-the-many-octets-of-this-value-the-addresses-have-no-place-that-a-pointer-can-say-which-has-fourteen-bits-only-so-that-their-owners-are-written-out-each-time-instead-of-once-and-that-is-all-there-is-to-say-about-it
t3.fat.test. A *2 192.0.2.%
t69.fat.test. AAAA *3 2001:db8::%
",
    ),
    ("child.test.", "child.test. NS ns.child.test.\nns.child.test. A 192.0.2.11\nup.child.test. CNAME al.test.\n"),
    ("other.", "other. NS ns.test.\nother. DNAME d.test.\n"),
];

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let mut view = View::default();
    view.set_ready(true);
    for (apex, text) in ZONES {
        view.put_zone(zone(apex, text).into());
    }
    view
});

/// Lines of owner, type and rdata; `*N` before the rdata gives N records, `%` in them is their number.
fn zone(apex: &str, text: &str) -> Zone {
    let apex: Name = apex.parse().expect(apex);
    let mut sets: BTreeMap<(Name, Rtype), Vec<Rdata>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let [owner, rtype, rdata] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let rtype: Rtype = rtype.parse().expect(line);
        let set = sets.entry((owner.parse().expect(line), rtype)).or_default();
        let many = rdata
            .strip_prefix('*')
            .and_then(|rest| rest.split_once(' '));
        let (count, rdata) = many.unwrap_or(("1", rdata));
        for number in 0..count.parse::<usize>().expect(line) {
            let rdata = rdata.replace('%', &number.to_string());
            set.push(Rdata::parse(rtype, &rdata).expect(line));
        }
    }
    let mut contents = Contents::new(apex.clone());
    for ((owner, rtype), rdata) in sets {
        let rrset = Rrset::new(3600, rdata.iter().map(Rdata::wire)).expect("an RRset");
        assert!(contents.put(&owner, rtype, &rrset), "{owner} {rtype}");
    }
    let soa = SoaFields {
        mname: "ns.test.".parse().expect("a name"),
        rname: "Host.Master.elsewhere.".parse().expect("a name"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
        ttl: 6,
    };
    Zone::new(&soa, contents)
}

const OURS: ServerEdns<'_> = ServerEdns {
    udp_size: 1232,
    nsid: b"a front-end in the dark",
    idle: Some(Duration::from_secs(10)),
    pads: true,
    cookie: Some([7; 24]),
};

/// Reads the octets as a message and answers it. Another library reads each reply to its end; it repeats the
/// question, respects the limit, and has the records of the answer, all of them where there is room.
pub fn message(octets: &[u8]) {
    let mut out = [0; 65_535];
    let query = match parse(octets) {
        Ok(query) => query,
        Err(Reject::Silent) => {
            assert!(octets.len() < 12 || octets[2] & 0x80 != 0);
            return;
        }
        Err(Reject::Reply(refusal)) => {
            let len = encode_reject(&refusal, &OURS, &mut out);
            let reply = read(octets, &out[..len], 512);
            // The TSIG record of an unknown key, if there is room.
            let is_signed = refusal.rcode == Rcode::NOTAUTH;
            assert!(reply.rcode == refusal.rcode && reply.records.len() <= usize::from(is_signed));
            assert!(!reply.is_truncated);
            return;
        }
    };
    agrees(octets, &query);
    assert!((512..=1232).contains(&query.udp_limit(1232)));
    if query.class == Class::Chaos {
        let len = match query.chaos() {
            Some(_) => encode_chaos(&[b'x'; 300], &query, &OURS, 512, &mut out),
            None => encode_reject(&query.error_reply(Rcode::REFUSED, None), &OURS, &mut out),
        };
        let reply = read(octets, &out[..len], 512);
        assert_eq!(reply.records.len(), usize::from(query.chaos().is_some()));
        return;
    }
    let answer = resolve(&VIEW, &query.question());
    let expected = records(&answer, &query);
    let whole = encode(&answer, &query, &OURS, 65_535, &mut out);
    if query.edns.is_some_and(|edns| edns.wants_padding) {
        assert!(whole.is_multiple_of(468) || whole > 65_520, "{whole}");
    }
    for limit in [512, 1232, whole - 1, whole, 65_535] {
        let limit = limit.max(512);
        let len = encode(&answer, &query, &OURS, limit, &mut out);
        let reply = read(octets, &out[..len], limit);
        assert_eq!(reply.rcode, answer.rcode);
        // RRsets as a whole and in their order. All of them where there is room, those that help only
        // where there is some left.
        let mut rest = &reply.records[..];
        for (section, set) in &expected {
            match rest.strip_prefix(&set[..]) {
                Some(after) => rest = after,
                None => assert!(
                    limit < whole && (reply.is_truncated || *section == Section::Additional)
                ),
            }
        }
        assert!(rest.is_empty(), "{rest:?}");
        assert!(!reply.is_truncated || limit < whole);
    }
}

/// Section (0 to 2), owner, type, TTL and rdata, names written out in lower case.
type Record = (usize, Vec<u8>, u16, u32, Vec<u8>);

/// The records of an answer, by RRset.
fn records(answer: &Answer<'_>, query: &Query<'_>) -> Vec<(Section, Vec<Record>)> {
    let mut entries = Vec::new();
    answer.each_rrset(|entry| {
        let section = match entry.section {
            Section::Answer => 0,
            Section::Authority => 1,
            Section::Glue | Section::Additional => 2,
        };
        let owner = answer
            .owner_wire(&entry.owner, query.name())
            .to_ascii_lowercase();
        let rdata: Vec<&[u8]> = match entry.records {
            AnswerRdata::Set(rrset) => rrset.rdata().collect(),
            AnswerRdata::Cname(target) => vec![answer.synthesized_wire(target)],
        };
        let record = |rdata: &[u8]| {
            let (rtype, rdata) = (entry.rtype.0, rdata.to_ascii_lowercase());
            (section, owner.clone(), rtype, entry.ttl, rdata)
        };
        entries.push((entry.section, rdata.into_iter().map(record).collect()));
        true
    });
    entries
}

/// What another library reads in a reply.
struct Reply {
    rcode: Rcode,
    is_truncated: bool,
    records: Vec<Record>,
}

fn read(query: &[u8], reply: &[u8], limit: usize) -> Reply {
    assert!(reply.len() <= limit, "{} over {limit}", reply.len());
    let message = Message::from_octets(reply).expect("a header");
    let (header, counts) = (message.header(), message.header_counts());
    assert!(header.qr() && !header.ra() && !header.z() && !header.ad() && !header.cd());
    assert_eq!((&reply[..2], header.rd()), (&query[..2], query[2] & 1 != 0));
    let mut question = message.question();
    assert!(question.by_ref().all(|question| question.is_ok()));
    let question = &reply[12..question.pos()];
    assert!(query[12..].starts_with(question), "the question as it came");

    let mut records = Vec::new();
    let mut section = message.answer().expect("answers");
    for number in 0..3 {
        for record in section.by_ref() {
            let record = record.expect("a record");
            let record = record
                .to_any_record::<AllRecordData<_, _>>()
                .expect("rdata that can be read");
            let mut rdata = Vec::new();
            record.data().compose_rdata(&mut rdata).expect("room");
            if record.rtype().to_int() == Rtype::OPT.0 {
                assert!(number == 2 && record.owner().is_root());
                continue;
            }
            assert!(matches!(record.class(), DomainClass::IN | DomainClass::CH));
            let mut owner = record.owner().to_vec().as_slice().to_vec();
            owner.make_ascii_lowercase();
            rdata.make_ascii_lowercase();
            records.push((
                number,
                owner,
                record.rtype().to_int(),
                record.ttl().as_secs(),
                rdata,
            ));
        }
        if number < 2 {
            section = section.next_section().expect("sound").expect("a section");
        }
    }
    assert_eq!(section.pos(), reply.len(), "octets behind the last record");
    let opt = message.opt();
    let others = usize::from(counts.ancount() + counts.nscount() + counts.arcount());
    assert_eq!(others, records.len() + usize::from(opt.is_some()));
    assert!(opt.is_none_or(|opt| opt.udp_payload_size() == OURS.udp_size));
    Reply {
        rcode: Rcode(message.opt_rcode().to_int()),
        is_truncated: header.tc(),
        records,
    }
}

/// The other library reads the same in the query.
fn agrees(octets: &[u8], query: &Query<'_>) {
    let message = Message::from_octets(octets).expect("a header");
    assert_eq!(message.header().id(), query.id);
    let question = message.sole_question().expect("one question");
    assert_eq!(question.qname().to_vec().as_slice(), query.name());
    assert_eq!(question.qtype().to_int(), query.rtype.0);
    // We follow no pointers in records, as nothing is looked up by their names: what is behind one that
    // leads nowhere is still read.
    let records = message.additional();
    if records.is_ok_and(|mut records| records.all(|record| record.is_ok())) {
        let opt = message
            .opt()
            .map(|opt| (opt.udp_payload_size(), opt.dnssec_ok()));
        let ours = query.edns.map(|edns| (edns.udp_size, edns.is_dnssec_ok));
        assert_eq!(opt, ours);
    }
}
