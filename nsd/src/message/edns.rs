//! The OPT record (RFC 6891 6.1) and its options.

use core::time::Duration;

use super::writer::{Full, Writer};
use crate::zone::{Rcode, Zone};

/// The extended DNS error of a response (RFC 8914 2).
const EDE: u16 = 15;
/// The server's identity (RFC 5001 2.3).
const NSID: u16 = 3;
/// What proves that the client receives what is sent to its address (RFC 7873 4).
const COOKIE: u16 = 10;
/// How long a connection may be idle (RFC 7828 3.1).
const TCP_KEEPALIVE: u16 = 11;
/// Octets without meaning, which hide how long a message is (RFC 7830 3).
const PADDING: u16 = 12;
/// The version of the zone that answers (RFC 9660 2).
const ZONEVERSION: u16 = 19;

/// The length of an OPT record without options: root owner, type, class, TTL and rdata length.
const OPT_LEN: usize = 11;

/// The length of an option's code and length.
const OPTION_LEN: usize = 4;

/// The length of our COOKIE option: the client's part, and the server's (RFC 9018 4).
pub const COOKIE_LEN: usize = 8 + 16;

/// The length of a padded response is a multiple of this (RFC 8467 4.1).
const PADDED_BLOCK: usize = 468;

/// Whether a message seems to end in a COOKIE option as long as ours. Cheap, and for guesses only: the octets may be part
/// of something else.
pub fn may_end_in_cookie(octets: &[u8]) -> bool {
    let start = octets.len().checked_sub(COOKIE_LEN + OPTION_LEN);
    let head = start.and_then(|start| octets[start..].first_chunk());
    head == Some(&[0, COOKIE as u8, 0, COOKIE_LEN as u8])
}

/// The OPT record of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// The longest message that the client accepts over UDP, in octets, as it says.
    pub udp_size: u16,
    /// The EDNS version; queries with another one than 0 are rejected.
    pub version: u8,
    /// The DO bit: the client wants DNSSEC records (RFC 3225). The response repeats it.
    pub is_dnssec_ok: bool,
    /// Whether the client wants the server's identity (RFC 5001).
    pub wants_nsid: bool,
    /// Whether the client wants the response padded (RFC 7830).
    pub wants_padding: bool,
    /// Whether the client wants to know how long the connection may be idle (RFC 7828).
    pub wants_keepalive: bool,
    /// Whether the client wants the version of the zone that answers (RFC 9660).
    pub wants_zone_version: bool,
    /// The client's cookie, and the one that a server has given to it (RFC 7873).
    pub cookie: Option<Cookie>,
}

/// A COOKIE option (RFC 7873 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The client's part, which the response repeats.
    pub client: [u8; 8],
    /// The server's part.
    pub server: ServerCookie,
}

/// The server's part of a COOKIE option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCookie {
    /// There is none: the client does not have one yet.
    Absent,
    /// One that may be ours (RFC 9018 4).
    Given([u8; 16]),
    /// One of another length than ours.
    Foreign,
}

/// What our own OPT records say. What depends on the transport is here too, as messages do not know how they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerEdns<'o> {
    /// The longest message that we accept over UDP, in octets.
    pub udp_size: u16,
    /// The server's identity, for clients that ask (RFC 5001); empty to keep it secret.
    pub nsid: &'o [u8],
    /// How long the client's connection may be idle, for clients that ask; `None` on transports for which RFC 7828 does
    /// not define that.
    pub idle: Option<Duration>,
    /// Whether to pad responses for clients that ask: only on encrypted transports, where the length is all that others
    /// see (RFC 7830 6).
    pub pads: bool,
    /// The COOKIE option of this response: the client's part and ours.
    pub cookie: Option<[u8; COOKIE_LEN]>,
}

/// The version of the zone that answers: its SOA serial (RFC 9660 2.1).
#[derive(Clone, Copy)]
struct ZoneVersion {
    label_count: u8,
    serial: u32,
}

impl Edns {
    /// Parses an OPT record's class and TTL.
    #[inline]
    pub(super) fn of(class: u16, ttl: [u8; 4]) -> Self {
        let [_, version, flags, _] = ttl;
        Edns {
            udp_size: class,
            version,
            is_dnssec_ok: flags & 0x80 != 0,
            ..Edns::default()
        }
    }

    /// Parses the options in an OPT record's rdata. Returns false if one is malformed.
    #[inline(never)]
    pub(super) fn read_options(&mut self, mut rdata: &[u8]) -> bool {
        // Another version may mean another layout.
        while self.version == 0 && !rdata.is_empty() {
            let option = rdata.split_first_chunk().and_then(|([a, b, c, d], rest)| {
                let len = usize::from(u16::from_be_bytes([*c, *d]));
                let (value, rest) = rest.split_at_checked(len)?;
                Some((u16::from_be_bytes([*a, *b]), value, rest))
            });
            let Some((code, value, rest)) = option else {
                return false;
            };
            match code {
                NSID => self.wants_nsid = true,
                PADDING => self.wants_padding = true,
                // In queries these two are empty (RFC 7828 3.2.1, RFC 9660 2.1).
                TCP_KEEPALIVE | ZONEVERSION if !value.is_empty() => return false,
                TCP_KEEPALIVE => self.wants_keepalive = true,
                ZONEVERSION => self.wants_zone_version = true,
                // Others than the first are ignored (RFC 7873 5.2).
                COOKIE if self.cookie.is_none() => {
                    self.cookie = Cookie::parse(value);
                    if self.cookie.is_none() {
                        return false;
                    }
                }
                _ => {}
            }
            rdata = rest;
        }
        true
    }

    /// Whether the client asks for an option other than a cookie.
    fn wants_options(&self) -> bool {
        self.wants_nsid | self.wants_padding | self.wants_keepalive | self.wants_zone_version
    }
}

impl Cookie {
    /// Parses the option; `None` if it is malformed (RFC 7873 5.2.2).
    fn parse(value: &[u8]) -> Option<Self> {
        let (client, server) = value.split_first_chunk()?;
        Some(Cookie {
            client: *client,
            server: match server.len() {
                0 => ServerCookie::Absent,
                16 => ServerCookie::Given(server.try_into().ok()?),
                8..=32 => ServerCookie::Foreign,
                _ => return None,
            },
        })
    }
}

impl ZoneVersion {
    /// The version for a response from this zone.
    fn of(zone: &Zone) -> Self {
        ZoneVersion {
            // A name has 127 labels at most.
            label_count: zone.apex().label_count() as u8,
            serial: zone.serial(),
        }
    }
}

/// The OPT record of a response.
pub(super) struct OptRecord<'o> {
    udp_size: u16,
    rcode: Rcode,
    is_dnssec_ok: bool,
    nsid: &'o [u8],
    zone_version: Option<ZoneVersion>,
    idle: Option<Duration>,
    ede: Option<u16>,
    /// It is never left out: a client that expects it would take the response for a forged one.
    cookie: Option<&'o [u8; COOKIE_LEN]>,
    is_padded: bool,
    /// The length of all options without padding, counted once.
    options_len: usize,
}

impl<'o> OptRecord<'o> {
    /// The OPT record for the response to a query with `query`, from `zone`. If it does not fit into `room` octets,
    /// options are left out in this order: NSID, ZONEVERSION, the idle time, EDE; never the cookie.
    pub(super) fn new(
        query: &Edns,
        ours: &'o ServerEdns<'o>,
        rcode: Rcode,
        ede: Option<u16>,
        zone: Option<&Zone>,
        room: usize,
    ) -> Self {
        let mut record = OptRecord {
            udp_size: ours.udp_size,
            rcode,
            is_dnssec_ok: query.is_dnssec_ok,
            nsid: &[],
            zone_version: None,
            idle: None,
            ede,
            cookie: None,
            is_padded: false,
            options_len: if ede.is_some() { OPTION_LEN + 2 } else { 0 },
        };
        if query.wants_options() || ours.cookie.is_some() {
            record.add_options(query, ours, zone);
        }
        if record.len() > room {
            record.leave_out(room);
        }
        record
    }

    /// Adds what the client asks for, and the cookie. Most ask for nothing, and do not pay for it.
    #[inline(never)]
    fn add_options(&mut self, query: &Edns, ours: &'o ServerEdns<'o>, zone: Option<&Zone>) {
        if query.wants_nsid {
            self.nsid = ours.nsid;
        }
        if query.wants_zone_version && self.rcode != Rcode::REFUSED {
            self.zone_version = zone.map(ZoneVersion::of);
        }
        if query.wants_keepalive {
            self.idle = ours.idle;
        }
        self.cookie = ours.cookie.as_ref();
        self.is_padded = query.wants_padding && ours.pads;
        self.options_len = self.count_options();
    }

    #[cold]
    fn leave_out(&mut self, room: usize) {
        let steps: [fn(&mut Self); 4] = [
            |record| record.nsid = &[],
            |record| record.zone_version = None,
            |record| record.idle = None,
            |record| record.ede = None,
        ];
        for step in steps {
            step(self);
            self.options_len = self.count_options();
            if self.len() <= room {
                return;
            }
        }
    }

    fn count_options(&self) -> usize {
        let nsid = if self.nsid.is_empty() {
            0
        } else {
            OPTION_LEN + self.nsid.len()
        };
        let numbers =
            if self.idle.is_some() { 6 } else { 0 } + if self.ede.is_some() { 6 } else { 0 };
        let zone_version = if self.zone_version.is_some() { 10 } else { 0 };
        let cookie = if self.cookie.is_some() {
            OPTION_LEN + COOKIE_LEN
        } else {
            0
        };
        nsid + numbers + zone_version + cookie
    }

    /// The length in octets without padding: the room to reserve for this record. Padding takes only what the other
    /// records leave.
    pub(super) fn len(&self) -> usize {
        OPT_LEN + self.options_len
    }

    /// Writes the record. `tail` octets will follow it, and count for the padding.
    pub(super) fn write(&self, out: &mut Writer<'_>, tail: usize) -> Result<(), Full> {
        let flags = if self.is_dnssec_ok { 0x80 } else { 0 };
        let mut rdata_len = self.options_len;
        let mut padding = None;
        if self.is_padded {
            let len = self.len() + tail;
            padding = padding_len(out.len() + len, out.room().saturating_sub(len));
            rdata_len += padding.map_or(0, |padding| OPTION_LEN + padding);
        }
        let ([a, b], [c, d]) = (
            self.udp_size.to_be_bytes(),
            (rdata_len as u16).to_be_bytes(),
        );
        let rcode = (self.rcode.0 >> 4) as u8;
        out.put(&[0, 0, 41, a, b, rcode, 0, flags, 0, c, d])?;
        if rdata_len > 0 {
            self.write_options(out, padding)?;
        }
        Ok(())
    }

    fn write_options(&self, out: &mut Writer<'_>, padding: Option<usize>) -> Result<(), Full> {
        if !self.nsid.is_empty() {
            put_option(out, NSID, self.nsid)?;
        }
        if let Some(cookie) = self.cookie {
            put_option(out, COOKIE, cookie)?;
        }
        if let Some(version) = self.zone_version {
            // Type 0 is the SOA serial (RFC 9660 2.1).
            let ([a, b, c, d], labels) = (version.serial.to_be_bytes(), version.label_count);
            put_option(out, ZONEVERSION, &[labels, 0, a, b, c, d])?;
        }
        if let Some(idle) = self.idle {
            let tenths = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
            put_number(out, TCP_KEEPALIVE, tenths)?;
        }
        if let Some(code) = self.ede {
            put_number(out, EDE, code)?;
        }
        if let Some(padding) = padding {
            out.put_u16(PADDING)?;
            out.put_u16(padding as u16)?;
            out.put_zeros(padding)?;
        }
        Ok(())
    }
}

/// How many octets of padding to put after a message of `len` octets (its OPT record included), if `room` octets are
/// free behind it: as many as make it a multiple of [`PADDED_BLOCK`], or else fill the room. `None` without room for the option.
fn padding_len(len: usize, room: usize) -> Option<usize> {
    let least = len + OPTION_LEN;
    let padded = least.next_multiple_of(PADDED_BLOCK).min(len + room);
    padded.checked_sub(least)
}

fn put_number(out: &mut Writer<'_>, code: u16, value: u16) -> Result<(), Full> {
    let ([a, b], [c, d]) = (code.to_be_bytes(), value.to_be_bytes());
    out.put(&[a, b, 0, 2, c, d])
}

fn put_option(out: &mut Writer<'_>, code: u16, value: &[u8]) -> Result<(), Full> {
    out.put_u16(code)?;
    out.put_u16(value.len() as u16)?;
    out.put(value)
}
