//! DNS over TLS, HTTPS and QUIC: other people's clients, bad input, and certificates that change.

use std::time::Duration;

use domain::base::iana::Rtype;
use nsd::answer::Transport;
use tests::encrypted::{Certificate, exchange_framed};
use tests::transports::Transports;
use tests::{
    Frontend, Nsctl, Process, Single, TempDir, binary, dns, ensure, eventually, free_port,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A front-end that answers over all transports.
struct Site {
    frontend: Frontend,
    transports: Transports,
    /// For what the tests write.
    folder: TempDir,
    _etcd: Single,
}

const NAME: &str = "www.example.org";

impl Site {
    async fn start() -> Self {
        let etcd = Single::start().await;
        let endpoints = vec![etcd.endpoint().to_string()];
        let nsctl = Nsctl::new(&endpoints);
        nsctl.ok("zone add example.org --ns ns1.example.org").await;
        nsctl.ok("add www.example.org A 192.0.2.1 192.0.2.2").await;
        let transports = Transports::choose();
        let frontend = transports.start("fe1", &endpoints, &[]).await;
        frontend.ready().await;
        Site {
            frontend,
            transports,
            folder: TempDir::new(),
            _etcd: etcd,
        }
    }

    /// What a metric says for a transport.
    async fn metric(&self, name: &str, transport: &str) -> u64 {
        let text = self.frontend.get("/metrics").await.expect("metrics").body;
        let begin = format!("{name}_total{{transport=\"{transport}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        line.and_then(|count| count.parse().ok()).expect(&begin)
    }
}

/// What a program prints; `None` if it is not installed.
async fn run(program: &str, arguments: &str) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(arguments.split_whitespace())
        .kill_on_drop(true);
    match tokio::time::timeout(Duration::from_secs(20), command.output()).await {
        Ok(Ok(output)) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Err(_)) => {
            tests::skipped!("{program} is not installed: {program} {arguments}");
            None
        }
        Err(_) => panic!("{program} {arguments} does not end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_transports_give_the_same_octets_and_well_known_clients_read_them() {
    let site = Site::start().await;
    let (ip, tls, https) = (
        "127.0.0.1",
        site.transports.tls.port(),
        site.transports.https.port(),
    );
    for (program, arguments) in [
        ("kdig", format!("@{ip} -p {tls} +tls {NAME} A +short")),
        ("dig", format!("@{ip} -p {tls} +tls {NAME} A +short")),
        ("kdig", format!("@{ip} -p {https} +https {NAME} A +short")),
        ("dig", format!("@{ip} -p {https} +https {NAME} A +short")),
        (
            "dig",
            format!("@{ip} -p {https} +https-get {NAME} A +short"),
        ),
    ] {
        if let Some(printed) = run(program, &arguments).await {
            assert_eq!(printed, "192.0.2.1\n192.0.2.2\n", "{program} {arguments}");
        }
    }
    let query = dns::query(0, NAME, Rtype::A);
    let plain = dns::exchange_udp(site.frontend.dns, &query, dns::PATIENCE).await;
    let plain = plain.expect("exchanged").expect("a response");
    let over_tls = site
        .transports
        .certificate
        .over_tls(site.transports.tls, &query)
        .await;
    assert_eq!(over_tls.as_ref(), Ok(&plain));
    let connection = site
        .transports
        .certificate
        .connect_quic(site.transports.quic)
        .await
        .expect("QUIC");
    let (one, other) = tokio::join!(connection.exchange(&query), connection.exchange(&query));
    assert_eq!((one.as_ref(), other.as_ref()), (Ok(&plain), Ok(&plain)));
    let file = site.folder.path().join("query");
    std::fs::write(&file, &query).expect("written");
    let body = site.folder.path().join("body");
    for version in ["--http1.1", "--http2"] {
        let arguments = format!(
            "-s {version} --cacert {} -D - -o {} -H content-type:application/dns-message \
             --data-binary @{} https://localhost:{https}/dns-query --resolve localhost:{https}:{ip}",
            site.transports.certificate.certificate.display(),
            body.display(),
            file.display()
        );
        let Some(head) = run("curl", &arguments).await else {
            continue;
        };
        assert!(
            head.contains("content-type: application/dns-message"),
            "{head}"
        );
        assert!(head.contains("cache-control: max-age=300"), "{head}");
        assert_eq!(std::fs::read(&body).expect("a body"), plain, "{version}");
    }
    for (transport, least) in [("tls", 3), ("https", 5), ("quic", 2)] {
        let count = site.metric("nsd_queries", transport).await;
        assert!(count >= least, "{transport}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_the_error_of_its_protocol() {
    let site = Site::start().await;
    let url = format!("https://127.0.0.1:{}", site.transports.https.port());
    let large = site.folder.path().join("large");
    std::fs::write(&large, vec![0; 70_000]).expect("written");
    let kind = "-H content-type:application/dns-message";
    for version in ["--http1.1", "--http2"] {
        for (status, arguments) in [
            ("404", format!("{url}/other")),
            ("400", format!("{url}/dns-query")),
            ("400", format!("{url}/dns-query?dns=AAA+")),
            ("400", format!("{url}/dns-query?dns=AAA")),
            ("405", format!("-X DELETE {url}/dns-query")),
            ("415", format!("-d x {url}/dns-query")),
            ("400", format!("{kind} -d x {url}/dns-query")),
            (
                "413",
                format!("{kind} --data-binary @{} {url}/dns-query", large.display()),
            ),
        ] {
            let arguments = format!("-sk {version} -o /dev/null -w %{{http_code}} {arguments}");
            if let Some(printed) = run("curl", &arguments).await {
                assert_eq!(printed, status, "{arguments}");
            }
        }
    }
    // Plain DNS, and HTTP, to a port that speaks TLS.
    let query = dns::query(7, NAME, Rtype::A);
    for garbage in [
        [&[0, query.len() as u8], &query[..]].concat(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut stream = tokio::net::TcpStream::connect(site.transports.tls)
            .await
            .expect("open");
        stream.write_all(&garbage).await.expect("sent");
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        // A TLS alert, and nothing else.
        assert!(told.is_empty() || told[0] == 21, "{told:02x?}");
    }
    let refused = site
        .transports
        .certificate
        .connect(site.transports.tls, b"h2")
        .await
        .expect_err("no such protocol");
    assert!(
        refused.to_string().contains("NoApplicationProtocol"),
        "{refused}"
    );
    let failed = site.metric("nsd_handshakes_failed", "tls").await;
    assert_eq!(failed, 3);
    // A query over QUIC has the id 0, comes alone, and does not ask for TCP's idle time; otherwise the connection ends
    // (RFC 9250 4.2.1, 4.3.3, 5.5.2).
    let mut keepalive = dns::query(0, NAME, Rtype::A);
    // The OPT record is the last one, and has no option yet.
    *keepalive.last_mut().expect("a message") = 4;
    keepalive.extend(b"\0\x0b\0\0");
    for message in [&query[..], b"", &keepalive] {
        let client = site
            .transports
            .certificate
            .connect_quic(site.transports.quic)
            .await
            .expect("QUIC");
        client
            .exchange(message)
            .await
            .expect_err("a protocol error");
        let closed = client.connection.closed().await;
        let quinn::ConnectionError::ApplicationClosed(close) = closed else {
            panic!("{closed}");
        };
        assert_eq!(close.error_code, 2u32.into());
    }
    // Thousands of records, the owner of each at the end of a chain of thousands of pointers: they are not followed.
    let chain = pointers();
    let over = async |transport| site.transports.ask(&site.frontend, transport, &chain).await;
    let over_tcp = over(Transport::Tcp).await.expect("a response");
    for transport in [Transport::Https, Transport::Quic] {
        assert_eq!(
            over(transport).await.as_ref(),
            Ok(&over_tcp),
            "{transport:?}"
        );
    }
    // Whoever comes next is served.
    let client = site
        .transports
        .certificate
        .connect_quic(site.transports.quic)
        .await
        .expect("QUIC");
    let query = dns::query(0, NAME, Rtype::A);
    let response = client.exchange(&query).await.expect("a response");
    assert_eq!(dns::parse(&response).expect("sound").rcode, "NOERROR");
}

/// A message of 64 KiB that takes long to read for whoever follows its pointers.
fn pointers() -> Vec<u8> {
    let mut message = dns::query(0, NAME, Rtype::A);
    // In the place of its OPT record.
    message.truncate(message.len() - 11);
    let record = |owner: &[u8], rdata: &[u8]| {
        let len = (rdata.len() as u16).to_be_bytes();
        [owner, &[0, 10, 0, 1, 0, 0, 0, 0], &len, rdata].concat()
    };
    let (mut to, mut links) = (message.len() as u16 + 11, vec![0]);
    let mut at = to + 1;
    while at < 0x3ffe {
        links.extend((0xc000 | to).to_be_bytes());
        (to, at) = (at, at + 2);
    }
    message.extend(record(&[0], &links));
    let one = record(&(0xc000 | to).to_be_bytes(), b"x");
    let count = (65_535 - message.len()) / one.len();
    message.extend(one.repeat(count));
    message[10..12].copy_from_slice(&(1 + count as u16).to_be_bytes());
    message
}

/// What a client does must not fill the log: here it resets its streams before they are answered.
#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_write_into_the_log() {
    let site = Site::start().await;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
        [&len[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, b""));
    for stream in (1..200).step_by(2) {
        // GET https://x/, then RST_STREAM.
        sent.extend(frame(1, 5, stream, b"\x82\x87\x84\x41\x01x"));
        sent.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let connect = || {
        site.transports
            .certificate
            .connect(site.transports.https, b"h2")
    };
    for _ in 0..10 {
        let mut stream = connect().await.expect("TLS");
        stream.write_all(&sent).await.expect("sent");
        // The server ends a connection that does this.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let mut log = site.frontend.log();
    let is_ours = |target: &str| target.starts_with("nsd") || target.starts_with("etcd");
    log.retain(|line| !line["target"].as_str().is_some_and(is_ours));
    assert!(log.is_empty(), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_while_connections_stay() {
    let site = Site::start().await;
    let old = site.transports.certificate.clone();
    let query = dns::query(7, NAME, Rtype::A);
    let mut open = old.connect(site.transports.tls, b"dot").await.expect("TLS");
    exchange_framed(&mut open, &query)
        .await
        .expect("a response");
    let shown = |stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        let certificates = stream.get_ref().1.peer_certificates().expect("shown");
        certificates[0].to_vec()
    };
    let before = shown(&open);
    // A key that does not belong to it: the old pair stays, and SIGHUP says why.
    let key = std::fs::read(&old.key).expect("a key");
    let other = TempDir::new();
    std::fs::copy(Certificate::make(other.path()).key, &old.key).expect("copied");
    site.frontend.signal("HUP");
    let is_told = |word: &str| {
        let told = site
            .frontend
            .log()
            .iter()
            .any(|line| line.to_string().contains(word));
        ensure(told, || format!("not told: {word}"))
    };
    eventually("the log says why", Duration::from_secs(10), async || {
        is_told("is not that of the certificate")
    })
    .await;
    std::fs::write(&old.key, key).expect("written");
    let again = old.connect(site.transports.tls, b"dot").await.expect("TLS");
    assert_eq!(shown(&again), before);
    // Whoever opens a pipe waits until somebody writes: nobody else waits for that.
    let pem = std::fs::read(&old.certificate).expect("a certificate");
    std::fs::remove_file(&old.certificate).expect("removed");
    let path = old.certificate.display().to_string();
    run("mkfifo", &path).await.expect("mkfifo");
    site.frontend.signal("HUP");
    eventually("the log says why", Duration::from_secs(10), async || {
        is_told("is not a regular file")
    })
    .await;
    exchange_framed(&mut open, &query)
        .await
        .expect("a response");
    let health = site.frontend.get("/healthz").await.expect("health");
    assert_eq!(health.code, 200);
    std::fs::remove_file(&old.certificate).expect("removed");
    std::fs::write(&old.certificate, pem).expect("written");
    // A new pair is noticed without a signal.
    Certificate::make(old.certificate.parent().expect("a folder"));
    eventually(
        "the new one is shown",
        Duration::from_secs(10),
        async || {
            let stream = old
                .connect(site.transports.tls, b"dot")
                .await
                .map_err(|error| error.to_string())?;
            ensure(shown(&stream) != before, || "the old certificate".into())
        },
    )
    .await;
    exchange_framed(&mut open, &query)
        .await
        .expect("the connection has stayed");
    let expired = "the certificate has expired";
    is_told(expired).expect_err("it is valid");
    Certificate::make_expired(old.certificate.parent().expect("a folder"));
    eventually("the log says so", Duration::from_secs(10), async || {
        is_told(expired)
    })
    .await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_end_the_start() {
    let folder = TempDir::new();
    let (made, other) = (Certificate::make(folder.path()), TempDir::new());
    let other = Certificate::make(other.path());
    let listen = format!("127.0.0.1:{}", free_port());
    let path = |path: &std::path::Path| path.display().to_string();
    let nowhere = path(&folder.path().join("nowhere.pem"));
    for (certificate, key, words) in [
        (
            path(&made.certificate),
            path(&other.key),
            ["is not that of", "dns.pem"],
        ),
        (
            nowhere.clone(),
            path(&made.key),
            ["cannot read", "nowhere.pem"],
        ),
        (
            path(&made.key),
            path(&made.key),
            ["no certificate", "dns.key"],
        ),
    ] {
        let arguments = [
            "--tls-listen",
            &listen,
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ];
        let mut nsd = Process::start("nsd", &binary("nsd"), arguments).quiet();
        let status = nsd.end(Duration::from_secs(20)).await;
        let told = nsd.stderr();
        assert_eq!(status.code(), Some(2), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
}
