//! From master files to answers, without a process.

use etcd::model::Name;
use etcd::model::zonefile::{self, Checked, FileFinding};
use nsd::message::{self, Reject, ServerEdns};
use nsd::zone::{Contents, Rrset, SoaFields, View, Zone, resolve};

/// Reads a master file and checks the zone.
pub(crate) fn check(origin: &Name, text: &str) -> Result<Checked, Vec<FileFinding>> {
    zonefile::check(origin, zonefile::read(text.as_bytes(), origin)?)
}

/// The same for a zone with records of signed zones, one of a type at a name: no import takes them, and a front-end
/// still serves those that somebody has stored.
pub(crate) fn check_signed(origin: &Name, text: &str) -> Result<Checked, Vec<FileFinding>> {
    let mut file = zonefile::read(text.as_bytes(), origin)?;
    let records = file.records.clone();
    file.leave_out_dnssec();
    let mut checked = zonefile::check(origin, file)?;
    for record in records {
        if record.rtype.is_of_signed_zone() {
            let ttl = record.ttl.expect("$TTL");
            let rrset = etcd::model::Rrset::new(record.rtype, ttl, vec![record.rdata]);
            checked
                .rrsets
                .insert((record.owner, record.rtype), rrset.expect("an RRset"));
        }
    }
    Ok(checked)
}

/// The view that a front-end would serve these zones from.
pub(crate) fn view<'z>(zones: impl IntoIterator<Item = (&'z Name, &'z Checked)>) -> View {
    let mut view = View::default();
    view.set_ready(true);
    for (apex, checked) in zones {
        view.put_zone(zone(apex, checked).into());
    }
    view
}

fn zone(apex: &Name, checked: &Checked) -> Zone {
    let mut contents = Contents::new(apex.clone());
    for ((owner, rtype), rrset) in &checked.rrsets {
        let rdata = rrset.rdata().iter().map(|rdata| rdata.wire());
        let rrset = Rrset::new(rrset.ttl(), rdata).expect("it was checked");
        assert!(contents.put(owner, *rtype, &rrset), "{owner} {rtype}");
    }
    let soa = &checked.settings.soa;
    let fields = SoaFields {
        mname: soa.mname.clone(),
        rname: soa.rname.clone(),
        serial: checked.serial,
        refresh: soa.refresh,
        retry: soa.retry,
        expire: soa.expire,
        minimum: soa.minimum,
        ttl: soa.ttl,
    };
    Zone::new(&fields, contents)
}

/// Answers a query as the server does; `octets_max` is the transport's limit, and over UDP the client's
/// counts, too.
pub(crate) fn respond(view: &View, octets: &[u8], is_udp: bool) -> Vec<u8> {
    const OURS: ServerEdns<'_> = ServerEdns {
        udp_size: 1232,
        nsid: b"",
        idle: None,
        pads: false,
        cookie: None,
    };
    let mut out = vec![0; 65_535];
    let len = match message::parse(octets) {
        Ok(query) => {
            let limit = if is_udp {
                query.udp_limit(1232)
            } else {
                65_535
            };
            let answer = resolve(view, &query.question());
            message::encode(&answer, &query, &OURS, limit, &mut out)
        }
        Err(Reject::Reply(refusal)) => message::encode_reject(&refusal, &OURS, &mut out),
        Err(Reject::Silent) => 0,
    };
    out.truncate(len);
    out
}
