//! `zone add` and `zone set`.

use etcd::model::{Name, Rdata, Rrset, Rtype, ZoneSettings, zonefile};

use super::overlap;
use crate::arguments::{AddZone, SetZone, SettingOptions};
use crate::command::change::{ChangeReport, listed, soa_differences};
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output;

impl SettingOptions {
    /// Changes those of a zone's settings that were given.
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

pub(super) async fn add(context: &Context, add: AddZone) -> Result<(), Error> {
    let AddZone {
        zone: apex,
        ns,
        settings,
        writing,
        ..
    } = &add;
    let hostmaster = Name::from_labels([&b"hostmaster"[..]].into_iter(), apex);
    let rname = hostmaster.map_err(|error| {
        Error::usage(format!(
            "--mbox is needed, because hostmaster.{apex} is not a valid name: {error}"
        ))
    })?;
    let mut zone = ZoneSettings::new(ns[0].clone(), rname);
    settings.apply(&mut zone);
    let servers: Result<Vec<Rdata>, _> = ns
        .iter()
        .map(|name| Rdata::from_wire(Rtype::NS, name.wire()))
        .collect();
    let servers = servers.map_err(|error| Error::usage(error.to_string()))?;
    let overlap = overlap::overlap(add.move_hidden, add.force);
    let store = context.store();
    let imported = store.zone_add(apex, &zone, &servers, overlap).await?;
    let revision = imported.revision;
    let mut content = imported.from_above.clone();
    if let Ok(servers) = Rrset::new(Rtype::NS, zone.default_ttl, servers) {
        content.insert((apex.clone(), Rtype::NS), servers);
    }
    output::warnings(zonefile::doubts(apex, Some(&zone.soa), &content));
    let mut report = ChangeReport::of(apex, revision, true).with_moved(&imported);
    let mut text = ChangeText {
        lines: String::new(),
        done: format!("zone {apex} added, revision {revision}\n"),
        would: format!("zone {apex} would be added\n"),
    };
    overlap::describe_moved(apex, &imported, &mut text);
    if context.dry_run {
        text.lines = listed(&[], &imported.differences);
        report = report.with_records(&imported.differences);
    }
    report.conclude(context, *writing, &text).await
}

pub(super) async fn set(context: &Context, set: SetZone) -> Result<(), Error> {
    let SetZone {
        zone: apex,
        mname,
        settings,
        writing,
    } = &set;
    let edit = |zone: &mut ZoneSettings| {
        settings.apply(zone);
        if let Some(mname) = mname {
            zone.soa.mname = mname.clone();
        }
    };
    let before = context.existing_zone(apex).await?.settings;
    let mut after = before.clone();
    edit(&mut after);
    let (revision, changed) = context.store().zone_set(apex, edit).await?;
    let text = match changed {
        true => ChangeText::changed(settings_changed(&before, &after), revision),
        false => ChangeText::unchanged("already so", revision),
    };
    let report = ChangeReport::of(apex, revision, changed);
    report.conclude(context, *writing, &text).await
}

/// Lists what changes in the settings of a zone, a line each.
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
    let soa = soa_differences(&before.soa, &after.soa);
    soa.iter()
        .map(|one| format!("{one}\n"))
        .chain(others)
        .collect()
}
