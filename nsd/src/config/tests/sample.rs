//! The sample configuration, deploy/nsd.toml, has every setting and shows its default.

use clap::CommandFactory;

use super::super::Arguments;
use super::{file, parse};

const SAMPLE: &str = include_str!("../../../../deploy/nsd.toml");

/// Returns the sample with all its commented-out settings turned on, or only those that show defaults.
fn sample(with_examples: bool) -> String {
    let mut is_example = false;
    let mut lines = Vec::new();
    for line in SAMPLE.lines() {
        let shown = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
        match shown {
            Some(setting) if with_examples || !is_example => lines.push(setting),
            Some(_) => {}
            // One heading may have several examples.
            None => {
                is_example = line.contains("(example");
                lines.push(line);
            }
        }
    }
    lines.join("\n")
}

/// A configuration file with every setting.
pub(super) fn everything() -> String {
    sample(true)
}

#[test]
fn the_sample_file_has_every_setting_and_shows_the_defaults() {
    let shipped = file(SAMPLE);
    let shipped = shipped.path().to_str().expect("a path");
    let config = parse(&["--config", shipped])
        .complete()
        .expect("it can be used as it is");
    assert_eq!(config.listen.len(), 2);

    let all: toml::Table = toml::from_str(&sample(true)).expect("TOML");
    let mut shown: Vec<&str> = all.keys().map(String::as_str).collect();
    let command = Arguments::command();
    let mut settings: Vec<&str> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|name| !["config", "help", "version"].contains(name))
        .collect();
    shown.sort_unstable();
    settings.sort_unstable();
    assert_eq!(shown, settings);
    let examples = file(&sample(true));
    let examples = examples.path().to_str().expect("a path");
    let read = parse(&["--config", examples]).merged();
    read.expect("each value has the form of its setting");

    let defaults = file(&sample(false));
    let defaults = defaults.path().to_str().expect("a path");
    let complete = |more: &[&str]| {
        let settings = [&["--listen", "127.0.0.1:5300"][..], more].concat();
        format!("{:?}", parse(&settings).complete().expect("sound settings"))
    };
    assert_eq!(complete(&["--config", defaults]), complete(&[]));
}
