//! Settings from all their sources, and the errors of those that cannot be used.

use std::time::Duration;

mod sample;

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn parse(arguments: &[&str]) -> ServeOptions {
    Arguments::try_parse_from([&["nsd"], arguments].concat())
        .expect("arguments")
        .options
}

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn flags_win_over_the_file() {
    let file = file(
        "prefix = \"/file\"\nlisten = [\"127.0.0.1:1\"]\nid = \"file\"\nlog-format = \"json\"\n",
    );
    let path = file.path().to_str().expect("a path");
    let config = parse(&[
        "--config",
        path,
        "--id",
        "flag",
        "--listen",
        "127.0.0.1:2",
        "127.0.0.1:3",
    ])
    .complete();
    let config = config.expect("sound settings");
    assert_eq!(config.mirror.prefix.to_string(), "/file");
    assert_eq!(
        config.listen,
        ["127.0.0.1:2", "127.0.0.1:3"].map(|a| a.parse().expect("an address"))
    );
    assert_eq!(
        (config.id.as_deref(), config.log_format),
        (Some("flag"), LogFormat::Json)
    );
}

#[test]
fn times_are_written_in_one_way() {
    let minute = Some(Duration::from_secs(60));
    for text in [
        "60",
        "60.0",
        "\"60\"",
        "\"1m\"",
        "\"60s\"",
        "\"0m60s\"",
        "\"60000ms\"",
    ] {
        let keys = [
            "stale-after",
            "tcp-idle",
            "audit-interval",
            "snapshot-interval",
        ];
        let lines = keys.map(|key| format!("{key} = {text}\n")).concat();
        let file = file(&lines);
        let options = parse(&["--config", file.path().to_str().expect("a path")]);
        let config = options.complete().expect(text);
        assert_eq!(config.stale_after, minute, "{text}");
        assert_eq!(Some(config.tcp_idle), minute, "{text}");
        assert_eq!(config.mirror.audit, minute, "{text}");
    }
    for text in ["60", "1m", "60s", "0.5m30s"] {
        let config = parse(&["--stale-after", text, "--audit-interval", "0"]).complete();
        let config = config.expect(text);
        assert_eq!((config.stale_after, config.mirror.audit), (minute, None));
    }
    let never = parse(&["--stale-after", "0s"]).complete();
    assert_eq!(never.expect("sound settings").stale_after, None);
}

#[test]
fn every_option_has_its_variable_and_its_key() {
    let everything = sample::everything();
    let all = file(&everything);
    let read = parse(&["--config", all.path().to_str().expect("a path")]).merged();
    let written = toml::Table::try_from(read.expect("values of the right types")).expect("keys");
    let command = Arguments::command();
    let longs = command
        .get_arguments()
        .filter_map(|arg| Some((arg, arg.get_long()?)));
    for (arg, long) in longs {
        let variable = format!("NSD_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(
            arg.get_env().and_then(|name| name.to_str()),
            Some(&*variable)
        );
        assert_eq!(written.contains_key(long), long != "config", "{long}");
    }
    assert_eq!(
        Arguments::command().get_arguments().count(),
        written.len() + 1
    );
}

#[test]
fn settings_that_cannot_be_used_are_errors() {
    for (text, reason) in [
        ("listn = []", "no setting 'listn', did you mean 'listen'"),
        ("stale_after = 5", "did you mean 'stale-after'"),
        ("config = \"x\"", "no setting 'config'"),
        (
            "id = \"a\"\nwhatever = 1",
            "no setting 'whatever': nsd --help",
        ),
        ("log-level = \"nonsense\"", "'nonsense' is not a log level"),
        ("stale-after = -1", "a number alone counts seconds"),
        ("tcp-idle = \"1y\"", "line 1"),
        ("endpoints = 5", "line 1"),
        ("user = 5", "line 1"),
        ("udp-workers = \"x\"", "line 1"),
        ("tcp-idle = 0", "tcp-idle must be from 1s to 1h"),
        ("tcp-idle = \"61m\"", "tcp-idle must be from 1s to 1h"),
        ("snapshot-interval = 0", "snapshot-interval must be"),
        ("listen = [\"x\"]", "line 1"),
        ("udp-workers = 0", "udp-workers must be a number from 1"),
        ("user = \"x\"", "NAME:PASSWORD"),
        ("cert-file = \"x\"", "given together"),
        ("endpoints = [\"ftp://x:1\"]", "scheme"),
        ("prefix = \"/\"", "prefix"),
        ("consistency = \"bounded\"", "available, bounded:TIME"),
        ("id = \"a/b\"", "must not be empty or contain `/`"),
        ("snapshot-interval = \"often\"", "expected a time such as"),
        ("snapshot = \"/nonexistent/file\"", "/nonexistent/file"),
        ("snapshot = \"/\"", "to /: it is a folder"),
        ("snapshot = \"/dev/null\"", "it is not a regular file"),
        ("snapshot = \"/proc/self/exe\"", "it is a symbolic link"),
        (
            "snapshot = \"/nowhere/file\"",
            "the folder /nowhere does not exist",
        ),
        ("hold-loss-over = 101", "percentage"),
        ("allow-query = []", "allow-query is empty"),
        ("allow-query = [\"192.0.2.1/24\"]", "write 192.0.2.0/24"),
        ("deny-query = [\"none\"]", "'none' is not an IP address"),
        ("audit-interval = \"-1s\"", "expected a time such as"),
    ] {
        let file = file(text);
        let error = parse(&["--config", file.path().to_str().expect("a path")])
            .complete()
            .expect_err(text);
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    let error = parse(&["--config", "/nonexistent"])
        .complete()
        .expect_err("no file");
    assert!(format!("{error:#}").contains("/nonexistent") && error.is::<UnusableSettings>());
}
