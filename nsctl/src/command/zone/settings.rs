//! `zone add` and `zone set`.

use etcd::model::{AddressPrefix, Name, Rdata, Rrset, Rtype, ZoneSettings, zonefile};

use super::overlap;
use crate::arguments::{AddZone, PrefixWord, SetZone, SettingOptions};
use crate::command::change::{ChangeReport, difference_lines, settings_differences};
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output;

/// The access lists that were given.
struct GivenLists {
    allow_query: Option<Vec<AddressPrefix>>,
    deny_query: Option<Vec<AddressPrefix>>,
}

/// The options with access lists, and the word that removes the list: everybody is allowed, or nobody denied.
const ALLOW: (&str, PrefixWord) = ("--allow-query", PrefixWord::Any);
const DENY: (&str, PrefixWord) = ("--deny-query", PrefixWord::Nobody);

/// The list of prefixes that an option was given, sorted and each of them once; empty for the word that removes the list.
fn prefixes(
    (option, removing): (&str, PrefixWord),
    given: Option<&Vec<PrefixWord>>,
) -> Result<Option<Vec<AddressPrefix>>, Error> {
    let Some(words) = given else { return Ok(None) };
    let (mut prefixes, word) = (
        Vec::new(),
        match removing {
            PrefixWord::Any => "any",
            _ => "none",
        },
    );
    for given in words {
        match given {
            PrefixWord::Prefix(prefix) => prefixes.push(*prefix),
            given if *given == removing => {}
            // Other servers take it for the opposite, so it is not guessed what is meant.
            _ => {
                return Err(Error::usage(format!(
                    "{option}: {word} removes the list, so that nobody is refused by it; to refuse everybody, use \
                     --deny-query 0.0.0.0/0 ::/0"
                )));
            }
        }
    }
    if prefixes.len() < words.len() && words.len() > 1 {
        return Err(Error::usage(format!(
            "{option}: {word} removes the list, so it cannot stand beside other values"
        )));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(Some(prefixes))
}

impl SettingOptions {
    /// The access lists, checked.
    fn lists(&self) -> Result<GivenLists, Error> {
        Ok(GivenLists {
            allow_query: prefixes(ALLOW, self.allow_query.as_ref())?,
            deny_query: prefixes(DENY, self.deny_query.as_ref())?,
        })
    }

    /// Changes those of a zone's settings that were given.
    fn apply(&self, lists: &GivenLists, zone: &mut ZoneSettings) {
        if let Some(allow) = &lists.allow_query {
            zone.allow_query.clone_from(allow);
        }
        if let Some(deny) = &lists.deny_query {
            zone.deny_query.clone_from(deny);
        }
        if let Some(promise) = self.consistency {
            zone.consistency = promise.0;
        }
        zone.journal_age = self.journal_age.or(zone.journal_age);
        zone.journal_entries = self.journal_entries.or(zone.journal_entries);
        zone.journal_archives = self.journal_archives.or(zone.journal_archives);
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
        ..
    } = &add;
    let hostmaster = || Name::from_labels([&b"hostmaster"[..]].into_iter(), apex);
    let rname = settings.mbox.clone().map_or_else(hostmaster, Ok);
    let rname = rname.map_err(|error| {
        Error::usage(format!(
            "--mbox is needed, because hostmaster.{apex} is not a valid name: {error}"
        ))
    })?;
    let mut zone = ZoneSettings::new(ns[0].clone(), rname);
    settings.apply(&settings.lists()?, &mut zone);
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
    let mut report = ChangeReport::of(apex, revision, true).with_records_from_above(&imported);
    let mut text = ChangeText {
        lines: String::new(),
        done: format!("zone {apex} added, revision {revision}\n"),
        would: format!("zone {apex} would be added\n"),
    };
    overlap::describe_moved(apex, &imported, &mut text);
    if context.dry_run {
        text.lines = difference_lines(&imported.differences);
        report = report.with_records(&imported.differences);
    }
    report.conclude(context, &text).await
}

pub(super) async fn set(context: &Context, set: SetZone) -> Result<(), Error> {
    let SetZone {
        zone: apex,
        mname,
        settings,
        ..
    } = &set;
    let lists = settings.lists()?;
    let edit = |zone: &mut ZoneSettings| {
        settings.apply(&lists, zone);
        if let Some(mname) = mname {
            zone.soa.mname = mname.clone();
        }
    };
    let before = context.existing_zone(apex).await?.settings;
    let mut after = before.clone();
    edit(&mut after);
    let (revision, changed) = context.store().zone_set(apex, edit).await?;
    let settings = settings_differences(&before, &after);
    let text = match changed {
        true => ChangeText::changed(settings.lines(), revision),
        false => ChangeText::unchanged("already so", revision),
    };
    let report = ChangeReport {
        settings: changed.then_some(settings),
        ..ChangeReport::of(apex, revision, changed)
    };
    report.conclude(context, &text).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::change::listed_prefixes;

    fn words(texts: &[&str]) -> Vec<PrefixWord> {
        let word = |text: &&str| match *text {
            "any" => PrefixWord::Any,
            "none" => PrefixWord::Nobody,
            _ => PrefixWord::Prefix(text.parse().expect("a prefix")),
        };
        texts.iter().map(word).collect()
    }

    #[test]
    fn lists_of_prefixes() {
        for (given, expected) in [
            (&["any"][..], "no list"),
            (&["192.0.2.0/24"], "192.0.2.0/24"),
            (
                &["2001:db8::/32", "192.0.2.1", "192.0.2.1/32"],
                "192.0.2.1/32 2001:db8::/32",
            ),
        ] {
            let list = prefixes(ALLOW, Some(&words(given))).expect("a list");
            assert_eq!(listed_prefixes(&list.expect("it was given")), expected);
        }
        assert!(matches!(prefixes(ALLOW, None), Ok(None)));
        assert!(
            matches!(prefixes(DENY, Some(&words(&["none"]))), Ok(Some(list)) if list.is_empty())
        );
        for (option, given) in [
            (ALLOW, &["any", "192.0.2.1"][..]),
            (DENY, &["none", "none"]),
            // What other servers take for the opposite.
            (ALLOW, &["none"]),
            (DENY, &["any"]),
        ] {
            assert!(prefixes(option, Some(&words(given))).is_err());
        }
    }
}
