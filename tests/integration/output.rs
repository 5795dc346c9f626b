//! A command fails where its output does, so that a truncated backup does not look like a good one.

use std::process::Stdio;

use tests::{Nsctl, Single, TempDir};

/// Commands that print something.
const COMMANDS: [&str; 13] = [
    "--version",
    "--help",
    "zone import --help",
    "zone export example.org",
    "list",
    "zone list",
    "zone show example.org",
    "zone check example.org {file}",
    "zone import example.org {file} --dry-run",
    "verify",
    "status --no-fail",
    "set www.example.org A 192.0.2.1",
    "zone set example.org --default-ttl 300",
];

/// How a shell starts a command whose output goes nowhere.
const SINKS: [&str; 3] = [
    "exec \"$0\" \"$@\" >/dev/full",
    "exec \"$0\" \"$@\" >&-",
    // Open, but not to be written to.
    "exec \"$0\" \"$@\" 1</dev/null",
];

const ZONE: &str = "@ 300 SOA ns1 hostmaster 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_fails_where_its_output_does() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().to_string()]);
    let folder = TempDir::new();
    let file = folder.write("example.org.zone", ZONE).display().to_string();
    nsctl
        .write(&format!("zone import example.org {file}"))
        .await;
    let mut faults = Vec::new();
    for command in COMMANDS {
        let command = command.replace("{file}", &file);
        let args: Vec<&str> = command.split_whitespace().collect();
        for form in ["table", "json"] {
            let nsctl = nsctl.with("-o", form);
            for sink in SINKS {
                let output = nsctl.run_from(sink, Stdio::null(), &args).await;
                let told = output.stderr.lines().last().unwrap_or_default();
                if output.code != 1 || !told.contains("cannot write to standard output") {
                    let code = output.code;
                    faults.push(format!("{form} {command}: {sink}: exit {code}: {told}"));
                }
            }
            // A reader that has gone away has read all it wants.
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let sink = "exec \"$0\" \"$@\"";
            let output = nsctl.run_from(sink, writer.into(), &args).await;
            let is_quiet = !output.stderr.contains("nsctl: ");
            if output.code != 0 || !is_quiet {
                faults.push(format!("{form}: {output:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    // What was written before the output failed is said to be written.
    let raise = ["zone", "raise-serials", "--count", "5"];
    for command in [&["add", "new.example.org", "A", "192.0.2.1"], &raise] {
        for form in ["table", "json"] {
            let nsctl = nsctl.with("-o", form);
            let output = nsctl.run_from(SINKS[0], Stdio::null(), command).await;
            let output = output.expect(1);
            let told = output.complaint();
            assert!(
                told.contains("the change itself is done, revision "),
                "{told}"
            );
        }
    }
    let listed = nsctl.run("list new.example.org").await.expect(0).stdout;
    assert!(listed.contains("192.0.2.1"), "{listed}");
}
