use std::collections::BTreeMap;

use etcd::client::{ChangeError, Config, ImportHow, Imported, Store, StoreError};
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

/// A change that is made, or was not necessary.
struct Done {
    revision: i64,
    /// Whether anything had to be written.
    written: bool,
    /// Whether records are left that nobody serves.
    leaves: bool,
}

impl Done {
    fn new(revision: i64, written: bool) -> Self {
        Done {
            revision,
            written,
            leaves: false,
        }
    }

    fn of(imported: &Imported) -> Self {
        Done {
            leaves: imported.leftover.is_some(),
            ..Done::new(imported.revision, imported.changed)
        }
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

    /// Makes a change that has this label. Also returns whether it may have left records in the store that nobody serves.
    pub(crate) async fn make(&self, label: &str, change: &Change) -> (End, bool) {
        match self.try_to_make(&store(&self.config, label), change).await {
            Ok(done) => {
                let (revision, written) = (done.revision, done.written);
                (End::Done { revision, written }, done.leaves)
            }
            Err(error) => {
                let end = End::of(&error);
                let leaves = matches!(error, ChangeError::LeftStaged(..)) || end == End::Unknown;
                (end, leaves)
            }
        }
    }

    async fn try_to_make(&self, store: &Store, change: &Change) -> Result<Done, ChangeError> {
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
                Ok(Done {
                    revision: revisions.max().unwrap_or(0),
                    written,
                    leaves: changed.iter().any(|changed| changed.leftover.is_some()),
                })
            }
            Change::ZoneSet { zone, ttl } => {
                let set = |settings: &mut ZoneSettings| settings.default_ttl = *ttl;
                let (revision, written) = store.zone_set(&zone_name(*zone), set).await?;
                Ok(Done::new(revision, written))
            }
            Change::ZoneAdd { zone } => {
                let (apex, settings, servers) =
                    (zone_name(*zone), self.settings(), [name_server()]);
                let added = store.zone_add(&apex, &settings, &servers, Overlap::Move);
                added
                    .await
                    .map(|added| Done::new(added.revision, added.changed))
            }
            Change::ZoneRemove { zone } => {
                let removed = store.zone_remove(&zone_name(*zone), false).await?;
                Ok(removed.map_or(Done::new(0, false), |removed| Done {
                    leaves: removed.leftover.is_some(),
                    ..Done::new(removed.revision, true)
                }))
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
                Ok(Done::of(&imported))
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
async fn rollback(store: &Store, zone: usize, part: f64) -> Result<Done, ChangeError> {
    let apex = zone_name(zone);
    let head = store.head().await.map_err(ChangeError::NotWritten)?;
    let moment = match part < 1.0 {
        true => Moment::Revision((head.store_revision as f64 * part) as i64),
        false => Moment::Now,
    };
    let found = store.rollback(&apex, moment).await;
    let Ok(found) = found.map_err(ChangeError::NotWritten)? else {
        return Ok(Done::new(0, false));
    };
    let Some((file, how)) = found.import(store, &apex, Overlap::Refuse) else {
        return Ok(Done::new(0, false));
    };
    let imported = store.import(&apex, &file, &how, &|_| {}).await?;
    Ok(Done::of(&imported))
}

/// Deletes all generations of a zone that are not served.
async fn clean(store: &Store, zone: usize) -> Result<Done, StoreError> {
    let apex = zone_name(zone);
    let served = store.zone(&apex).await?.1;
    let served = served.map(|read| read.settings.generation);
    store.archive_missing(&apex).await?;
    let swept = store.sweep(&apex, |other| Some(other) != served);
    Ok(Done::new(0, swept.await? > 0))
}

fn edit(edit: &Edit) -> ModelEdit {
    let (rtype, rdata) = (Rtype::A, vec![address(edit.address)]);
    let ttl = Some(60 + u32::from(edit.address % 2));
    ModelEdit {
        default_ttl: None,
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
