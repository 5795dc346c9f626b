//! Signals: none of them ends a front-end without its snapshot written and its registration gone, and SIGHUP reads again
//! what can be changed.

use std::path::Path;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, TempDir, dns, ensure, eventually};

const LIMIT: Duration = Duration::from_secs(20);

const NOWHERE: &str = "http://127.0.0.1:1";

async fn logs(frontend: &Frontend, part: &str, times: usize) {
    let what = format!("'{part}' is logged {times} times");
    eventually(&what, LIMIT, async || {
        let log = frontend.log();
        let lines = log.iter().filter(|line| line.to_string().contains(part));
        ensure(lines.count() == times, || format!("{log:?}"))
    })
    .await;
}

async fn answers(frontend: &Frontend) {
    let answer = dns::udp(frontend.dns, "www.example.org", Rtype::A).await;
    assert_eq!(answer.expect("an answer").rcode, "SERVFAIL");
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_reads_the_log_level_and_tells_what_it_cannot_change() {
    let folder = TempDir::new();
    let file = folder.path().join("nsd.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file of ours");
    write("log-level = \"info\"\n");
    let config = file.display().to_string();
    let options = ["--config", &config];
    let mut frontend = Frontend::start_by_file("fe1", &[NOWHERE.into()], &options).await;
    let is_debug = |line: &serde_json::Value| line["level"] == "DEBUG";
    assert!(!frontend.log().iter().any(is_debug));

    write("log-level = \"trace\"\ntcp-idle = 5\n");
    frontend.signal("HUP");
    logs(&frontend, "reloaded the log level", 1).await;
    logs(&frontend, "\"changed\":\"log-level\"", 1).await;
    logs(&frontend, "\"settings\":\"tcp-idle\"", 1).await;
    frontend.signal("HUP");
    logs(&frontend, "\"changed\":\"nothing\"", 1).await;
    // It looks for etcd all the time, which makes for lines.
    eventually("more is logged", LIMIT, async || {
        let log = frontend.log();
        let more = log
            .iter()
            .any(|line| line["level"] == "TRACE" || is_debug(line));
        ensure(more, || format!("{} lines", log.len()))
    })
    .await;

    write("log-level = \"info\"\nno-such-setting = 1\n");
    frontend.signal("HUP");
    logs(&frontend, "no-such-setting", 1).await;
    frontend.signal("USR1");
    frontend.signal("USR2");
    frontend.signal("PIPE");
    // One that is heard comes after those that are not.
    frontend.signal("HUP");
    logs(&frontend, "no-such-setting", 2).await;
    // Whoever opens a pipe waits until somebody writes; a file that is being written may be empty.
    std::fs::remove_file(&file).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("mkfifo").success());
    frontend.signal("HUP");
    logs(&frontend, "it is not a regular file", 1).await;
    std::fs::remove_file(&file).expect("removed");
    write("");
    frontend.signal("HUP");
    logs(&frontend, "nsd.toml is empty", 1).await;
    write("log-level = \"info\"\n");
    frontend.signal("HUP");
    logs(&frontend, "\"changed\":\"log-level\"", 2).await;
    // A line of the log is one line.
    let is_broken = |line: &serde_json::Value| line.to_string().contains("\\n");
    assert!(!frontend.log().iter().any(is_broken));
    frontend.check();
    answers(&frontend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_leave_the_registration_and_the_snapshot_in_order() {
    let folder = TempDir::new();
    let snapshot = folder.path().join("snapshot").display().to_string();
    let etcd = Single::start().await;
    let endpoints = [etcd.endpoint().to_string()];
    let nsctl = Nsctl::new(&endpoints);
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    let options = ["--snapshot", &snapshot, "--lameduck", "1h"];
    let mut frontend = Frontend::start("fe1", &endpoints, &options).await;
    frontend.ready().await;
    let registered = || {
        let keys = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/frontend/"]);
        keys.is_ok_and(|keys| keys.contains("fe1"))
    };
    eventually("it is registered", LIMIT, async || {
        ensure(registered(), String::new)
    })
    .await;
    for signal in ["HUP", "USR1", "USR2"] {
        frontend.signal(signal);
    }
    logs(&frontend, "reloaded the log level", 1).await;

    // As a lame duck it still answers, and takes in what is written.
    frontend.tell_to_end();
    eventually("it is not ready any more", LIMIT, async || {
        let code = frontend.get("/readyz").await?.code;
        ensure(code == 503, || code.to_string())
    })
    .await;
    nsctl
        .run("add www.example.org A 192.0.2.1 --wait 20s")
        .await
        .expect(0);
    let answer = dns::tcp(frontend.dns, "www.example.org", Rtype::A).await;
    assert_eq!(answer.expect("an answer").answers.len(), 1);
    assert!(registered());
    frontend.signal("HUP");
    frontend.check();

    // Told again, it ends at once.
    let status = frontend.terminate(LIMIT).await;
    assert!(status.success(), "{status}");
    assert!(!registered());
    assert!(Path::new(&snapshot).is_file());
}
