//! The zones that are held back, for `nsctl held export`.
//!
//! A zone is written from a copy that shares its memory with the view, chunk by chunk as the client reads. So a long zone
//! or a slow client costs a few chunks, and 16 octets a name to sort the names; nobody else waits.

use std::convert::Infallible;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use etcd::client::Exported;
use etcd::schema::HeldZone;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::Shared;
use crate::mirror::Builder;
use crate::model::zonefile::write_soa;
use crate::model::{Name, Rdata, Rtype, ZoneSettings};
use crate::zone::{Contents, RrsetRef};

/// How many zones may be written at the same time.
static WRITERS: Semaphore = Semaphore::const_new(4);

/// The size of a chunk, about, in octets.
const CHUNK: usize = 64 << 10;

/// How many chunks may wait for a client to take them.
const CHUNKS: usize = 4;

/// How long a client may take to make room for a chunk.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub(super) struct ZoneQuery {
    zone: Name,
}

/// The first `limit` of the zones that are held back.
pub(super) fn zones(builder: &Builder, limit: usize) -> Vec<HeldZone> {
    let zones = builder.held_zones().take(limit);
    let zones = zones.map(|(apex, loss)| HeldZone {
        zone: apex.clone(),
        gone: loss.gone as u64,
        of: loss.of as u64,
    });
    zones.collect()
}

/// `/held`: all of them.
pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Vec<HeldZone>>, StatusCode> {
    let all = |builder: &Builder| zones(builder, usize::MAX);
    shared.read(all).await.map(Json)
}

/// `/held/zone?zone=NAME`: the zone as it is served, as a master file. Its last line is a comment. A file without it is not
/// complete.
pub(super) async fn zone(State(shared): State<Shared>, Query(query): Query<ZoneQuery>) -> Response {
    let Ok(permit) = WRITERS.try_acquire() else {
        let reason = "other zones are being written: try again\n";
        return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
    };
    let (id, apex) = (shared.id.clone(), query.zone);
    let reason = format!("{apex} is not held back\n");
    let cluster_id = shared.served.standing.borrow().cluster_id;
    let read = move |builder: &Builder| {
        let (settings, serial, contents) = builder.held_zone(&apex)?;
        // It becomes a comment in the file, by which an import notices what `nsctl` has changed since.
        let exported = cluster_id.zip(builder.revision());
        let exported = exported.map(|(cluster_id, revision)| Exported {
            zone: apex,
            revision,
            cluster_id,
            prefix: builder.prefix().clone(),
        });
        Some((settings, serial, contents, exported))
    };
    let (settings, serial, contents, exported) = match shared.read(read).await {
        Ok(Some(found)) => found,
        Ok(None) => return (StatusCode::NOT_FOUND, reason).into_response(),
        Err(code) => return code.into_response(),
    };
    let (sender, chunks) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut out = Chunks {
            text: String::new(),
            sender,
        };
        // It fails if the client goes away, and then nobody needs the rest.
        let settings = (&settings, serial);
        let _ = write(&mut out, &id, exported.as_ref(), settings, &contents);
    });
    let kind = "text/dns; charset=utf-8";
    let body = Body::from_stream(ReceiverStream::new(chunks));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Text that is sent to a client in chunks.
struct Chunks {
    text: String,
    sender: mpsc::Sender<Result<String, Infallible>>,
}

impl Chunks {
    fn send(&mut self) -> fmt::Result {
        let chunk = Ok(std::mem::take(&mut self.text));
        let sent = self.sender.send_timeout(chunk, PATIENCE);
        Handle::current().block_on(sent).map_err(|_| fmt::Error)
    }
}

impl Write for Chunks {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        match self.text.len() < CHUNK {
            true => Ok(()),
            false => self.send(),
        }
    }
}

/// Writes a zone, in canonical order.
fn write(
    out: &mut Chunks,
    id: &Arc<str>,
    exported: Option<&Exported>,
    (settings, serial): (&ZoneSettings, u32),
    contents: &Contents,
) -> fmt::Result {
    let apex = contents.apex();
    writeln!(
        out,
        "; {apex} as the front-end {id} serves it; etcd has lost part of it"
    )?;
    if let Some(exported) = exported {
        writeln!(out, "{exported}")?;
    }
    write_soa(out, apex, settings, serial)?;
    let mut records = 1;
    for (owner, rtype, rrset) in contents.iter_canonical() {
        records += usize::from(rrset.count);
        write_rrset(out, &owner, rtype, rrset)?;
    }
    writeln!(out, "; end of {apex}: {records} records")?;
    out.send()
}

fn write_rrset(out: &mut Chunks, owner: &Name, rtype: Rtype, rrset: RrsetRef<'_>) -> fmt::Result {
    for rdata in rrset.rdata() {
        let text = Rdata::from_wire(rtype, rdata)
            .map_err(|_| fmt::Error)?
            .text(rtype);
        writeln!(out, "{owner} {} IN {rtype} {text}", rrset.ttl)?;
    }
    Ok(())
}
