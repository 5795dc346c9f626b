//! `zone …`.

use etcd::client::Removed;
use etcd::model::{Name, Rdata, Rtype, Zone, zonefile};
use etcd::txn::ZoneRead;
use serde::Serialize;

use super::{Context, Report, master, serials};
use crate::arguments::{Output, Settings, Wait, ZoneCommand};
use crate::error::Error;
use crate::output;

#[derive(Serialize)]
struct Shown<'a> {
    zone: &'a Name,
    serial: u32,
    #[serde(flatten)]
    settings: &'a Zone,
}

pub(super) async fn run(context: &Context, command: ZoneCommand) -> Result<(), Error> {
    match command {
        ZoneCommand::Add {
            zone,
            ns,
            settings,
            wait,
        } => add(context, &zone, &ns, &settings, wait).await,
        ZoneCommand::Set {
            zone,
            mname,
            settings,
            wait,
        } => set(context, &zone, mname, &settings, wait).await,
        ZoneCommand::List => list(context).await,
        ZoneCommand::Show { zone } => show(context, &zone).await,
        ZoneCommand::Remove { zone, force, wait } => remove(context, &zone, force, wait).await,
        ZoneCommand::Import {
            zone,
            file,
            replace,
            dry_run,
            force,
            wait,
        } => {
            let how = master::How {
                replace,
                dry_run,
                force,
            };
            master::import(context, &zone, &file, how, wait).await
        }
        ZoneCommand::Diff { zone, file } => master::diff(context, &zone, &file).await,
        ZoneCommand::Check {
            zone,
            file,
            zone_option,
        } => master::check(context, &file, zone.or(zone_option)),
        ZoneCommand::Export { zone } => export(context, &zone).await,
        ZoneCommand::RaiseSerials { by, wait } => serials::raise(context, by, wait).await,
        ZoneCommand::Clean { zone } => clean(context, &zone).await,
    }
}

impl Settings {
    /// Puts what was given into a zone's settings.
    fn apply(&self, zone: &mut Zone) {
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

pub(super) fn report(zone: &Name, revision: i64, changed: bool) -> Report {
    Report {
        zone: zone.to_string(),
        revision,
        changed,
        added: None,
        removed: None,
    }
}

pub(super) async fn existing(context: &Context, apex: &Name) -> Result<ZoneRead, Error> {
    let read = context.store().zone(apex).await?.1;
    read.ok_or_else(|| Error::Conflict(format!("there is no zone {apex}")))
}

async fn add(
    context: &Context,
    apex: &Name,
    ns: &[Name],
    settings: &Settings,
    wait: Wait,
) -> Result<(), Error> {
    let hostmaster = Name::from_labels([&b"hostmaster"[..]].into_iter(), apex);
    let rname = hostmaster.map_err(|error| {
        Error::usage(format!(
            "--mbox is needed: hostmaster.{apex} is no name: {error}"
        ))
    })?;
    let mut zone = Zone::new(ns[0].clone(), rname);
    settings.apply(&mut zone);
    let servers: Result<Vec<Rdata>, _> = ns
        .iter()
        .map(|name| Rdata::from_wire(Rtype::NS, name.wire()))
        .collect();
    let servers = servers.map_err(|error| Error::usage(error.to_string()))?;
    let revision = context.store().zone_add(apex, &zone, &servers).await?;
    let line = format!("zone {apex} added, revision {revision}\n");
    context
        .finish(report(apex, revision, true), wait, &line)
        .await
}

async fn set(
    context: &Context,
    apex: &Name,
    mname: Option<Name>,
    settings: &Settings,
    wait: Wait,
) -> Result<(), Error> {
    let edit = |zone: &mut Zone| {
        settings.apply(zone);
        if let Some(mname) = &mname {
            zone.soa.mname = mname.clone();
        }
    };
    let (revision, changed) = context.store().zone_set(apex, edit).await?;
    let outcome = if changed {
        "done"
    } else {
        "unchanged: already so"
    };
    context
        .finish(
            report(apex, revision, changed),
            wait,
            &format!("{outcome}, revision {revision}\n"),
        )
        .await
}

async fn list(context: &Context) -> Result<(), Error> {
    let zones = context.store().zones().await?;
    output::left_out(&zones.unreadable);
    let serials = context.store().serials(&zones).await?;
    let shown = zones.zones.iter().zip(serials).map(|(read, serial)| Shown {
        zone: &read.apex,
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

async fn show(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = existing(context, apex).await?;
    let serial = context.store().serial(&read).await?;
    if context.output == Output::Json {
        return output::json(&Shown {
            zone: apex,
            serial,
            settings: &read.zone,
        });
    }
    let soa = &read.zone.soa;
    let generations = context.store().generations(apex, Some(read.as_of)).await?;
    let served = generations
        .iter()
        .find(|(generation, _)| *generation == read.zone.generation);
    let mut rows = vec![
        vec!["zone".into(), apex.to_string()],
        vec!["serial".into(), serial.to_string()],
        vec!["primary".into(), soa.mname.to_string()],
        vec!["mailbox".into(), soa.rname.to_string()],
        vec![
            "refresh, retry, expire".into(),
            format!("{}, {}, {} s", soa.refresh, soa.retry, soa.expire),
        ],
        vec![
            "negative TTL".into(),
            format!("{} s", soa.minimum.min(soa.ttl)),
        ],
        vec!["SOA TTL".into(), format!("{} s", soa.ttl)],
        vec!["default TTL".into(), format!("{} s", read.zone.default_ttl)],
        vec![
            "consistency".into(),
            match read.zone.consistency {
                Some(consistency) => consistency.to_string(),
                None => "as each front-end is told".into(),
            },
        ],
        vec![
            "RRsets".into(),
            served.map_or(0, |(_, count)| *count).to_string(),
        ],
        vec!["generation".into(), read.zone.generation.to_string()],
    ];
    for (generation, count) in generations
        .iter()
        .filter(|(generation, _)| *generation != read.zone.generation)
    {
        rows.push(vec![
            "not served".into(),
            format!("{count} RRsets of generation {generation} (nsctl zone clean deletes them)"),
        ]);
    }
    output::table(&["SETTING", "VALUE"], rows, "")
}

async fn remove(context: &Context, apex: &Name, force: bool, wait: Wait) -> Result<(), Error> {
    match context.store().zone_remove(apex, force).await? {
        Some(Removed { revision, left }) => {
            if let Some(error) = left {
                output::note(&format!(
                    "nsctl: its records are still in the store ({error}): nsctl zone clean {apex} deletes them"
                ));
            }
            let line = format!("zone {apex} removed, revision {revision}\n");
            context
                .finish(report(apex, revision, true), wait, &line)
                .await
        }
        None => {
            let revision = context.store().head().await?.revision;
            let line = format!("unchanged: there is no zone {apex}, revision {revision}\n");
            context
                .finish(report(apex, revision, false), wait, &line)
                .await
        }
    }
}

async fn export(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = existing(context, apex).await?;
    let serial = context.store().serial(&read).await?;
    let rrsets = context.store().content(&read).await??;
    let mut text = String::new();
    zonefile::write(&mut text, apex, &read.zone, serial, &rrsets)
        .map_err(|error| Error::Failed(error.to_string()))?;
    output::print(&text)
}

async fn clean(context: &Context, apex: &Name) -> Result<(), Error> {
    let served = context
        .store()
        .zone(apex)
        .await?
        .1
        .map(|read| read.zone.generation);
    let swept = context
        .store()
        .sweep(apex, |generation| Some(generation) != served)
        .await?;
    let forgotten = context.store().zone_forget(apex).await?;
    let revision = context.store().head().await?.revision;
    let mut line = format!("{swept} RRsets deleted that were not served\n");
    if forgotten {
        line += "forgotten: how far the serials of the removed zone had come\n";
    }
    context
        .finish(
            report(apex, revision, swept > 0 || forgotten),
            Wait::default(),
            &line,
        )
        .await
}
