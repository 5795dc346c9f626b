//! Environment variables of options, and hints for misspelt names.

use clap::{Arg, Command};

/// Gives a flag its environment variable, as in `NSD_CA_FILE` for `--ca-file` with the prefix `NSD_`.
pub fn variable(arg: Arg, prefix: &str) -> Arg {
    match arg.get_long() {
        Some(long) => {
            let name = long.to_ascii_uppercase().replace('-', "_");
            arg.env(format!("{prefix}{name}"))
        }
        None => arg,
    }
}

/// The variables that a command and its subcommands read.
fn variables(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(Arg::get_env);
    let own = own.map(|name| name.to_string_lossy().into_owned());
    own.chain(command.get_subcommands().flat_map(variables))
        .collect()
}

/// The known name that `name` is most likely a misspelling of, if any is close enough.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.into_iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= (name.len() / 4).max(2)).then_some(nearest)
}

/// A warning for each environment variable that starts with `prefix` and that `command` does not read.
pub fn unknown_variables(prefix: &str, command: &Command) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warnings(prefix, &variables(command), names)
}

fn warnings(prefix: &str, known: &[String], names: impl Iterator<Item = String>) -> Vec<String> {
    let unknown = names.filter(|name| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            // For a service called nsd, Kubernetes sets NSD_PORT, NSD_PORT_53_UDP and NSD_SERVICE_HOST.
            let is_of_service =
                rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
            !is_of_service && !known.contains(name)
        })
    });
    let mut lines: Vec<String> = unknown
        .map(|name| {
            let hint = nearest(&name, known.iter().map(String::as_str));
            let hint = hint.map_or(String::new(), |hint| format!(": did you mean {hint}?"));
            format!("the variable {name} is unknown and has no effect{hint}")
        })
        .collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["listen", "stale-after", "tcp-idle", "id"];
        for (name, meant) in [
            ("listn", Some("listen")),
            ("stale_after", Some("stale-after")),
            ("colour-of-logs", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn unknown_variables_are_reported() {
        let known = ["NSD_LISTEN", "NSD_STALE_AFTER"].map(String::from);
        let names = [
            "PATH",
            "NSD_LISTEN",
            "NSD_STALE_AFER",
            "NSD_WHATEVER",
            "NSD_SERVICE_HOST",
            "NSD_PORT",
            "NSD_PORT_53_UDP",
            "NSDX",
        ];
        let told = warnings("NSD_", &known, names.iter().map(ToString::to_string));
        assert_eq!(
            told,
            [
                "the variable NSD_STALE_AFER is unknown and has no effect: did you mean NSD_STALE_AFTER?",
                "the variable NSD_WHATEVER is unknown and has no effect",
            ]
        );
    }
}
