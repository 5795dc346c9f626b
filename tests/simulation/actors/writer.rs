use std::collections::BTreeMap;

use etcd::client::{ChangeError, Config, Exported, ImportHow, ImportMode, Store};
use etcd::model::zonefile::Checked;
use etcd::model::{
    Change as ModelChange, Edit as ModelEdit, Rdata, Rrset, Rtype, Update, ZoneSettings,
};
use etcd::txn::{Moment, Overlap};

use super::client::store;
use super::names::{address, alias, name_server, owner_name, prerequisite, zone_name};
use crate::schedule::{Change, Edit, How};

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is made at this revision, or there was nothing to change.
    Done { revision: i64, written: bool },
    /// What the store holds does not allow it.
    Refused(String),
    /// Nothing was written.
    NotWritten(String),
    /// It may have been made, in part or as a whole.
    Unknown,
}

impl End {
    fn of(error: &ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => End::Refused(refusal.to_string()),
            ChangeError::Conflict { .. } | ChangeError::NotWritten(_) => {
                End::NotWritten(error.to_string())
            }
            ChangeError::LeftStaged(error, _) => End::of(error),
            ChangeError::Unknown(_) | ChangeError::Partly(_) | ChangeError::SomeZones(..) => {
                End::Unknown
            }
        }
    }
}

/// The label of what adds the zones that there are at the start.
pub(crate) const PREPARATIONS: &str = "the preparations";

/// Adds the zones that there are at the start.
pub(crate) async fn prepare(writer: &Writer) {
    let store = store(&writer.config, PREPARATIONS);
    for zone in 0..2 {
        let (apex, settings, servers) = (zone_name(zone), writer.settings(), [name_server()]);
        let added = store.zone_add(&apex, &settings, &servers, Overlap::Refuse);
        added.await.expect("nothing goes wrong yet");
    }
}

/// One who makes changes.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) config: Config,
    /// How many entries the journals of zones keep that it adds.
    pub(crate) journal_entries: Option<u32>,
}

impl Writer {
    fn settings(&self) -> ZoneSettings {
        let name = zone_name(1);
        ZoneSettings {
            journal_entries: self.journal_entries,
            ..ZoneSettings::new(name.clone(), name)
        }
    }

    /// Makes a change that has this label.
    pub(crate) async fn make(&self, label: &str, change: &Change) -> End {
        match self.try_to_make(&store(&self.config, label), change).await {
            Ok((revision, written)) => End::Done { revision, written },
            Err(error) => End::of(&error),
        }
    }

    /// Makes a change. Returns its revision, and whether anything had to be written.
    async fn try_to_make(
        &self,
        store: &Store,
        change: &Change,
    ) -> Result<(i64, bool), ChangeError> {
        match change {
            Change::Edits { required, edits } => {
                let update = Update {
                    prerequisites: required.iter().copied().map(prerequisite).collect(),
                    edits: edits.iter().map(edit).collect(),
                };
                let changed = store.update(None, &update, &|_| {}).await?;
                let written = changed.iter().any(|changed| changed.written);
                let all = changed.iter().filter(|changed| changed.written == written);
                let revisions = all.map(|changed| changed.revision);
                Ok((revisions.max().unwrap_or(0), written))
            }
            Change::ZoneSet { zone, ttl } => {
                let set = |settings: &mut ZoneSettings| settings.default_ttl = *ttl;
                store.zone_set(&zone_name(*zone), set).await
            }
            Change::ZoneAdd { zone } => {
                let (apex, settings, servers) =
                    (zone_name(*zone), self.settings(), [name_server()]);
                let added = store.zone_add(&apex, &settings, &servers, Overlap::Move);
                added.await.map(|added| (added.revision, added.changed))
            }
            Change::ZoneRemove { zone } => {
                let removed = store.zone_remove(&zone_name(*zone), false).await?;
                Ok(removed.map_or((0, false), |removed| (removed.revision, true)))
            }
            Change::Import {
                zone,
                mode,
                names,
                address,
            } => {
                let file = self.file(*zone, *names, *address);
                let how = ImportHow::new(*mode);
                let imported = store
                    .import(&zone_name(*zone), &file, &how, &|_| {})
                    .await?;
                Ok((imported.revision, imported.changed))
            }
            Change::Rollback { zone, part } => rollback(store, *zone, *part).await,
            Change::Clean { zone } => clean(store, *zone).await.map_err(ChangeError::NotWritten),
        }
    }

    /// A zone file of some names with the same address.
    fn file(&self, zone: usize, names: usize, last: u8) -> Checked {
        let rrset = |rtype, rdata: Rdata| Rrset::new(rtype, 60, vec![rdata]).expect("an RRset");
        let servers = (
            (zone_name(zone), Rtype::NS),
            rrset(Rtype::NS, name_server()),
        );
        let hosts = (0..names).map(|owner| {
            let place = (owner_name(zone, owner), Rtype::A);
            (place, rrset(Rtype::A, address(last)))
        });
        Checked {
            settings: self.settings(),
            serial: 1,
            rrsets: BTreeMap::from_iter(hosts.chain([servers])),
            warnings: Vec::new(),
        }
    }
}

/// Makes a zone what it was at a part of the newest revision. Nothing is written if the journal does not tell, or there was no zone.
async fn rollback(store: &Store, zone: usize, part: f64) -> Result<(i64, bool), ChangeError> {
    let apex = zone_name(zone);
    // First: if etcd is restored from now on, nothing is written.
    let head = store.head().await.map_err(ChangeError::NotWritten)?;
    let newest = store.zone_past(&apex, Moment::Revision(i64::MAX)).await;
    let Ok(newest) = newest.map_err(ChangeError::NotWritten)? else {
        return Ok((0, false));
    };
    let then = Moment::Revision((newest.as_of as f64 * part) as i64);
    let found = store.zone_past(&apex, then).await;
    let Ok(found) = found.map_err(ChangeError::NotWritten)? else {
        return Ok((0, false));
    };
    let Some(settings) = found.past.settings else {
        return Ok((0, false));
    };
    let file = Checked {
        serial: settings.serial(found.revision),
        settings,
        rrsets: found.past.rrsets,
        warnings: Vec::new(),
    };
    let how = ImportHow {
        mode: ImportMode::Restore,
        overlap: Overlap::Refuse,
        exported: Some(Exported {
            zone: apex.clone(),
            revision: newest.as_of,
            cluster_id: head.cluster_id,
            prefix: store.prefix().clone(),
        }),
    };
    let imported = store.import(&apex, &file, &how, &|_| {}).await?;
    Ok((imported.revision, imported.changed))
}

/// Deletes all generations of a zone that are not served.
async fn clean(store: &Store, zone: usize) -> Result<(i64, bool), etcd::client::StoreError> {
    let apex = zone_name(zone);
    let served = store.zone(&apex).await?.1;
    let served = served.map(|read| read.settings.generation);
    store.archive_missing(&apex).await?;
    let swept = store.sweep(&apex, |other| Some(other) != served);
    Ok((0, swept.await? > 0))
}

fn edit(edit: &Edit) -> ModelEdit {
    let (rtype, rdata) = (Rtype::A, vec![address(edit.address)]);
    let ttl = Some(60 + u32::from(edit.address % 2));
    ModelEdit {
        owner: owner_name(edit.zone, edit.owner),
        change: match edit.how {
            How::Add => ModelChange::Add { rtype, ttl, rdata },
            How::Set => ModelChange::Set { rtype, ttl, rdata },
            How::Remove => ModelChange::Remove {
                rtype: Some(rtype),
                rdata,
            },
            How::RemoveAll => ModelChange::Remove {
                rtype: None,
                rdata: Vec::new(),
            },
            How::AddAlias => ModelChange::Add {
                rtype: Rtype::CNAME,
                ttl,
                rdata: vec![alias()],
            },
        },
    }
}
