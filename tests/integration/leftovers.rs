//! Imports that others get in the way of: nothing half is switched to, and what is left behind is told.

use std::time::Duration;

use etcd::client::{
    ChangeError, Config, Exported, ImportHow, ImportMode, Imported, Store, StoreError,
};
use etcd::model::Name;
use etcd::model::zonefile::{self, Checked};
use etcd::schema::Prefix;
use etcd::txn::Refusal;
use tests::{Gate, Nsctl, Single, TempDir, Way, ensure, eventually};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

/// More than one transaction deletes.
const NAMES: usize = 1_200;

/// Only the settings of a zone have it.
const MNAME: &str = "primary.example.com";

const ADD: &str = "zone add example.org --ns ns1.example.com";

/// What an import reads and writes, and nothing in front of the generations: so it cannot look which ones there are,
/// and what it replaces stays.
const PERMISSIONS: [[&str; 2]; 7] = [
    ["/ns/v1/zone/", "/ns/v1/zone0"],
    ["/ns/v1/serial/", "/ns/v1/serial0"],
    ["/ns/v1/head", "/ns/v1/heae"],
    ["/ns/v1/withdrawn/", "/ns/v1/withdrawn0"],
    ["/ns/journal/", "/ns/journal0"],
    ["/ns/archive/", "/ns/archive0"],
    GENERATIONS,
];

const GENERATIONS: [&str; 2] = ["/ns/v1/rr/org.example/0", "/ns/v1/rr/org.example/:"];

/// A zone with names that sort before its apex in the store, as those of a reverse zone do.
fn zone(address: &str) -> String {
    let head = format!(
        "$TTL 300\n@ SOA {MNAME}. h.example.com. 1 3600 600 604800 300\n@ NS ns1.example.com.\n"
    );
    let hosts: String = (0..NAMES)
        .map(|n| format!("{n:04} A {address}\n"))
        .collect();
    format!("{head}{hosts}")
}

fn apex() -> Name {
    "example.org".parse().expect("a name")
}

fn checked(text: &str) -> Checked {
    let file = zonefile::read(text.as_bytes(), &apex());
    file.and_then(|file| zonefile::check(&apex(), file))
        .expect("a sound file")
}

/// An import through a gate, which waits for answers as long as it takes.
struct Import {
    gate: Gate,
    task: JoinHandle<Result<Imported, ChangeError>>,
}

impl Import {
    /// One that is held up where it sends these octets.
    async fn held_up(
        etcd: &Single,
        user: Option<&str>,
        bait: &str,
        text: &str,
        how: ImportHow,
    ) -> Self {
        let gate = Gate::to(etcd.endpoint()).await;
        gate.hold_up(bait, Way::There);
        let (store, file) = (patient(&gate, user), checked(text));
        let task = tokio::spawn(async move { store.import(&apex(), &file, &how, &|_| {}).await });
        let import = Import { gate, task };
        eventually("it is held up", PATIENCE, async || {
            ensure(import.gate.is_caught(), || "not yet".into())
        })
        .await;
        import
    }

    async fn let_go(self) -> Result<Imported, ChangeError> {
        self.gate.let_go();
        self.task.await.expect("no panic")
    }
}

fn patient(gate: &Gate, user: Option<&str>) -> Store {
    let user = user.and_then(|user| user.split_once(':'));
    let config = Config {
        request_timeout: 10 * PATIENCE,
        user: user.map(|(name, password)| (name.into(), password.into())),
        ..Config::new(vec![gate.endpoint().into()])
    };
    Store::new(config, Prefix::default(), 10 * PATIENCE)
}

fn replace() -> ImportHow {
    ImportHow::new(ImportMode::Replace)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_cleaned_away_is_not_switched_to() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    nsctl.write(ADD).await;
    let generation = async || {
        let read = patient(&Gate::to(etcd.endpoint()).await, None)
            .zone(&apex())
            .await;
        read.expect("read").1.expect("a zone").settings.generation
    };
    let served = generation().await;
    let import = Import::held_up(&etcd, None, MNAME, &zone("192.0.2.1"), replace()).await;

    // The answer to the deletion of most names stays out.
    let gate = Gate::to(etcd.endpoint()).await;
    gate.hold_up("/0999/A", Way::Back);
    let cleaner = patient(&gate, None);
    let cleaning = tokio::spawn(async move { cleaner.sweep(&apex(), |one| one != served).await });
    let keys = || {
        let told = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/rr/org.example/"]);
        told.expect("read").matches("/A\n").count()
    };
    eventually("a part is gone", PATIENCE, async || {
        ensure(keys() < NAMES, || keys().to_string())
    })
    .await;
    import.let_go().await.expect("imported");
    let listed = nsctl.run("list --zone example.org").await.expect(0).stdout;
    assert_eq!(listed.matches("192.0.2.1").count(), NAMES);
    assert_ne!(
        generation().await,
        served,
        "a poor test: it switched to nothing"
    );
    gate.let_go();
    cleaning.await.expect("no panic").expect("swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_told_and_hides_no_reason() {
    let etcd = Single::start().await;
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["user", "add", "root:root"],
        vec!["user", "add", "dns:dns"],
        vec!["role", "add", "dns"],
        vec!["user", "grant-role", "dns", "dns"],
        vec!["role", "add", "root"],
        vec!["user", "grant-role", "root", "root"],
    ];
    let grants = PERMISSIONS.iter();
    commands.extend(
        grants.map(|[from, to]| vec!["role", "grant-permission", "dns", "readwrite", from, to]),
    );
    commands.push(vec!["auth", "enable"]);
    for command in commands {
        etcd.etcdctl(&command).expect("it has users");
    }
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]).with("--user", "root:root");
    nsctl.write(ADD).await;
    let import = async |bait, text: &str, how| {
        Import::held_up(&etcd, Some("dns:dns"), bait, text, how).await
    };
    let folder = TempDir::new();

    // Somebody else does the same.
    let text = zone("192.0.2.1");
    let held_up = import(MNAME, &text, replace()).await;
    let file = folder.write("same.zone", &text).display().to_string();
    nsctl
        .run(&format!("zone import example.org {file} --replace"))
        .await
        .expect(0);
    let imported = held_up.let_go().await.expect("it is so");
    assert!(!imported.changed, "{imported:?}");
    let denied = matches!(imported.leftover, Some(StoreError::Denied(_)));
    assert!(denied, "{imported:?}");
    nsctl.write("zone clean example.org").await;

    // Somebody else changes what was exported.
    let exported = nsctl.run("zone export example.org").await.expect(0).stdout;
    let how = ImportHow {
        exported: Exported::find(exported.as_bytes()),
        is_at_once: false,
        ..replace()
    };
    let held_up = import(MNAME, &zone("192.0.2.2"), how).await;
    nsctl.write("add new.example.org A 192.0.2.3").await;
    let refused = held_up.let_go().await.expect_err("refused");
    let told = refused.to_string();
    assert!(told.contains("has changed since"), "{told}");
    assert!(
        told.ends_with("nsctl zone clean example.org. deletes them"),
        "{told}"
    );
    let ChangeError::LeftStaged(refused, _) = refused else {
        panic!("{refused:?}");
    };
    let is_refused = matches!(*refused, ChangeError::Refused(Refusal::ChangedSince { .. }));
    assert!(is_refused, "{refused:?}");
    nsctl.write("zone clean example.org").await;

    // The last batch is refused.
    let held_up = import("/1199/A", &zone("192.0.2.4"), replace()).await;
    let [from, to] = GENERATIONS;
    let revoke = [
        "--user",
        "root:root",
        "role",
        "revoke-permission",
        "dns",
        from,
        to,
    ];
    etcd.etcdctl(&revoke).expect("revoked");
    let stopped = held_up.let_go().await.expect_err("not permitted");
    let told = stopped.to_string();
    assert!(told.contains("; nothing was written; "), "{told}");
    assert!(
        told.ends_with("nsctl zone clean example.org. deletes them"),
        "{told}"
    );
    nsctl.write("zone clean example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_begins_anew_tells_all_that_it_wrote() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    nsctl.write(ADD).await;
    let how = ImportHow::new(ImportMode::Merge);
    let import = Import::held_up(&etcd, None, "/1199/A", &zone("192.0.2.1"), how).await;
    nsctl.write("add new.example.org A 192.0.2.3").await;
    let imported = import.let_go().await.expect("merged");
    // With the NS records, whose TTL is another one: one goes and one comes.
    let counts = (imported.written, imported.differences.len());
    assert_eq!(counts, (NAMES + 1, NAMES + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_import_replaced_can_be_rolled_back_to_after_a_clean() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    nsctl.write(ADD).await;
    let before = nsctl.write("add www.example.org A 192.0.2.7").await;
    // It has switched, and not archived yet what it replaced.
    let import = Import::held_up(&etcd, None, "/ns/archive/", &zone("192.0.2.1"), replace()).await;
    import.task.abort();
    let has = |address: &str| {
        let told = etcd.etcdctl(&["get", "--prefix", "/ns/v1/rr/org.example/"]);
        told.expect("read").contains(address)
    };
    assert!(has("192.0.2.1") && has("192.0.2.7"), "a poor test");
    nsctl.run("zone clean example.org").await.expect(0);
    assert!(has("192.0.2.1") && !has("192.0.2.7"));
    nsctl
        .run(&format!("zone rollback example.org --to {before} --yes"))
        .await
        .expect(0);
    let listed = nsctl.run("list --zone example.org").await.expect(0).stdout;
    assert!(listed.contains("192.0.2.7") && !listed.contains("192.0.2.1"));
}
