//! TLS and client certificates towards etcd, and how both programs tell what is wrong with them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{
    Frontend, Gate, Nsctl, Output, Process, TempDir, binary, ensure, eventually, free_port,
};

const MAKE: &str = r#"
set -e
ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
openssl req -x509 $ec -keyout ca.key -out ca.pem -subj /CN=test-ca
openssl req -x509 $ec -keyout other.key -out other.pem -subj /CN=other-ca
printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >ext
sign() { # NAME AUTHORITY
  openssl req $ec -keyout $1.key -out $1.csr -subj /CN=$1
  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -out $1.pem -days 30 -extfile ext
}
sign server ca
sign client ca
sign stranger other
: >empty
echo 'this is no certificate' >text
head -n 3 ca.pem >torn
"#;

/// Certificates, keys and files that are neither.
struct Files(TempDir);

impl Files {
    /// None where there is no openssl to make them with.
    fn make() -> Option<Self> {
        let folder = TempDir::new();
        let made = Command::new("sh")
            .args(["-c", MAKE])
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        if made.status.code() == Some(127) {
            return None;
        }
        assert!(made.status.success(), "{made:?}");
        Some(Files(folder))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Options with these files.
    fn options(&self, options: &[(&str, &str)]) -> Vec<String> {
        let paths = options
            .iter()
            .flat_map(|(option, file)| [option.to_string(), self.path(file)]);
        paths.collect()
    }

    /// Starts an etcd with more options.
    fn etcd(&self, endpoint: &str, more: &[String]) -> Process {
        let peer = format!("http://127.0.0.1:{}", free_port());
        let data = self.path(&format!("data-{}", free_port()));
        let args = [
            ["--data-dir", &data],
            ["--listen-client-urls", endpoint],
            ["--advertise-client-urls", endpoint],
            ["--listen-peer-urls", &peer],
            ["--logger", "zap"],
        ];
        let args = args.iter().flatten().copied();
        let program = std::env::var("NSD_ETCD").unwrap_or_else(|_| "etcd".into());
        let args = args.chain(more.iter().map(String::as_str));
        Process::start("etcd", Path::new(&program), args).quiet()
    }
}

const IDENTITY: [(&str, &str); 3] = [
    ("--ca-file", "ca.pem"),
    ("--cert-file", "client.pem"),
    ("--key-file", "client.key"),
];

fn with(nsctl: Nsctl, options: &[String]) -> Nsctl {
    options
        .chunks(2)
        .fold(nsctl, |nsctl, option| nsctl.with(&option[0], &option[1]))
}

async fn answers(nsctl: &Nsctl) {
    eventually("etcd answers", Duration::from_secs(20), async || {
        let output = nsctl.run("zone list").await;
        ensure(output.code == 0, || output.stderr.clone())
    })
    .await;
}

/// What is wrong is told at once and by its name: it is not tried until the time is up.
fn tells(output: &Output, words: &[&str]) {
    let told = output.complaint();
    assert!(
        words.iter().all(|word| told.contains(word)) && !told.contains("does not answer"),
        "{words:?}: {told}"
    );
    assert!(output.took < Duration::from_secs(60), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_asked_for_and_checked() {
    let Some(files) = Files::make() else {
        tests::skipped!("there is no openssl to make certificates with: TLS");
        return;
    };
    let [mutual, clear] =
        ["https", "http"].map(|scheme| [format!("{scheme}://127.0.0.1:{}", free_port())]);
    let server = [
        ("--cert-file", "server.pem"),
        ("--key-file", "server.key"),
        ("--trusted-ca-file", "ca.pem"),
    ];
    let server = [files.options(&server), vec!["--client-cert-auth".into()]].concat();
    let _mutual = files.etcd(&mutual[0], &server);
    let _clear = files.etcd(&clear[0], &[]);
    let identity = files.options(&IDENTITY);
    let known = with(Nsctl::new(&mutual), &identity);
    answers(&known).await;
    answers(&Nsctl::new(&clear)).await;
    known
        .write("zone add example.org --ns ns1.example.net")
        .await;

    nsctl_tells_faults(&files, &mutual, &clear).await;
    nsd_does_not_start_with_unusable_files(&files, &mutual).await;
    nsd_tells_faults_and_goes_on(&files, &mutual).await;
    hangup_reads_files_again(&files, &known, &mutual[0]).await;

    let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
    let frontend = Frontend::start("tls", &mutual, &identity).await;
    frontend.ready().await;
    known
        .run("add www.example.org A 192.0.2.1 --wait 10s")
        .await
        .expect(0);
}

async fn nsctl_tells_faults(files: &Files, mutual: &[String], clear: &[String]) {
    // Files: usage. One after the other takes the place of the right one.
    let identity = files.options(&IDENTITY);
    let known = with(Nsctl::new(mutual), &identity).with("--timeout", "60s");
    for (option, file, words) in [
        ("--ca-file", "nowhere", &["nowhere", "No such file"][..]),
        ("--ca-file", "empty", &["empty", "is empty"]),
        ("--ca-file", "text", &["text", "no certificate"]),
        ("--ca-file", "torn", &["torn", "damaged"]),
        ("--ca-file", "ca.key", &["ca.key", "no certificate"]),
        ("--ca-file", ".", &["cannot read"]),
        ("--cert-file", "nowhere", &["nowhere", "No such file"]),
        ("--cert-file", "text", &["text", "no certificate"]),
        ("--cert-file", "server.pem", &["client.key", "server.pem"]),
        ("--key-file", "nowhere", &["nowhere", "No such file"]),
        ("--key-file", "empty", &["empty", "is empty"]),
        ("--key-file", "client.pem", &["client.pem", "private key"]),
        ("--key-file", "server.key", &["server.key", "client.pem"]),
    ] {
        let output = known.with(option, &files.path(file)).run("zone list").await;
        tells(&output.expect(2), words);
    }
    // What etcd and we think of each other: the store cannot be reached.
    let stranger = [
        ("--cert-file", "stranger.pem"),
        ("--key-file", "stranger.key"),
    ];
    let name = vec!["--tls-name".into(), "etcd.example".into()];
    let https = [clear[0].replace("http:", "https:")];
    let http = [mutual[0].replace("https:", "http:")];
    // No host can have this name, so that no DNS server has to be asked: one that does not answer were no fault.
    let nowhere = ["http://etcd..invalid:2379".to_string()];
    for (endpoints, options, words) in [
        (
            mutual,
            files.options(&IDENTITY[..1]),
            &["client certificate", "--cert-file"][..],
        ),
        (
            mutual,
            files.options(&[("--ca-file", "other.pem")]),
            &["other.pem", "signed"],
        ),
        (mutual, vec![], &["signed", "--ca-file"]),
        (
            mutual,
            [files.options(&IDENTITY[..1]), files.options(&stranger)].concat(),
            &["refuses", "stranger.pem"],
        ),
        (
            mutual,
            [identity.clone(), name].concat(),
            &["127.0.0.1", "etcd.example", "--tls-name"],
        ),
        (&http, vec![], &["https://"]),
        (&https, identity.clone(), &["http://", "TLS"]),
        (&nowhere, vec![], &["etcd..invalid", "resolved"]),
        (
            clear,
            vec!["--user".into(), "somebody:secret".into()],
            &["password", "authentication off"],
        ),
    ] {
        let nsctl = with(Nsctl::new(endpoints), &options).with("--timeout", "60s");
        for command in ["zone list", "add a.example.org A 192.0.2.1"] {
            tells(&nsctl.run(command).await.expect(4), words);
        }
    }
    // Where another endpoint works, one that does not is passed over; where none does, its fault is told, too.
    let both = [nowhere[0].clone(), clear[0].clone()];
    Nsctl::new(&both).run("zone list").await.expect(0);
    let none = [
        nowhere[0].clone(),
        format!("http://127.0.0.1:{}", free_port()),
    ];
    let none = Nsctl::new(&none).with("--timeout", "1s");
    let output = none.run("zone list").await.expect(4);
    let told = output.complaint();
    assert!(
        told.contains("etcd..invalid") && told.contains("refused"),
        "{told}"
    );
}

async fn nsd_does_not_start_with_unusable_files(files: &Files, mutual: &[String]) {
    for (option, file, word) in [
        ("--ca-file", "empty", "is empty"),
        ("--cert-file", "nowhere", "No such file"),
        ("--key-file", "server.key", "client.pem"),
    ] {
        let mut options = files.options(&IDENTITY);
        let at = options.iter().position(|given| given == option);
        options[at.expect("it is there") + 1] = files.path(file);
        let args = [vec!["--endpoints".to_string(), mutual[0].clone()], options].concat();
        let mut nsd = Process::start("nsd", &binary("nsd"), &args).quiet();
        let status = nsd.end(Duration::from_secs(20)).await;
        let told = nsd.stderr();
        assert_eq!(status.code(), Some(2), "{told}");
        assert!(
            told.contains(&files.path(file)) && told.contains(word),
            "{told}"
        );
    }
}

async fn nsd_tells_faults_and_goes_on(files: &Files, mutual: &[String]) {
    let trusted = files.path("trusted.pem");
    std::fs::copy(files.path("other.pem"), &trusted).expect("copied");
    let mut options = files.options(&IDENTITY);
    options[1].clone_from(&trusted);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut frontend = Frontend::start("fault", mutual, &options).await;
    let limit = Duration::from_secs(20);
    eventually("it says what is wrong", limit, async || {
        let status = frontend.status().await;
        let trouble = status["trouble"].as_str().unwrap_or_default();
        ensure(
            trouble.contains("trusted.pem") && trouble.contains("signed"),
            || status.to_string(),
        )
    })
    .await;
    let messages = |message: &str| {
        let log = frontend.log();
        log.iter()
            .filter(|line| line["fields"]["message"] == message)
            .count()
    };
    let log = frontend.log();
    let warned = log
        .iter()
        .any(|line| line["level"] == "WARN" && line.to_string().contains("trusted.pem has signed"));
    assert!(warned, "{log:?}");
    assert_eq!(messages("serving"), 0, "{log:?}");
    // What heals needs no restart.
    std::fs::copy(files.path("ca.pem"), &trusted).expect("copied");
    frontend.ready().await;
    eventually("it says that it serves", limit, async || {
        ensure(messages("serving") == 1, || format!("{:?}", frontend.log()))?;
        let status = frontend.status().await;
        ensure(status["trouble"].is_null(), || status.to_string())
    })
    .await;
    // Nobody is to wait for it.
    frontend.terminate(limit).await;
}

async fn hangup_reads_files_again(files: &Files, nsctl: &Nsctl, endpoint: &str) {
    let gate = Gate::to(endpoint).await;
    let key = files.path("used.key");
    let copy = |name: &str| {
        std::fs::copy(files.path(name), &key).expect("a file that was made");
    };
    copy("client.key");
    let mut options = files.options(&IDENTITY);
    options[5].clone_from(&key);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut frontend = Frontend::start("hangup", &[gate.endpoint().to_string()], &options).await;
    frontend.ready().await;
    let limit = Duration::from_secs(20);
    let logs = async |part: &str| {
        eventually(part, limit, async || {
            let log = frontend.log();
            let is_told = log.iter().any(|line| line.to_string().contains(part));
            ensure(is_told, || format!("{log:?}"))
        })
        .await;
    };
    // A key of another certificate is refused, and a new connection has the old one.
    copy("stranger.key");
    frontend.signal("HUP");
    logs("not reloaded").await;
    gate.close();
    eventually("etcd is lost", limit, async || {
        let status = frontend.status().await;
        ensure(status["watching"] == false, || status.to_string())
    })
    .await;
    gate.open();
    let written = nsctl.write("add hangup.example.org A 192.0.2.1").await;
    frontend.applied(written, limit).await;
    logs("connecting to etcd with the last usable ones").await;
    copy("client.key");
    frontend.signal("HUP");
    logs("reloaded the log level").await;
    // Whoever waits for a change later shall not wait for this one.
    assert!(frontend.terminate(limit).await.success());
}
