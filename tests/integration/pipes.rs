//! Master files from pipes: `-`, `/dev/stdin`, process substitution and FIFOs do what files do. The zone may be
//! named in front of the file, as `zone import` and `zone diff` have it.

use std::path::Path;

use tests::{TempDir, binary};
use tokio::process::Command;

const ZONE: &str = "$TTL 60\n\
                    example.org. SOA ns.example.net. hostmaster.example.net. 7 1 1 1 1\n\
                    example.org. NS ns.example.net.\n\
                    $INCLUDE hosts example.org.\n";
/// The same without its name.
const RELATIVE: &str =
    "$TTL 60\n@ SOA ns.example.net. hostmaster.example.net. 7 1 1 1 1\n@ NS ns.example.net.\n";

/// Runs a script of bash in which `$nsctl` is the binary, and returns exit code, standard output and standard error.
async fn script(folder: &Path, script: &str) -> (Option<i32>, String, String) {
    let output = Command::new("bash")
        .args(["-c", script])
        .env("nsctl", binary("nsctl"))
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .expect("bash");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn pipes_are_checked_as_files_are() {
    let folder = TempDir::new();
    folder.write("zone", ZONE);
    folder.write("hosts", "www A 192.0.2.1\n");
    std::fs::create_dir(folder.path().join("elsewhere")).expect("a folder");
    for line in [
        "$nsctl zone check zone",
        "cat zone | $nsctl zone check -",
        "$nsctl zone check - < zone",
        "cat zone | $nsctl zone check /dev/stdin",
        "$nsctl zone check <(cat zone)",
        "$nsctl zone check /proc/self/fd/0 < zone",
        "cat zone | $nsctl zone check example.org -",
        // Files that are included are beside a FIFO, as it has a name.
        "mkfifo pipe && { cat zone > pipe & } && cd elsewhere && $nsctl zone check ../pipe",
    ] {
        let (code, stdout, stderr) = script(folder.path(), line).await;
        assert_eq!(code, Some(0), "{line}: {stderr}");
        assert_eq!(
            stdout, "zone example.org. is sound: serial 7, 3 records\n",
            "{line}: {stderr}"
        );
    }
}

#[tokio::test]
async fn the_zone_stands_in_front_of_the_file() {
    let folder = TempDir::new();
    folder.write("zone", RELATIVE);
    for line in [
        "$nsctl zone check example.org zone",
        "$nsctl zone check example.org - < zone",
        "cp zone example.org.zone && $nsctl zone check example.org.zone",
    ] {
        let (code, stdout, stderr) = script(folder.path(), line).await;
        assert_eq!(code, Some(0), "{line}: {stderr}");
        assert_eq!(
            stdout, "zone example.org. is sound: serial 7, 2 records\n",
            "{line}"
        );
    }
    for (line, reason) in [
        (
            "$nsctl zone check - < zone",
            "- does not say which zone it is: put the zone before the file",
        ),
        (
            "$nsctl zone check /dev/stdin < zone",
            "does not say which zone it is",
        ),
        ("$nsctl zone check a zone --stored b", "cannot be used with"),
        ("$nsctl zone check", "FILE"),
    ] {
        let (code, _, stderr) = script(folder.path(), line).await;
        assert_eq!(code, Some(2), "{line}: {stderr}");
        assert!(stderr.contains(reason), "{line}: {stderr}");
    }
}
