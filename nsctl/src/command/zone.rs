//! `zone …`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use etcd::client::{Exported, Removed, Scope, StoreError, Uncovered};
use etcd::model::zonefile;
use etcd::model::{Name, Rdata, Rrset, Rtype, ZoneSettings};
use etcd::txn::{Overlap, Refusal, ZoneRead, hidden_among};
use serde::Serialize;

use super::{Context, Report, Told, master, plural, serials};
use crate::arguments::{Output, Settings, Writing, ZoneCommand};
use crate::error::Error;
use crate::output;

#[derive(Serialize)]
struct Shown<'a> {
    zone: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    serial: u32,
    #[serde(flatten)]
    settings: &'a ZoneSettings,
}

pub(super) async fn run(context: &Context, command: ZoneCommand) -> Result<(), Error> {
    match command {
        ZoneCommand::Add {
            zone,
            ns,
            move_hidden,
            force,
            settings,
            writing,
        } => {
            let overlap = master::overlap(move_hidden, force);
            add(context, &zone, &ns, &settings, overlap, writing).await
        }
        ZoneCommand::Set {
            zone,
            mname,
            settings,
            writing,
        } => set(context, &zone, mname, &settings, writing).await,
        ZoneCommand::List => list(context).await,
        ZoneCommand::Show { zone } => show(context, &zone).await,
        ZoneCommand::Remove {
            zone,
            force,
            yes,
            writing,
        } => remove(context, &zone, force, yes, writing).await,
        ZoneCommand::Import {
            zone,
            file,
            replace,
            strict,
            move_hidden,
            force,
            writing,
        } => {
            let how = master::How {
                replace,
                strict,
                move_hidden,
                force,
            };
            master::import(context, &zone, &file, how, writing).await
        }
        ZoneCommand::Diff { zone, file } => master::diff(context, &zone, &file).await,
        ZoneCommand::Check {
            zone,
            file,
            zone_option,
            stored,
        } => match (stored, file) {
            (Some(apex), _) => master::check_stored(context, &apex).await,
            (None, Some(file)) => master::check(context, &file, zone.or(zone_option)),
            // The command line does not allow it.
            (None, None) => Err(Error::usage("a file or --stored is needed")),
        },
        ZoneCommand::Export { zone } => export(context, &zone).await,
        ZoneCommand::RaiseSerials { by, writing } => serials::raise(context, by, writing).await,
        ZoneCommand::Clean { zone, writing } => clean(context, &zone, writing).await,
    }
}

impl Settings {
    /// Puts what was given into a zone's settings.
    fn apply(&self, zone: &mut ZoneSettings) {
        if let Some(promise) = self.consistency {
            zone.consistency = promise.0;
        }
        let soa = &mut zone.soa;
        if let Some(mbox) = &self.mbox {
            soa.rname = mbox.clone();
        }
        let fields = [
            (&mut zone.default_ttl, self.default_ttl),
            (&mut soa.ttl, self.soa_ttl),
            (&mut soa.minimum, self.minimum),
            (&mut soa.refresh, self.refresh),
            (&mut soa.retry, self.retry),
            (&mut soa.expire, self.expire),
        ];
        for (field, given) in fields {
            if let Some(given) = given {
                *field = given;
            }
        }
    }
}

async fn add(
    context: &Context,
    apex: &Name,
    ns: &[Name],
    settings: &Settings,
    overlap: Overlap,
    writing: Writing,
) -> Result<(), Error> {
    let hostmaster = Name::from_labels([&b"hostmaster"[..]].into_iter(), apex);
    let rname = hostmaster.map_err(|error| {
        Error::usage(format!(
            "--mbox is needed: hostmaster.{apex} is no name: {error}"
        ))
    })?;
    let mut zone = ZoneSettings::new(ns[0].clone(), rname);
    settings.apply(&mut zone);
    let servers: Result<Vec<Rdata>, _> = ns
        .iter()
        .map(|name| Rdata::from_wire(Rtype::NS, name.wire()))
        .collect();
    let servers = servers.map_err(|error| Error::usage(error.to_string()))?;
    let store = context.store();
    let imported = store.zone_add(apex, &zone, &servers, overlap).await?;
    let revision = imported.revision;
    let mut content = imported.from_above.clone();
    if let Ok(servers) = Rrset::new(Rtype::NS, zone.default_ttl, servers) {
        content.insert((apex.clone(), Rtype::NS), servers);
    }
    output::warnings(zonefile::doubts(apex, Some(&zone.soa), &content));
    let mut report = Report::of(apex, revision, true).with_moved(&imported);
    let mut told = Told {
        lines: String::new(),
        done: format!("zone {apex} added, revision {revision}\n"),
        would: format!("zone {apex} would be added\n"),
    };
    master::tell_moved(apex, &imported, &mut told);
    if context.dry_run {
        told.lines = master::listed(&[], &imported.differences);
        report = report.with(&imported.differences);
    }
    context.finish(report, writing, &told).await
}

async fn set(
    context: &Context,
    apex: &Name,
    mname: Option<Name>,
    settings: &Settings,
    writing: Writing,
) -> Result<(), Error> {
    let edit = |zone: &mut ZoneSettings| {
        settings.apply(zone);
        if let Some(mname) = &mname {
            zone.soa.mname = mname.clone();
        }
    };
    let before = context.existing_zone(apex).await?.zone;
    let mut after = before.clone();
    edit(&mut after);
    let (revision, changed) = context.store().zone_set(apex, edit).await?;
    let told = match changed {
        true => Told {
            lines: settings_changed(&before, &after),
            done: format!("done, revision {revision}\n"),
            ..Told::default()
        },
        false => Told::unchanged("already so", revision),
    };
    let report = Report::of(apex, revision, changed);
    context.finish(report, writing, &told).await
}

async fn list(context: &Context) -> Result<(), Error> {
    let zones = context.store().zones().await?;
    output::left_out(&zones.unreadable);
    let serials = context.store().serials(&zones).await?;
    let shown = zones.zones.iter().zip(serials).map(|(read, serial)| Shown {
        zone: &read.apex,
        unicode: read.apex.unicode(),
        serial,
        settings: &read.zone,
    });
    if context.output == Output::Json {
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows = shown.map(|shown| {
        vec![
            shown.zone.to_string(),
            shown.serial.to_string(),
            shown.settings.soa.mname.to_string(),
            shown.settings.default_ttl.to_string(),
        ]
    });
    output::table(
        &["ZONE", "SERIAL", "PRIMARY", "DEFAULT TTL"],
        rows.collect(),
        "no zones",
    )
}

/// Records of a zone that nobody gets.
#[derive(Serialize)]
struct NotServed {
    generation: u64,
    rrsets: usize,
}

/// Records of a zone that one below it hides.
#[derive(Serialize)]
struct HiddenBy {
    zone: Name,
    rrsets: usize,
}

/// A zone with what it has.
#[derive(Serialize)]
struct Detailed<'a> {
    #[serde(flatten)]
    shown: Shown<'a>,
    rrsets: usize,
    not_served: Vec<NotServed>,
    hidden: Vec<HiddenBy>,
}

async fn show(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = context.existing_zone(apex).await?;
    let served = read.zone.generation;
    let generations = context.store().generations(apex, Some(read.as_of)).await?;
    let (served, others): (Vec<_>, Vec<_>) = generations
        .into_iter()
        .partition(|(generation, _)| *generation == served);
    let detailed = Detailed {
        shown: Shown {
            zone: apex,
            unicode: apex.unicode(),
            serial: context.store().serial(&read).await?,
            settings: &read.zone,
        },
        rrsets: served.iter().map(|(_, count)| count).sum(),
        not_served: others
            .into_iter()
            .map(|(generation, rrsets)| NotServed { generation, rrsets })
            .collect(),
        hidden: hidden(context, &read).await?,
    };
    match context.output {
        Output::Json => output::json(&detailed),
        Output::Table => show_table(&detailed),
    }
}

/// How many RRsets of a zone each zone below hides.
async fn hidden(context: &Context, read: &ZoneRead) -> Result<Vec<HiddenBy>, Error> {
    let children = context.store().children(&read.apex, read.as_of).await?;
    if children.is_empty() {
        return Ok(Vec::new());
    }
    let stored = context
        .store()
        .rrsets(read, &read.apex, Scope::Subtree)
        .await?;
    let mut behind: BTreeMap<Name, usize> = BTreeMap::new();
    for one in hidden_among(&read.apex, &children, &stored.rrsets) {
        *behind.entry(one.by).or_default() += 1;
    }
    let behind = behind.into_iter();
    Ok(behind
        .map(|(zone, rrsets)| HiddenBy { zone, rrsets })
        .collect())
}

fn show_table(detailed: &Detailed<'_>) -> Result<(), Error> {
    let Detailed { shown, rrsets, .. } = detailed;
    let zone = shown.settings;
    let soa = &zone.soa;
    let consistency = match zone.consistency {
        Some(consistency) => consistency.to_string(),
        None => "as each front-end is told".into(),
    };
    let seconds = |time: u32| format!("{time} s");
    let refresh = format!("{}, {}, {} s", soa.refresh, soa.retry, soa.expire);
    let settings = [
        ("zone", shown.zone.to_string()),
        ("serial", shown.serial.to_string()),
        ("primary", soa.mname.to_string()),
        ("mailbox", soa.rname.to_string()),
        ("refresh, retry, expire", refresh),
        ("negative TTL", seconds(soa.minimum.min(soa.ttl))),
        ("SOA TTL", seconds(soa.ttl)),
        ("default TTL", seconds(zone.default_ttl)),
        ("consistency", consistency),
        ("RRsets", rrsets.to_string()),
        ("generation", zone.generation.to_string()),
    ];
    let not_served = detailed.not_served.iter().map(|one| {
        let NotServed { generation, rrsets } = one;
        let remedy = "nsctl zone clean deletes them";
        let text = format!("{rrsets} RRsets of generation {generation} ({remedy})");
        ("not served", text)
    });
    let hidden = detailed.hidden.iter().map(|HiddenBy { zone, rrsets }| {
        let text = format!("{} by the zone {zone}", plural(*rrsets, "RRset"));
        ("hidden", text)
    });
    let rows = settings.into_iter().chain(not_served).chain(hidden);
    let rows = rows.map(|(setting, value)| vec![setting.into(), value]);
    output::table(&["SETTING", "VALUE"], rows.collect(), "")
}

/// What differs between the settings of a zone, a line each.
fn settings_changed(before: &ZoneSettings, after: &ZoneSettings) -> String {
    let consistency = |zone: &ZoneSettings| {
        zone.consistency
            .map_or("default".into(), |one| one.to_string())
    };
    let others = [
        (
            "default TTL",
            before.default_ttl.to_string(),
            after.default_ttl.to_string(),
        ),
        ("consistency", consistency(before), consistency(after)),
    ];
    let others = others.into_iter().filter(|(_, old, new)| old != new);
    let others = others.map(|(setting, old, new)| format!("~ {setting}: {old} -> {new}\n"));
    let soa = master::soa_differences(&before.soa, &after.soa);
    soa.iter()
        .map(|one| format!("{one}\n"))
        .chain(others)
        .collect()
}

/// How many RRsets of a zone that is removed are shown.
const REMOVED_SHOWN: usize = 10;

async fn remove(
    context: &Context,
    apex: &Name,
    force: bool,
    yes: bool,
    writing: Writing,
) -> Result<(), Error> {
    let (count, mut lines) = match context.store().zone(apex).await {
        Ok((_, Some(present))) => going(context, &present).await?,
        Ok((revision, None)) => return Err(context.no_zone(apex, revision).await),
        // Which of its records are served is not known.
        Err(StoreError::Unreadable(_)) if force => ("all its records".into(), String::new()),
        Err(error) => return Err(error.into()),
    };
    if !yes && !context.dry_run && io::stdin().is_terminal() {
        // What is asked about is to be seen, also where the output goes elsewhere.
        let question = format!("{lines}Remove the zone {apex} with {count}? [y/N] ");
        if !output::confirm(&question) {
            return Err(Error::Failed("nothing was removed".into()));
        }
        lines.clear();
    }
    let removed = context.store().zone_remove(apex, force).await?;
    let Some(Removed {
        revision,
        uncovered,
        left,
    }) = removed
    else {
        return Err(Refusal::UnknownZone(apex.clone()).into());
    };
    if let Some(error) = left {
        output::note(&format!(
            "nsctl: its records are still in the store ({error}): nsctl zone clean {apex} deletes them"
        ));
    }
    let mut told = Told {
        lines,
        done: format!("zone {apex} removed, revision {revision}\n"),
        would: format!("zone {apex} would be removed\n"),
    };
    if let Some(Uncovered { zone, names }) = uncovered {
        let names = format!("the records of {zone} at {}", plural(names.len(), "name"));
        told.done += &format!("{names} are answered again: nsctl list {apex} --subtree\n");
        told.would += &format!("{names} would be answered again\n");
    }
    let report = Report::of(apex, revision, true);
    context.finish(report, writing, &told).await
}

/// What goes with a zone: how many RRsets, and the first of them, a record a line.
async fn going(context: &Context, present: &ZoneRead) -> Result<(String, String), Error> {
    let generations = context
        .store()
        .generations(&present.apex, Some(present.as_of))
        .await?;
    let served = generations
        .iter()
        .find(|(generation, _)| *generation == present.zone.generation);
    let count = served.map_or(0, |(_, count)| *count);
    let some = context
        .store()
        .some_rrsets(present, REMOVED_SHOWN as i64)
        .await?;
    let mut text = String::new();
    for (owner, stored) in &some {
        let rtype = stored.rtype;
        match &stored.rrset {
            Ok(rrset) => {
                let ttl = rrset.ttl();
                text.extend(
                    rrset
                        .rdata()
                        .iter()
                        .map(|rdata| format!("- {owner} {ttl} {rtype} {}\n", rdata.text(rtype))),
                );
            }
            Err(_) => text += &format!("- {owner} {rtype}, whose value could not be read\n"),
        }
    }
    let more = count.saturating_sub(some.len());
    if more > 0 {
        text += &format!("- and {} more\n", plural(more, "RRset"));
    }
    Ok((plural(count, "RRset"), text))
}

async fn export(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = context.existing_zone(apex).await?;
    let serial = context.store().serial(&read).await?;
    let rrsets = context.store().content(&read).await??;
    let exported = Exported {
        zone: apex.clone(),
        revision: read.as_of,
        cluster_id: context.store().head().await?.cluster_id,
        prefix: context.store().prefix().clone(),
    };
    let mut text = format!("{exported}\n");
    zonefile::write(&mut text, apex, &read.zone, serial, &rrsets)
        .map_err(|error| Error::Failed(error.to_string()))?;
    output::print(&text)
}

async fn clean(context: &Context, apex: &Name, writing: Writing) -> Result<(), Error> {
    let read = context.store().zone(apex).await?.1;
    let served = read.as_ref().map(|read| read.zone.generation);
    let swept = context
        .store()
        .sweep(apex, |generation| Some(generation) != served)
        .await?;
    let forgotten = context.store().zone_forget(apex).await?;
    if read.is_none() && swept == 0 && !forgotten {
        return Err(Refusal::UnknownZone(apex.clone()).into());
    }
    let revision = context.store().head().await?.revision;
    let mut lines = String::new();
    if swept > 0 {
        let are = if swept == 1 { "is" } else { "are" };
        lines += &format!("- {} that {are} not served\n", plural(swept, "RRset"));
    }
    if forgotten {
        lines += "- how far the serials of the removed zone had come\n";
    }
    let report = Report::of(apex, revision, !lines.is_empty());
    let told = match report.changed {
        true => Told {
            lines,
            done: format!("done, revision {revision}\n"),
            ..Told::default()
        },
        false => Told::unchanged("all records are served", revision),
    };
    context.finish(report, writing, &told).await
}
