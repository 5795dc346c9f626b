//! `zone export`.

use etcd::client::Exported;
use etcd::model::{Name, zonefile};

use crate::context::Context;
use crate::error::Error;
use crate::output;

pub(super) async fn export(context: &Context, apex: &Name) -> Result<(), Error> {
    let (text, _) = master_file(context, apex).await?;
    output::print(&text)
}

/// A zone as a master file, with its origin in a comment.
pub(super) async fn master_file(
    context: &Context,
    apex: &Name,
) -> Result<(String, Exported), Error> {
    // First: what is read before a restore must not seem to be of the cluster after it.
    let cluster_id = context.store().head().await?.cluster_id;
    let read = context.existing_zone(apex).await?;
    let serial = context.store().serial(&read).await?;
    let rrsets = context.store().content(&read).await??;
    let exported = Exported {
        zone: apex.clone(),
        revision: read.as_of,
        cluster_id,
        prefix: context.store().prefix().clone(),
    };
    let mut text = format!("{exported}\n");
    zonefile::write(&mut text, apex, &read.settings, serial, &rrsets).map_err(Error::failed)?;
    Ok((text, exported))
}
