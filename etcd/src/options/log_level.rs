//! What to log.

use std::error::Error;
use std::fmt;

use super::variables::nearest;

/// Log levels, as tracing has them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A directive that names no log level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevelError {
    directive: String,
    nearest: Option<&'static str>,
}

impl fmt::Display for LogLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a log level", self.directive)?;
        if let Some(nearest) = self.nearest {
            write!(f, " (did you mean {nearest}?)")?;
        }
        let levels = LEVELS.join(", ");
        write!(
            f,
            ": expected {levels}, or TARGET=LEVEL, separated by commas"
        )
    }
}

impl Error for LogLevelError {}

/// Checks directives such as `info` or `warn,etcd=debug`. If they set no level for everything else, `base` is added.
pub fn log_directives(text: &str, base: &str) -> Result<String, LogLevelError> {
    let mut has_base = false;
    for directive in text.split(',') {
        let directive = directive.trim();
        let (target, level) = directive.rsplit_once('=').unwrap_or(("", directive));
        let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
        if !is_level || (directive.contains('=') && target.trim().is_empty()) {
            return Err(LogLevelError {
                directive: directive.into(),
                nearest: nearest(&level.to_ascii_lowercase(), LEVELS),
            });
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
            let told = log_directives(bad, "info").expect_err(bad).to_string();
            assert!(told.contains("error, warn, info"), "{told}");
        }
        let error = log_directives("wran", "info").expect_err("it is not a level");
        let told = error.to_string();
        assert!(told.contains("did you mean warn?"), "{told}");
    }
}
