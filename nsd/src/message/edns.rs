//! The OPT record (RFC 6891 6.1) and its options.

use super::writer::{Full, Writer};
use crate::zone::Rcode;

/// Option codes (RFC 5001, RFC 8914).
const NSID: u16 = 3;
const EDE: u16 = 15;

/// The length of an OPT record without options: root owner, type, class, TTL and rdata length.
const OPT_LEN: usize = 11;

/// The OPT record of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The longest message that the client accepts over UDP, in octets, as it says.
    pub udp_size: u16,
    /// The EDNS version; queries with another one than 0 are rejected.
    pub version: u8,
    /// The DO bit: the client wants DNSSEC records (RFC 3225). The response repeats it.
    pub is_dnssec_ok: bool,
    /// Whether the client wants the server's identity (RFC 5001).
    pub wants_nsid: bool,
}

/// What our own OPT records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerEdns<'o> {
    /// The longest message that we accept over UDP, in octets.
    pub udp_size: u16,
    /// The server's identity, for clients that ask (RFC 5001); empty to keep it secret.
    pub nsid: &'o [u8],
}

impl Edns {
    /// Parses an OPT record's class, TTL and rdata. Also returns whether all options could be read. If not, the
    /// response needs an OPT record all the same (RFC 6891 6.1.1).
    #[inline]
    pub(super) fn parse(class: u16, ttl: [u8; 4], mut rdata: &[u8]) -> (Self, bool) {
        let [_, version, flags, _] = ttl;
        let is_dnssec_ok = flags & 0x80 != 0;
        let mut edns = Edns {
            udp_size: class,
            version,
            is_dnssec_ok,
            wants_nsid: false,
        };
        // Another version may mean another layout.
        while version == 0 && !rdata.is_empty() {
            let option = rdata.split_first_chunk().and_then(|([a, b, c, d], rest)| {
                let len = usize::from(u16::from_be_bytes([*c, *d]));
                Some((u16::from_be_bytes([*a, *b]), rest.get(len..)?))
            });
            let Some((code, rest)) = option else {
                return (edns, false);
            };
            edns.wants_nsid |= code == NSID;
            rdata = rest;
        }
        (edns, true)
    }
}

/// The OPT record of a response.
pub(super) struct OptRecord<'o> {
    udp_size: u16,
    rcode: Rcode,
    is_dnssec_ok: bool,
    nsid: &'o [u8],
    ede: Option<u16>,
}

impl<'o> OptRecord<'o> {
    /// The OPT record for the response to a query with `query`. If it does not fit into `room` octets, NSID is left
    /// out, then EDE.
    pub(super) fn new(
        query: Edns,
        ours: &ServerEdns<'o>,
        rcode: Rcode,
        ede: Option<u16>,
        room: usize,
    ) -> Self {
        let nsid = if query.wants_nsid { ours.nsid } else { &[] };
        let is_dnssec_ok = query.is_dnssec_ok;
        let mut record = OptRecord {
            udp_size: ours.udp_size,
            rcode,
            is_dnssec_ok,
            nsid,
            ede,
        };
        if record.len() > room {
            record.nsid = &[];
        }
        if record.len() > room {
            record.ede = None;
        }
        record
    }

    fn nsid_len(&self) -> usize {
        if self.nsid.is_empty() {
            0
        } else {
            4 + self.nsid.len()
        }
    }

    fn ede_len(&self) -> usize {
        if self.ede.is_some() { 6 } else { 0 }
    }

    /// The length in octets, to reserve for it.
    pub(super) fn len(&self) -> usize {
        OPT_LEN + self.nsid_len() + self.ede_len()
    }

    /// Writes the record.
    pub(super) fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        let flags = if self.is_dnssec_ok { 0x80 } else { 0 };
        let rdata_len = (self.nsid_len() + self.ede_len()) as u16;
        let ([a, b], [c, d]) = (self.udp_size.to_be_bytes(), rdata_len.to_be_bytes());
        let rcode = (self.rcode.0 >> 4) as u8;
        out.put(&[0, 0, 41, a, b, rcode, 0, flags, 0, c, d])?;
        if !self.nsid.is_empty() {
            out.put_u16(NSID)?;
            out.put_u16(self.nsid.len() as u16)?;
            out.put(self.nsid)?;
        }
        if let Some(code) = self.ede {
            out.put_u16(EDE)?;
            out.put_u16(2)?;
            out.put_u16(code)?;
        }
        Ok(())
    }
}
