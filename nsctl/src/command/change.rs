//! The reports of commands that change a zone.

use std::fmt;

use etcd::client::{Changed, Imported};
use etcd::model::zonefile::Difference;
use etcd::model::{AddressPrefix, Name, Rdata, Rtype, Soa, ZoneSettings};
use serde::Serialize;

use crate::context::{ChangeText, Context};
use crate::error::Error;

/// A record in JSON output.
#[derive(Serialize)]
pub(super) struct RecordRow {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: String,
}

impl RecordRow {
    fn new(owner: &Name, ttl: u32, rtype: Rtype, rdata: &Rdata) -> Self {
        RecordRow {
            name: owner.to_string(),
            unicode: owner.unicode(),
            ttl,
            rtype: rtype.to_string(),
            rdata: rdata.text(rtype),
        }
    }
}

/// The records that are only on one side of a comparison.
pub(super) fn rows(differences: &[Difference], added: bool) -> Vec<RecordRow> {
    let those = differences.iter().filter(|one| one.added == added);
    let row = |one: &Difference| RecordRow::new(&one.owner, one.ttl, one.rtype, &one.rdata);
    those.map(row).collect()
}

/// A field in which two SOA records differ.
#[derive(Serialize)]
pub(super) struct SoaDifference {
    pub(super) field: &'static str,
    pub(super) old: String,
    pub(super) new: String,
}

impl fmt::Display for SoaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SoaDifference { field, old, new } = self;
        write!(f, "~ SOA {field}: {old} -> {new}")
    }
}

/// Another setting in which two zones differ.
#[derive(Serialize)]
pub(super) struct SettingDifference {
    setting: &'static str,
    old: String,
    new: String,
}

impl fmt::Display for SettingDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingDifference { setting, old, new } = self;
        write!(f, "~ {setting}: {old} -> {new}")
    }
}

/// In what the settings of two zones differ, except for their serials.
#[derive(Default, Serialize)]
pub(super) struct SettingsDifferences {
    pub(super) soa: Vec<SoaDifference>,
    #[serde(rename = "settings", skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<SettingDifference>,
}

impl SettingsDifferences {
    pub(super) fn count(&self) -> usize {
        self.soa.len() + self.others.len()
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> String {
        let soa = self.soa.iter().map(|one| format!("{one}\n"));
        let others = self.others.iter().map(|one| format!("{one}\n"));
        soa.chain(others).collect()
    }
}

/// Compares two SOA records, except for their serials.
pub(super) fn soa_differences(old: &Soa, new: &Soa) -> Vec<SoaDifference> {
    let fields = |soa: &Soa| {
        [
            ("mname", soa.mname.to_string()),
            ("rname", soa.rname.to_string()),
            ("refresh", soa.refresh.to_string()),
            ("retry", soa.retry.to_string()),
            ("expire", soa.expire.to_string()),
            ("minimum", soa.minimum.to_string()),
            ("ttl", soa.ttl.to_string()),
        ]
    };
    let pairs = fields(old).into_iter().zip(fields(new));
    pairs
        .filter(|(old, new)| old != new)
        .map(|((field, old), (_, new))| SoaDifference { field, old, new })
        .collect()
}

/// Lists differences for people, a line each.
pub(super) fn difference_lines(differences: &[Difference]) -> String {
    let lines = differences.iter().map(|one| format!("{one}\n"));
    lines.collect()
}

/// What a command that changed a zone reports.
#[derive(Serialize)]
pub(super) struct ChangeReport {
    pub(super) zone: String,
    pub(super) revision: i64,
    pub(super) changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) added: Option<Vec<RecordRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) removed: Option<Vec<RecordRow>>,
    /// What changes in the settings.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) settings: Option<SettingsDifferences>,
    /// How many RRsets are moved from the zone above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) moved: Option<usize>,
    /// How many RRsets are copied from the zone above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copied: Option<usize>,
    /// The types of removed RRsets whose values could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unreadable: Vec<String>,
}

impl ChangeReport {
    pub(super) fn of(zone: &Name, revision: i64, changed: bool) -> Self {
        ChangeReport {
            zone: zone.to_string(),
            revision,
            changed,
            added: None,
            removed: None,
            settings: None,
            moved: None,
            copied: None,
            unreadable: Vec::new(),
        }
    }

    pub(super) fn of_update(changed: &Changed) -> Self {
        let unreadable = changed.unreadable.iter();
        ChangeReport {
            unreadable: unreadable.map(|(_, rtype)| rtype.to_string()).collect(),
            ..ChangeReport::of(&changed.zone, changed.revision, changed.written)
                .with_records(&changed.differences)
        }
    }

    /// Adds what is moved or copied from the zone above.
    pub(super) fn with_records_from_above(self, imported: &Imported) -> Self {
        let some = |count: usize| Some(count).filter(|count| *count > 0);
        ChangeReport {
            moved: some(imported.from_above.len() - imported.copied),
            copied: some(imported.copied),
            ..self
        }
    }

    /// Adds the records that change.
    pub(super) fn with_records(self, differences: &[Difference]) -> Self {
        ChangeReport {
            added: Some(rows(differences, true)),
            removed: Some(rows(differences, false)),
            ..self
        }
    }

    /// Prints the text for people, waits for the front-ends if asked to, then prints the report for programs.
    pub(super) async fn conclude(&self, context: &Context, text: &ChangeText) -> Result<(), Error> {
        let revision = Some(self.revision);
        context.conclude(self, revision, text).await
    }
}

/// Compares the settings of two zones.
pub(super) fn settings_differences(
    before: &ZoneSettings,
    after: &ZoneSettings,
) -> SettingsDifferences {
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
        (
            "journal age",
            before.journal_age().to_string(),
            after.journal_age().to_string(),
        ),
        (
            "journal entries",
            before.journal_entries().to_string(),
            after.journal_entries().to_string(),
        ),
        (
            "journal archives",
            before.journal_archives().to_string(),
            after.journal_archives().to_string(),
        ),
        (
            "allow-query",
            listed_prefixes(&before.allow_query),
            listed_prefixes(&after.allow_query),
        ),
        (
            "deny-query",
            listed_prefixes(&before.deny_query),
            listed_prefixes(&after.deny_query),
        ),
    ];
    let others = others.into_iter().filter(|(_, old, new)| old != new);
    SettingsDifferences {
        soa: soa_differences(&before.soa, &after.soa),
        others: others
            .map(|(setting, old, new)| SettingDifference { setting, old, new })
            .collect(),
    }
}

/// The prefixes of an access list, on one line.
pub(super) fn listed_prefixes(prefixes: &[AddressPrefix]) -> String {
    if prefixes.is_empty() {
        return "no list".into();
    }
    let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
