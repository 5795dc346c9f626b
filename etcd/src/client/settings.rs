//! What both programs make of their settings: hints for what is misspelt, and levels of logs.

/// Levels of logs, as tracing has them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The name that was most likely meant, if one is near.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.into_iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= (name.len() / 4).max(2)).then_some(nearest)
}

/// A line for each environment variable that begins like ours and is none of ours.
pub fn unknown_variables(prefix: &str, known: &[String]) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    told_unknown(prefix, known, names)
}

fn told_unknown(
    prefix: &str,
    known: &[String],
    names: impl Iterator<Item = String>,
) -> Vec<String> {
    let unknown = names.filter(|name| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            // Kubernetes sets NSD_PORT, NSD_PORT_53_UDP and NSD_SERVICE_HOST where there is a service called nsd.
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

/// Checks what to log, as in `info` or `warn,etcd=debug`, and adds the level for all that it does not name.
pub fn log_directives(text: &str, base: &str) -> Result<String, String> {
    let mut has_base = false;
    for directive in text.split(',') {
        let directive = directive.trim();
        let (target, level) = directive.rsplit_once('=').unwrap_or(("", directive));
        let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
        if !is_level || (directive.contains('=') && target.trim().is_empty()) {
            let hint = nearest(&level.to_ascii_lowercase(), LEVELS);
            let hint = hint.map_or(String::new(), |hint| format!(" (did you mean {hint}?)"));
            return Err(format!(
                "'{directive}' is no log level{hint}: expected {}, or TARGET=LEVEL, separated by commas",
                LEVELS.join(", ")
            ));
        }
        has_base |= target.is_empty();
    }
    Ok(match has_base {
        true => text.into(),
        false => format!("{base},{text}"),
    })
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
    fn variables_that_nobody_reads_are_told() {
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
        let told = told_unknown("NSD_", &known, names.iter().map(ToString::to_string));
        assert_eq!(
            told,
            [
                "the variable NSD_STALE_AFER is unknown and has no effect: did you mean NSD_STALE_AFTER?",
                "the variable NSD_WHATEVER is unknown and has no effect",
            ]
        );
    }

    #[test]
    fn levels_of_logs_are_checked() {
        for (text, directives) in [
            ("info", "info"),
            ("WARN,etcd=debug", "WARN,etcd=debug"),
            ("etcd=debug", "info,etcd=debug"),
            ("nsd::mirror=trace, off", "nsd::mirror=trace, off"),
        ] {
            assert_eq!(log_directives(text, "info").as_deref(), Ok(directives));
        }
        for bad in ["nonsense", "", "info,", "etcd=loud", "=info", "inf", "5,x"] {
            let told = log_directives(bad, "info").expect_err(bad);
            assert!(told.contains("error, warn, info"), "{told}");
        }
        let told = log_directives("wran", "info").expect_err("it is no level");
        assert!(told.contains("did you mean warn?"), "{told}");
    }
}
