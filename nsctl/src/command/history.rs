//! `history`.

use etcd::client::{Journal, Since};
use etcd::model::zonefile::{self, Rrsets};
use etcd::model::{Name, Rrset, Rtype, ZoneSettings};
use etcd::schema::{JournalEntry, RrsetChange};
use etcd::txn::Recorded;
use jiff::Timestamp;
use serde::Serialize;

use super::change::{difference_lines, settings_differences};
use crate::arguments::{History, Output};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Number of lines about one change that people read.
const LINES_MAX: usize = 12;

/// A change as programs read it.
#[derive(Serialize)]
pub(super) struct ChangeRow {
    zone: String,
    revision: i64,
    at: String,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    via: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Whether all records were replaced: then `changes` is empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replaced: bool,
    /// Old and new settings, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsRow>,
    changes: Vec<RrsetRow>,
    /// Whether more RRsets changed, too many for the journal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    omitted: bool,
}

#[derive(Serialize)]
struct SettingsRow {
    old: Option<ZoneSettings>,
    new: Option<ZoneSettings>,
}

#[derive(Serialize)]
struct RrsetRow {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    old: Option<SetRow>,
    new: Option<SetRow>,
}

#[derive(Serialize)]
struct SetRow {
    ttl: u32,
    rdata: Vec<String>,
}

pub(super) async fn history(context: &Context, history: History) -> Result<(), Error> {
    let since = history.since.unwrap_or(Since::Revision(0));
    let (journal, all) = match &history.subject.name {
        None => {
            let (zone, limit) = (history.subject.zone.as_ref(), history.limit);
            let store = context.store();
            store.recent_journal(zone, since, limit, None).await?
        }
        Some(name) => {
            let mut journal = around(context, name, since, None).await?;
            let all = journal.entries.len();
            journal.entries.truncate(history.limit);
            (journal, all)
        }
    };
    let Journal {
        entries,
        unreadable,
        ..
    } = journal;
    output::report_unreadable(&unreadable);
    if let Some(zone) = history.subject.zone.as_ref().filter(|_| entries.is_empty()) {
        // No changes, or a name that is mistyped.
        context.existing_zone(zone).await?;
    }
    match context.output {
        Output::Json => {
            let rows: Vec<ChangeRow> = entries.iter().map(ChangeRow::from).collect();
            output::json(&rows)
        }
        Output::Table => {
            let name = history.subject.name.as_ref();
            let rows = entries.iter().flat_map(|one| rows(one, name)).collect();
            output::table(
                &["REVISION", "TIME", "BY", "WITH", "CHANGE"],
                rows,
                "no changes",
            )?;
            if all > entries.len() {
                output::note(&format!(
                    "{} older changes are not shown (--limit {})",
                    all - entries.len(),
                    history.limit
                ));
            }
            Ok(())
        }
    }
}

/// The changes at a name since a moment, in all zones that hold it or have held it; at a revision if one is given.
pub(super) async fn around(
    context: &Context,
    name: &Name,
    since: Since,
    as_of: Option<i64>,
) -> Result<Journal, Error> {
    let mut all = Journal {
        revision: as_of.unwrap_or(0),
        ..Journal::default()
    };
    let is_meant =
        |one: &Recorded| since.includes(one.revision, one.entry.at) && is_about(&one.entry, name);
    for zone in name.ancestors() {
        let revision = Some(all.revision).filter(|revision| *revision > 0);
        let journal = context.store().journal(Some(&zone), revision).await?;
        all.revision = journal.revision;
        all.unreadable.extend(journal.unreadable);
        let entries = journal.entries.into_iter();
        all.entries.extend(entries.filter(is_meant));
    }
    all.entries
        .sort_by_key(|one| std::cmp::Reverse(one.revision));
    Ok(all)
}

/// Whether a change may have changed the records at a name.
pub(super) fn is_about(entry: &JournalEntry, name: &Name) -> bool {
    let generation = |settings: &Option<ZoneSettings>| settings.as_ref().map(|one| one.generation);
    let settings = entry.settings.as_ref();
    settings.is_some_and(|change| generation(&change.old) != generation(&change.new))
        || entry.omits_rrsets
        || entry.rrsets.iter().any(|change| change.owner == *name)
}

/// A change as rows for people: the first one has who and when, each one a line of what.
fn rows(recorded: &Recorded, name: Option<&Name>) -> Vec<Vec<String>> {
    let rest = std::iter::repeat_with(|| [const { String::new() }; 4]);
    let heads = std::iter::once(head(recorded)).chain(rest);
    heads
        .zip(body(recorded, name))
        .map(|(head, line)| head.into_iter().chain([line]).collect())
        .collect()
}

/// Revision, time, author and command of a change.
pub(super) fn head(recorded: &Recorded) -> [String; 4] {
    let author = &recorded.entry.author;
    let by = match &author.user {
        Some(user) => format!("{} ({user})", author.by),
        None => author.by.clone(),
    };
    [
        recorded.revision.to_string(),
        time(recorded.entry.at),
        by,
        author.via.clone(),
    ]
}

/// Why a change was made and what it changed, a line each: at least one.
pub(super) fn body(recorded: &Recorded, name: Option<&Name>) -> Vec<String> {
    let entry = &recorded.entry;
    let mut lines = lines(recorded, name);
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 1 {
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more (-o json)"));
    }
    if entry.omits_rrsets {
        lines.push("more records, too many for the journal".into());
    }
    if let Some(why) = &entry.author.why {
        lines.insert(0, format!("# {why}"));
    }
    if lines.is_empty() {
        lines.push("nothing that is served".into());
    }
    lines
}

/// What a change changed, a line each.
pub(super) fn lines(recorded: &Recorded, name: Option<&Name>) -> Vec<String> {
    let Recorded { zone, entry, .. } = recorded;
    let mut lines = Vec::new();
    if let Some(settings) = &entry.settings {
        match (&settings.old, &settings.new) {
            (None, Some(_)) => lines.push(format!("zone {zone} added")),
            (_, None) => lines.push(format!("zone {zone} removed")),
            (Some(old), Some(new)) => {
                if old.generation != new.generation {
                    lines.push(format!("all records of {zone} replaced"));
                }
                let differences = settings_differences(old, new).lines();
                lines.extend(differences.lines().map(String::from));
                if old.serial_base != new.serial_base {
                    let raised = new.serial_base.wrapping_sub(old.serial_base);
                    lines.push(format!("~ serial raised by {raised}"));
                }
            }
        }
    }
    let is_meant = |change: &&RrsetChange| name.is_none_or(|name| change.owner == *name);
    let changes = entry.rrsets.iter().filter(is_meant);
    let (mut old, mut new) = (Rrsets::new(), Rrsets::new());
    for change in changes {
        let place = (change.owner.clone(), change.rtype);
        let insert = |into: &mut Rrsets, rrset: &Option<Rrset>| {
            into.extend(rrset.clone().map(|rrset| (place.clone(), rrset)));
        };
        insert(&mut old, &change.old);
        insert(&mut new, &change.new);
        if change.was_unreadable {
            let (owner, rtype) = (&change.owner, change.rtype);
            lines.push(format!("- {owner} {rtype}, whose value could not be read"));
        }
    }
    let differences = difference_lines(&zonefile::diff(&old, &new));
    lines.extend(differences.lines().map(String::from));
    lines
}

/// A time in UTC.
pub(super) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    match Timestamp::from_millisecond(millis) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => "an unknown time".into(),
    }
}

impl From<&Recorded> for ChangeRow {
    fn from(recorded: &Recorded) -> Self {
        let JournalEntry {
            at,
            author,
            settings,
            rrsets,
            omits_rrsets,
        } = &recorded.entry;
        ChangeRow {
            zone: recorded.zone.to_string(),
            revision: recorded.revision,
            at: time(*at),
            by: author.by.clone(),
            user: author.user.clone(),
            via: author.via.clone(),
            why: author.why.clone(),
            replaced: recorded.replaced().is_some(),
            settings: settings.as_ref().map(|settings| SettingsRow {
                old: settings.old.clone(),
                new: settings.new.clone(),
            }),
            changes: rrsets.iter().map(RrsetRow::from).collect(),
            omitted: *omits_rrsets,
        }
    }
}

impl From<&RrsetChange> for RrsetRow {
    fn from(change: &RrsetChange) -> Self {
        let set = |rrset: &Rrset| set_row(change.rtype, rrset);
        RrsetRow {
            name: change.owner.to_string(),
            rtype: change.rtype.to_string(),
            old: change.old.as_ref().map(set),
            new: change.new.as_ref().map(set),
        }
    }
}

fn set_row(rtype: Rtype, rrset: &Rrset) -> SetRow {
    let rdata = rrset.rdata().iter();
    SetRow {
        ttl: rrset.ttl(),
        rdata: rdata.map(|rdata| rdata.text(rtype)).collect(),
    }
}
