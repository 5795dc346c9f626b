//! What belongs together is read at one revision, whatever is written meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tests::{Gate, Nsctl, Single, TempDir, Way, ensure, eventually};

/// Enough names for several pages of a list.
const NAMES: usize = 5_000;

/// How often each command reads while the zone is replaced all the time.
const READS: usize = 12;

/// A zone of so many names, all of whose addresses are this one.
fn zone(names: usize, address: &str) -> String {
    let head = "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n";
    let hosts: String = (0..names).map(|n| format!("n{n} A {address}\n")).collect();
    format!("{head}@ NS ns1.example.com.\n{hosts}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_replaced_is_read_as_it_was_before_or_after() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    let folder = TempDir::new();
    let files = ["192.0.2.1", "192.0.2.2"].map(|address| {
        let file = folder.write(&format!("{address}.zone"), &zone(NAMES, address));
        file.display().to_string()
    });
    let import = |file: &str| format!("zone import example.org {file} --replace");
    // An earlier state, whose records are archived, stays what it was.
    nsctl.write(&import(&files[0])).await;
    let archives = "zone set example.org --journal-archives 1000";
    let earlier = nsctl.write(archives).await;
    nsctl.write(&import(&files[1])).await;
    let (at_earlier, from_earlier) = (
        format!("zone export example.org --at {earlier}"),
        format!("zone diff example.org --from {earlier}"),
    );

    let is_over = Arc::new(AtomicBool::new(false));
    let imported = Arc::new(AtomicUsize::new(0));
    // It deletes what the import in progress has written so far, too. The import says so and fails, but the next one is
    // left alone.
    let cleaning = {
        let (nsctl, is_over, imported) = (nsctl.clone(), is_over.clone(), imported.clone());
        tokio::spawn(async move {
            let mut before = 0;
            while !is_over.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..1_000))).await;
                let now = imported.load(Ordering::SeqCst);
                if now > before {
                    nsctl.run("zone clean example.org").await.expect(0);
                    before = now;
                }
            }
        })
    };
    let replacing = {
        let (nsctl, is_over, imported) = (nsctl.clone(), is_over.clone(), imported.clone());
        let imports = [import(&files[0]), import(&files[1])];
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                let told = nsctl.run(&imports[count % 2]).await;
                match told.code {
                    3 => assert!(told.stderr.contains("clean"), "{}", told.stderr),
                    _ => {
                        told.expect(0);
                        count += 1;
                        imported.store(count, Ordering::SeqCst);
                    }
                }
            }
            count
        })
    };
    for _ in 0..READS {
        for command in [
            "zone export example.org",
            "list --zone example.org",
            "list",
            &at_earlier,
        ] {
            let told = nsctl.run(command).await.expect(0).stdout;
            let count = |address: &str| {
                let of = told
                    .lines()
                    .filter(|line| line.trim_end().ends_with(address));
                of.count()
            };
            let counts = [count(" 192.0.2.1"), count(" 192.0.2.2")];
            let is_whole = counts == [NAMES, 0] || counts == [0, NAMES] && command != at_earlier;
            assert!(is_whole, "{command}: {counts:?} addresses");
        }
        // It is as one of the files says.
        for command in [
            &format!("zone diff example.org {}", files[0]),
            &from_earlier,
        ] {
            let told = nsctl.run(command).await;
            let differences = told.stdout.lines().count();
            let is_whole = match told.code {
                0 => told.stdout == "no differences\n",
                code => code == 3 && differences == 2 * NAMES,
            };
            assert!(is_whole, "{command}: {differences}, {}", told.stderr);
        }
        let shown = nsctl.run("zone show example.org").await.expect(0).stdout;
        let rrsets = format!("RRsets                  {}", NAMES + 1);
        assert!(shown.contains(&rrsets), "{shown}");
    }
    is_over.store(true, Ordering::SeqCst);
    cleaning.await.expect("no panic");
    let count = replacing.await.expect("no panic");
    assert!(count > 2, "a poor test: replaced {count} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_as_of_the_revision_of_their_zone() {
    // More than one transaction takes, so that a replacement is another generation.
    const COUNT: usize = 300;
    let etcd = Single::start().await;
    let gate = Gate::to(etcd.endpoint()).await;
    let writer = Nsctl::new(&[etcd.endpoint().into()]);
    let reader = Nsctl::new(&[gate.endpoint().into()]);
    let folder = TempDir::new();
    let files = ["192.0.2.1", "192.0.2.2"].map(|address| {
        let file = folder.write(&format!("{address}.zone"), &zone(COUNT, address));
        file.display().to_string()
    });
    let import = |file: &str| format!("zone import example.org {file} --replace");
    let diff = format!("zone diff example.org {}", files[0]);
    let shown = format!("RRsets                  {}", COUNT + 1);
    writer.run(&import(&files[1])).await.expect(0);
    let (records, archive) = ("/ns/v1/rr/", "/ns/archive/");
    for (command, read, part, times) in [
        ("zone export example.org", records, " 192.0.2.1\n", COUNT),
        ("list --zone example.org", records, " 192.0.2.1\n", COUNT),
        ("list", records, " 192.0.2.1\n", COUNT),
        ("zone check --stored example.org", records, "302 records", 1),
        ("zone show example.org", records, &shown, 1),
        (&diff, records, "no differences", 1),
        // At the revision EARLIER all addresses were 192.0.2.2.
        (
            "zone export example.org --at EARLIER",
            archive,
            " 192.0.2.2\n",
            COUNT,
        ),
        (
            "zone diff example.org --from EARLIER",
            records,
            " 192.0.2.1\n",
            COUNT,
        ),
    ] {
        let earlier = writer.write(&import(&files[0])).await - 1;
        gate.hold_up(read, Way::There);
        let command = command.replace("EARLIER", &earlier.to_string());
        let reading = {
            let (reader, command) = (reader.clone(), command.clone());
            tokio::spawn(async move { reader.run(&command).await })
        };
        let limit = Duration::from_secs(20);
        eventually("it asks for records", limit, async || {
            ensure(gate.is_caught(), || "not yet".into())
        })
        .await;
        writer.run(&import(&files[1])).await.expect(0);
        let clean = "zone clean example.org --history";
        writer.run(clean).await.expect(0);
        gate.let_go();
        let code = if command.contains("--from") { 3 } else { 0 };
        let told = reading.await.expect("no panic").expect(code).stdout;
        assert_eq!(told.matches(part).count(), times, "{command}: {told}");
    }
}
