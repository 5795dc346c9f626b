//! Settings that are misspelt, mistaken or taken are told, by both programs.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tests::{Frontend, Process, TempDir, binary, ensure, eventually, free_port};

/// How a start of `nsd` ends that cannot work, and what it says.
async fn refused(args: &[&str]) -> (ExitStatus, String) {
    let mut nsd = Process::start("nsd", &binary("nsd"), args).quiet();
    let status = nsd.end(Duration::from_secs(20)).await;
    (status, nsd.stderr())
}

#[tokio::test]
async fn what_nsd_cannot_use_ends_its_start() {
    let folder = TempDir::new();
    let file: PathBuf = folder.path().join("nsd.toml");
    let config = file.display().to_string();
    for (text, words) in [
        (
            "listn = [\"127.0.0.1:53\"]",
            ["did you mean 'listen'?", &config],
        ),
        ("stale-after = \"soon\"", ["30s or 1h30m", "line 1"]),
        (
            "log-level = \"nonsense\"",
            ["'nonsense' is not a log level", "warn"],
        ),
    ] {
        std::fs::write(&file, text).expect("written");
        let (status, told) = refused(&["--config", &config]).await;
        assert_eq!(status.code(), Some(2), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    for args in [["--log-level", "nonsense"], ["--stale-after", "soon"]] {
        let (status, told) = refused(&args).await;
        assert_eq!(status.code(), Some(2), "{told}");
        assert!(told.contains(args[1]), "{told}");
    }
    // What is not its settings' fault has another code.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let free = format!("127.0.0.1:{}", free_port());
    for (listen, admin) in [(&taken, &free), (&free, &taken)] {
        let (status, told) = refused(&["--listen", listen, "--admin", admin]).await;
        assert_eq!(status.code(), Some(1), "{told}");
        assert!(
            told.contains(&taken) && told.contains("ss -lntup"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn misspelt_variables_are_told() {
    let variables = [
        ("NSD_STALE_AFER", OsStr::new("30s")),
        ("NSD_STALE_AFTER", OsStr::new("1m")),
    ];
    let etcd = [format!("http://127.0.0.1:{}", free_port())];
    let frontend = Frontend::start_with("misspelt", &etcd, &[], &variables).await;
    eventually("it says so", Duration::from_secs(10), async || {
        let log = frontend.log();
        let told = log
            .iter()
            .filter(|line| line.to_string().contains("NSD_STALE_AFER"));
        let told: Vec<_> = told.collect();
        ensure(
            told.len() == 1
                && told[0]["level"] == "WARN"
                && told[0]
                    .to_string()
                    .contains("did you mean NSD_STALE_AFTER?"),
            || format!("{log:?}"),
        )
    })
    .await;
    // It need not get far.
    let nsctl = |name: &str, value: &str| {
        let mut nsctl = Command::new(binary("nsctl"));
        nsctl.args([
            "--endpoints",
            &etcd[0],
            "--timeout",
            "100ms",
            "zone",
            "list",
        ]);
        let output = nsctl.env(name, value).output().expect("nsctl runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), told)
    };
    let (code, told) = nsctl("NSCTL_ENDPOINT", "http://127.0.0.1:1");
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("did you mean NSCTL_ENDPOINTS?"), "{told}");
    let (code, told) = nsctl("NSCTL_LOG_LEVEL", "nonsense");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("is not a log level"), "{told}");
    let (code, told) = nsctl("NSCTL_LOG_LEVEL", "etcd=warn");
    assert_eq!((code, told.lines().count()), (Some(4), 1), "{told}");
}
