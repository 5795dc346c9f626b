//! Records of a generation that was replaced, kept for a rollback: in a few compressed values, outside of what front-ends
//! mirror.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::ValueError;
use super::value::StoredRrset;
use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rrset, Rtype};

/// The most octets of a value before it is compressed.
const CHUNK: usize = 1 << 20;

/// The most octets that a value may have when it is read: others may have written it.
const CHUNK_MAX: u64 = 64 << 20;

/// The form of a value in etcd, before it is compressed.
#[derive(Serialize, Deserialize)]
struct StoredChunk<'a> {
    /// The number of values that the generation has.
    chunks: u32,
    #[serde(borrow)]
    rrsets: Vec<StoredOwned<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredOwned<'a> {
    owner: Name,
    #[serde(rename = "type")]
    rtype: String,
    #[serde(borrow)]
    rrset: StoredRrset<'a>,
}

/// A part of a generation.
#[derive(Debug)]
pub struct Chunk {
    /// The number of parts.
    pub chunks: u32,
    /// The RRsets.
    pub rrsets: Vec<((Name, Rtype), Rrset)>,
}

/// The values in which a generation is kept.
pub fn encode_archive(rrsets: &Rrsets) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<StoredOwned<'_>>> = vec![Vec::new()];
    let mut octets = 0;
    for ((owner, rtype), rrset) in rrsets {
        octets += rrset
            .rdata()
            .iter()
            .map(|rdata| rdata.wire().len() + 60)
            .sum::<usize>();
        if octets > CHUNK {
            parts.push(Vec::new());
            octets = 0;
        }
        let stored = StoredOwned {
            owner: owner.clone(),
            rtype: rtype.in_key(),
            rrset: StoredRrset::of(*rtype, rrset),
        };
        if let Some(part) = parts.last_mut() {
            part.push(stored);
        }
    }
    let chunks = parts.len() as u32;
    let parts = parts.into_iter();
    parts
        .map(|rrsets| compressed(&super::value::json(&StoredChunk { chunks, rrsets })))
        .collect()
}

fn compressed(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// Reads a part of a generation.
pub fn decode_archive(value: &[u8]) -> Result<Chunk, ValueError> {
    let mut text = Vec::new();
    let read = ZlibDecoder::new(value)
        .take(CHUNK_MAX)
        .read_to_end(&mut text);
    read.map_err(|error| ValueError::json(serde_json::Error::io(error)))?;
    let stored: StoredChunk<'_> = serde_json::from_slice(&text).map_err(ValueError::json)?;
    let rrset = |stored: StoredOwned<'_>| {
        let rtype = stored
            .rtype
            .parse()
            .map_err(|_| ValueError::Type(stored.rtype.clone()))?;
        Ok(((stored.owner, rtype), stored.rrset.read(rtype)?))
    };
    let rrsets: Result<_, ValueError> = stored.rrsets.into_iter().map(rrset).collect();
    Ok(Chunk {
        chunks: stored.chunks,
        rrsets: rrsets?,
    })
}
