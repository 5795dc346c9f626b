//! `nsd dev`: one command, and nothing is left behind, however it ends.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Nsctl, Process, Single, TempDir, binary, dns, ensure, eventually};

const ZONE: &str = "\
$ORIGIN example.org.
$TTL 1h
@    SOA ns1 hostmaster 2026010100 3600 600 1209600 300
@    NS  ns1
ns1  A   192.0.2.53
www  A   192.0.2.10
*.w  TXT \"wild\"
";

/// What the line for scripts says.
struct Ready {
    dns: SocketAddr,
    admin: SocketAddr,
    etcd: String,
}

impl Ready {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ready ")?.split(' ');
        let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Ready {
            dns: word("dns")?.parse().ok()?,
            admin: word("admin")?.parse().ok()?,
            etcd: word("etcd")?.to_string(),
        })
    }
}

/// Starts it with its temporary files in this folder, and waits until it serves.
async fn start(folder: &TempDir, more: &[&str]) -> (Process, Ready) {
    let mut process = launch(folder, more);
    let ready = ready(&mut process).await;
    (process, ready)
}

fn launch(folder: &TempDir, more: &[&str]) -> Process {
    let args = ["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        .iter()
        .chain(more);
    let temporary = [("TMPDIR", folder.path().as_os_str())];
    Process::start_with("nsd dev", &binary("nsd"), args, &temporary)
}

async fn ready(process: &mut Process) -> Ready {
    eventually("nsd dev is ready", Duration::from_secs(40), async || {
        process.check()?;
        let out = process.stdout();
        out.lines().find_map(Ready::parse).ok_or(out)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_serves_a_zone_file_and_leaves_nothing_behind() {
    let (files, temporary) = (TempDir::new(), TempDir::new());
    let zone = format!("example.org={}", files.write("zone", ZONE).display());
    let (process, ready) = start(&temporary, &["--zone-file", &zone]).await;
    serves(&ready).await;
    changes(&ready).await;
    let out = process.stdout();
    // As a person can type it who has called nsd by its path.
    let nsctl = format!("  {} ", binary("nsctl").display());
    assert!(
        out.contains("dig @127.0.0.1") && out.contains(&nsctl),
        "nothing to try: {out}"
    );
    ends(process, "KILL", &temporary).await;

    for signal in ["TERM", "INT"] {
        let (process, _) = start(&temporary, &["--zone-file", &zone]).await;
        ends(process, signal, &temporary).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_keeps_its_data_where_it_is_told_to() {
    let (data, temporary) = (TempDir::new(), TempDir::new());
    let folder = data.path().join("etcd").display().to_string();
    let options = ["--data-dir", folder.as_str()];
    let (process, ready) = start(&temporary, &options).await;
    let nsctl = Nsctl::new(std::slice::from_ref(&ready.etcd));
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1 --wait").await;
    ends(process, "TERM", &temporary).await;

    let (process, ready) = start(&temporary, &options).await;
    let answer = dns::udp(ready.dns, "www.example.org", Rtype::A)
        .await
        .expect("an answer");
    assert_eq!(answer.answers, ["www.example.org. 300 A 192.0.2.1"]);
    ends(process, "TERM", &temporary).await;
    assert!(
        Path::new(&folder).join("member").is_dir(),
        "the data are gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_refuses_a_bad_zone_file_and_a_missing_etcd() {
    let (files, temporary) = (TempDir::new(), TempDir::new());
    let zone = format!(
        "example.org={}",
        files.write("zone", "www A 192.0.2.256\n").display()
    );
    for (options, word) in [
        (["--zone-file", zone.as_str()], "192.0.2.256"),
        (["--etcd", "no-such-etcd"], "no-such-etcd"),
    ] {
        let args = ["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
            .iter()
            .chain(&options);
        let variables = [("TMPDIR", temporary.path().as_os_str())];
        let mut process = Process::start_with("nsd dev", &binary("nsd"), args, &variables);
        let status = process.end(Duration::from_secs(20)).await;
        assert!(!status.success(), "{options:?}: {status}");
        assert!(
            process.stderr().contains(word),
            "{options:?}: {}",
            process.stderr()
        );
        is_empty(&temporary).await;
    }
}

/// Stands for etcd. When it is started first, it tells its client URL and waits.
const LATE_ETCD: &str = r#"#!/bin/sh
folder=$(dirname "$0")
if mkdir "$folder/first" 2>/dev/null; then
    for argument; do
        [ "$previous" != --listen-client-urls ] || echo "$argument" >"$folder/url"
        previous=$argument
    done
    until [ -e "$folder/go" ]; do sleep 0.05; done
fi
exec "${NSD_ETCD:-etcd}" "$@"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn dev_uses_no_other_etcd_that_takes_its_port() {
    let (files, temporary) = (TempDir::new(), TempDir::new());
    let zone = format!("example.org={}", files.write("zone", ZONE).display());
    let late = files.write("etcd", LATE_ETCD);
    std::fs::set_permissions(&late, Permissions::from_mode(0o755)).expect("an own file");
    let late = late.display().to_string();
    let mut process = launch(&temporary, &["--zone-file", &zone, "--etcd", &late]);
    let url = eventually("it looks for a port", Duration::from_secs(20), async || {
        let url = std::fs::read_to_string(files.path().join("url"));
        let url = url.map_err(|error| error.to_string())?;
        ensure(url.ends_with('\n'), || url.clone())?;
        Ok(url.trim_end().to_string())
    })
    .await;
    let other = Single::start_at(&url).await;
    files.write("go", "");
    let ready = ready(&mut process).await;
    assert_ne!(ready.etcd, url);
    serves(&ready).await;
    let keys = ["get", "--prefix", "/", "--keys-only"];
    assert_eq!(other.etcdctl(&keys).expect("an answer"), "");
    ends(process, "TERM", &temporary).await;
}

async fn serves(ready: &Ready) {
    let ask = async |name, rtype| dns::udp(ready.dns, name, rtype).await.expect("an answer");
    assert_eq!(
        ask("www.example.org", Rtype::A).await.answers,
        ["www.example.org. 3600 A 192.0.2.10"]
    );
    assert_eq!(
        ask("any.w.example.org", Rtype::TXT).await.answers,
        ["any.w.example.org. 3600 TXT \"wild\""]
    );
    assert_eq!(ask("nowhere.example.org", Rtype::A).await.rcode, "NXDOMAIN");
    let tcp = dns::tcp(ready.dns, "www.example.org", Rtype::A)
        .await
        .expect("an answer");
    assert_eq!(tcp.answers, ["www.example.org. 3600 A 192.0.2.10"]);
    // Never back behind the file's.
    let soa = ask("example.org", Rtype::SOA).await.answers.remove(0);
    let serial = soa
        .split(' ')
        .nth(5)
        .and_then(|serial| serial.parse::<u32>().ok());
    assert!(serial >= Some(2_026_010_100), "{soa}");
    assert_eq!(
        tests::get(ready.admin, "/readyz")
            .await
            .expect("an answer")
            .code,
        200
    );
}

async fn changes(ready: &Ready) {
    let nsctl = Nsctl::new(std::slice::from_ref(&ready.etcd));
    nsctl.write("add new.example.org A 192.0.2.99 --wait").await;
    let answer = dns::udp(ready.dns, "new.example.org", Rtype::A)
        .await
        .expect("an answer");
    assert_eq!(answer.answers.len(), 1, "{answer:?}");
    // Whose etcd it is: nobody else's.
    assert!(
        ready.etcd.starts_with("http://127.0.0.1:"),
        "{}",
        ready.etcd
    );
}

/// Ends it by a signal: its etcd goes with it, and what it kept in temporary files.
async fn ends(mut process: Process, signal: &str, temporary: &TempDir) {
    let children = descendants(process.id());
    let etcd = children
        .iter()
        .filter(|&&id| command_line(id).contains("--data-dir"))
        .count();
    assert!(etcd > 0, "no etcd among {children:?}");
    process.signal(signal);
    let status = process.end(Duration::from_secs(15)).await;
    assert_eq!(
        status.success(),
        signal != "KILL",
        "after SIG{signal}: {status}: {}",
        process.stderr()
    );
    eventually(
        &format!("etcd is gone after SIG{signal}"),
        Duration::from_secs(15),
        async || {
            let left: Vec<String> = children
                .iter()
                .map(|&id| command_line(id))
                .filter(|line| !line.is_empty())
                .collect();
            ensure(left.is_empty(), || format!("{left:?}"))
        },
    )
    .await;
    is_empty(temporary).await;
}

async fn is_empty(folder: &TempDir) {
    eventually(
        "the temporary folder is empty",
        Duration::from_secs(10),
        async || {
            let left: Vec<_> = std::fs::read_dir(folder.path())
                .expect("a folder")
                .flatten()
                .map(|entry| entry.path())
                .collect();
            ensure(left.is_empty(), || format!("{left:?}"))
        },
    )
    .await;
}

/// The processes that a process has started, and those that they have.
fn descendants(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children: Vec<u32> = ids.filter(|&id| parent_of(id) == Some(parent)).collect();
    children
        .iter()
        .flat_map(|&id| std::iter::once(id).chain(descendants(id)))
        .collect()
}

fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; then come the state and the parent.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Empty once it has ended.
fn command_line(id: u32) -> String {
    let octets =
        std::fs::read(Path::new("/proc").join(id.to_string()).join("cmdline")).unwrap_or_default();
    let words: Vec<_> = octets
        .split(|&octet| octet == 0)
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ").trim().to_string()
}
