//! Who may ask: the lists of a front-end and of a zone, as clients see them over every transport.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{Frontend, Nsctl, Single, TempDir, ensure, eventually, free_port};

const LIMIT: Duration = Duration::from_secs(20);

const MAKE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
                    -keyout dns.key -out dns.pem -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1";

/// The transports, as dig calls them.
const TRANSPORTS: [&str; 4] = ["+notcp", "+tcp", "+tls", "+https"];

/// Where to ask for what.
struct Asked {
    dns: SocketAddr,
    tls: SocketAddr,
    https: SocketAddr,
}

/// What dig tells.
#[derive(Debug)]
struct Told(String);

impl Asked {
    /// Asks from this address, which is one of the host's: all of 127.0.0.0/8 are.
    fn dig(&self, transport: &str, from: &str, name: &str) -> Told {
        let server = match transport {
            "+tls" => self.tls,
            "+https" => self.https,
            _ => self.dns,
        };
        let port = server.port().to_string();
        let options = [
            "-p",
            &port,
            "-b",
            from,
            transport,
            "+tries=3",
            "+time=5",
            "@127.0.0.1",
        ];
        let output = Command::new("dig").args(options).args([name, "A"]).output();
        let output = output.expect("dig was found before");
        assert!(output.status.success(), "{output:?}");
        Told(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Checks whether this client gets an address or is refused, over every transport.
    fn check(&self, from: &str, name: &str, is_refused: bool) {
        for transport in TRANSPORTS {
            let told = self.dig(transport, from, name);
            assert_eq!(
                told.is_refused(),
                is_refused,
                "{transport} {from}: {told:?}"
            );
            assert_eq!(
                told.has_address(),
                !is_refused,
                "{transport} {from}: {told:?}"
            );
        }
    }
}

impl Told {
    fn is_refused(&self) -> bool {
        let is_refused = self.0.contains("status: REFUSED");
        assert_eq!(
            self.0.contains("EDE: 18 (Prohibited)"),
            is_refused,
            "{}",
            self.0
        );
        is_refused
    }

    fn has_address(&self) -> bool {
        self.0.contains("\tA\t192.0.2.1")
    }
}

/// Whether this program is there.
fn has(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}

/// A front-end with a zone that all may ask, and one for each test of a list; over UDP, TCP and TLS.
struct Server {
    etcd: Single,
    nsctl: Nsctl,
    frontend: Frontend,
    asked: Asked,
    folder: TempDir,
}

impl Server {
    /// None where there is no dig or openssl.
    async fn start(config: &str) -> Option<Self> {
        if !has("dig", "-v") || !has("openssl", "version") {
            tests::skipped!("there is no dig or no openssl: access lists");
            return None;
        }
        let folder = TempDir::new();
        let made = Command::new("sh")
            .args(["-c", MAKE])
            .current_dir(folder.path())
            .output();
        assert!(
            made.as_ref().is_ok_and(|made| made.status.success()),
            "{made:?}"
        );
        let etcd = Single::start().await;
        let endpoints = [etcd.endpoint().to_string()];
        let nsctl = Nsctl::new(&endpoints);
        for zone in ["open.test", "listed.test"] {
            nsctl
                .write(&format!("zone add {zone} --ns ns1.example.org"))
                .await;
            nsctl.write(&format!("add www.{zone} A 192.0.2.1")).await;
        }
        nsctl
            .write("add alias.open.test CNAME www.listed.test")
            .await;
        let [tls, https] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let listen = [tls, https].map(|address| address.to_string());
        let path = |name: &str| folder.path().join(name);
        write(&path("nsd.toml"), config);
        let files = ["nsd.toml", "dns.pem", "dns.key"].map(|name| path(name).display().to_string());
        let options = [
            ["--config", &files[0]],
            ["--tls-listen", &listen[0]],
            ["--https-listen", &listen[1]],
            ["--tls-cert", &files[1]],
            ["--tls-key", &files[2]],
        ];
        let frontend = Frontend::start_by_file("fe1", &endpoints, options.as_flattened()).await;
        frontend.ready().await;
        let dns = frontend.dns;
        let asked = Asked { dns, tls, https };
        Some(Server {
            etcd,
            nsctl,
            frontend,
            asked,
            folder,
        })
    }

    /// Changes the settings of the zone, and waits until they are served.
    async fn set(&self, lists: &str) {
        self.nsctl
            .write(&format!("zone set listed.test {lists} --wait"))
            .await;
    }

    /// Replaces the configuration, and waits until the front-end says this about it for the nth time.
    async fn reload(&self, config: &str, message: &str, times: usize) {
        write(&self.folder.path().join("nsd.toml"), config);
        self.frontend.signal("HUP");
        eventually(message, LIMIT, async || {
            let log = self.frontend.log();
            let lines = log.iter().filter(|line| {
                let text = line["fields"]["message"].as_str();
                text.is_some_and(|text| text.starts_with(message))
            });
            ensure(lines.count() == times, || format!("{log:?}"))
        })
        .await;
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_refuses_clients_and_changes_its_lists_while_it_serves() {
    let denied = "deny-query = [\"127.0.0.9\"]\n";
    let Some(server) = Server::start(denied).await else {
        return;
    };
    let asked = &server.asked;
    asked.check("127.0.0.1", "www.open.test", false);
    asked.check("127.0.0.9", "www.open.test", true);
    asked.check("127.0.0.9", "www.elsewhere.test", true);
    let metrics = server.frontend.get("/metrics").await.expect("metrics").body;
    for transport in ["udp", "tcp", "tls", "https"] {
        let line = format!("nsd_refused_by_policy_total{{transport=\"{transport}\"}} 2\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }

    let allowed =
        "allow-query = [\"127.0.0.8/31\", \"2001:db8::/32\"]\ndeny-query = [\"127.0.0.8\"]\n";
    server.reload(allowed, "reloaded", 1).await;
    asked.check("127.0.0.1", "www.open.test", true);
    asked.check("127.0.0.8", "www.open.test", true);
    asked.check("127.0.0.9", "www.open.test", false);
    let restart = |line: &serde_json::Value| line.to_string().contains("need a restart");
    assert!(!server.frontend.log().iter().any(restart));

    let wrong = "allow-query = [\"127.0.0.9/8\"]\n";
    server.reload(wrong, "not reloaded", 1).await;
    let log = server.frontend.log();
    let says_what = log
        .iter()
        .any(|line| line.to_string().contains("write 127.0.0.0/8"));
    assert!(says_what, "{log:?}");
    asked.check("127.0.0.1", "www.open.test", true);
    asked.check("127.0.0.9", "www.open.test", false);

    server.reload("# no lists", "reloaded", 2).await;
    asked.check("127.0.0.1", "www.open.test", false);
    drop(server.etcd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_has_lists_of_its_own() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let (asked, nsctl) = (&server.asked, &server.nsctl);
    asked.check("127.0.0.1", "www.listed.test", false);
    asked.check("127.0.0.1", "alias.open.test", false);

    let lists = "--allow-query 127.0.0.2 192.0.2.0/24 --deny-query 127.0.0.3,192.0.2.0/28";
    let dry = nsctl
        .run(&format!("zone set listed.test {lists} --dry-run"))
        .await
        .expect(0);
    assert!(
        dry.stdout
            .contains("~ allow-query: no list -> 127.0.0.2/32 192.0.2.0/24\n"),
        "{dry:?}"
    );
    assert!(
        dry.stdout
            .contains("~ deny-query: no list -> 127.0.0.3/32 192.0.2.0/28\n"),
        "{dry:?}"
    );
    asked.check("127.0.0.1", "www.listed.test", false);
    server.set(lists).await;
    let shown = nsctl.ok("zone show listed.test").await;
    assert_eq!(
        shown["allow_query"],
        serde_json::json!(["127.0.0.2/32", "192.0.2.0/24"])
    );
    assert_eq!(
        shown["deny_query"],
        serde_json::json!(["127.0.0.3/32", "192.0.2.0/28"])
    );

    for (client, is_refused) in [
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("127.0.0.3", true),
    ] {
        asked.check(client, "www.listed.test", is_refused);
        asked.check(client, "www.open.test", false);
        // The alias is of a zone that all may ask: only the chain ends.
        for transport in TRANSPORTS {
            let told = asked.dig(transport, client, "alias.open.test");
            assert!(told.0.contains("CNAME\twww.listed.test."), "{told:?}");
            assert!(!told.is_refused(), "{told:?}");
            assert_eq!(told.has_address(), !is_refused, "{client}: {told:?}");
        }
    }

    server.set("--allow-query any").await;
    asked.check("127.0.0.1", "www.listed.test", false);
    asked.check("127.0.0.3", "www.listed.test", true);
    let shown = nsctl.ok("zone show listed.test").await;
    assert!(shown.get("allow_query").is_none(), "{shown}");
    let both = nsctl
        .run("zone set listed.test --deny-query none 127.0.0.1")
        .await
        .expect(2);
    assert!(both.complaint().contains("cannot stand beside"), "{both:?}");
    let wrong = nsctl
        .run("zone set listed.test --deny-query 127.0.0.1/8")
        .await
        .expect(2);
    assert!(wrong.stderr.contains("write 127.0.0.0/8"), "{wrong:?}");

    // A zone can be added with lists, and an import keeps them.
    nsctl
        .write("zone add new.test --ns ns1.example.org --deny-query 127.0.0.3")
        .await;
    let file = server.folder.path().join("new.zone");
    let text = "@ 300 SOA ns1.example.org. h.example.org. 1 3600 600 86400 60\n@ 300 NS ns1.example.org.\nwww 300 A 192.0.2.1\n";
    write(&file, text);
    let import = format!("zone import new.test {} --replace --wait", file.display());
    nsctl.write(&import).await;
    asked.check("127.0.0.1", "www.new.test", false);
    asked.check("127.0.0.3", "www.new.test", true);
    drop(server.etcd);
}
