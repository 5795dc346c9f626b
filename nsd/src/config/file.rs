//! The configuration file.

use std::io;
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Args;
use etcd::client;
use etcd::options::{self, StoreOptions};

use super::options::ServeOptions;

impl ServeOptions {
    /// Adds the settings that only the configuration file has.
    pub fn merged(&self) -> anyhow::Result<ServeOptions> {
        match &self.config {
            Some(path) => self.merge(path),
            None => Ok(self.clone()),
        }
    }

    /// Returns the names of the settings that differ from `others`.
    pub fn differences(&self, others: &ServeOptions) -> anyhow::Result<Vec<String>> {
        let [own, others] = [self, others].map(toml::Table::try_from);
        let (own, others) = (own?, others?);
        let added = others.keys().filter(|name| !own.contains_key(*name));
        let names = own.keys().chain(added);
        let differs = names.filter(|name| own.get(*name) != others.get(*name));
        Ok(differs.cloned().collect())
    }

    fn merge(&self, path: &Path) -> anyhow::Result<ServeOptions> {
        let text = client::read_small_file(path)
            .and_then(|octets| String::from_utf8(octets).map_err(io::Error::other))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let place = || format!("in {}", path.display());
        let mut table: toml::Table = toml::from_str(&text).with_context(place)?;
        if let Some(error) = unknown_key(&table) {
            return Err(anyhow!(error).context(place()));
        }
        // Parsed for the errors, which name the line. Errors in flattened fields do not, so these are parsed by themselves.
        toml::from_str::<StoreOptions>(&text)
            .and_then(|_| toml::from_str::<ServeOptions>(&text))
            .with_context(place)?;
        // Then key by key, so that flags and variables win.
        table.extend(toml::Table::try_from(self)?);
        Ok(table.try_into()?)
    }
}

/// Describes the first key that is not a setting, with the setting that may have been meant.
fn unknown_key(table: &toml::Table) -> Option<String> {
    let command = ServeOptions::augment_args(clap::Command::new("nsd"));
    let settings: Vec<&str> = command
        .get_arguments()
        .filter(|setting| setting.get_id() != "config")
        .filter_map(clap::Arg::get_long)
        .collect();
    let key = table.keys().find(|key| !settings.contains(&key.as_str()))?;
    let hint = match options::nearest(key, settings.iter().copied()) {
        Some(nearest) => format!(", did you mean '{nearest}'?"),
        None => ": nsd --help lists them".into(),
    };
    Some(format!("there is no setting '{key}'{hint}"))
}
