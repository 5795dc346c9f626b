//! Unicode names: A-labels are what is stored and answered, both forms are what a person reads.

use domain::base::Rtype;
use tests::{TempDir, World};

#[tokio::test]
async fn unicode_names_are_stored_as_a_labels_and_shown_as_both() {
    let world = World::start().await;
    let nsctl = &world.nsctl;
    let added = nsctl
        .run("zone add Bücher.example --ns ns.straße.example --mbox info@bücher.example --wait")
        .await
        .expect(0);
    assert!(
        added.stdout.contains("xn--bcher-kva.example.")
            && added.stdout.contains("(bücher.example.)"),
        "{}",
        added.stdout
    );
    let added = nsctl
        .run("add *.ü.bücher.example CNAME straße.example --wait")
        .await
        .expect(0);
    assert!(
        added.stdout.starts_with(
            "+ *.xn--tda.xn--bcher-kva.example. 300 CNAME xn--strae-oqa.example. (*.ü.bücher.example., straße.example.)\n"
        ),
        "{}",
        added.stdout
    );
    world
        .expect(
            "a.xn--tda.xn--bcher-kva.example",
            Rtype::CNAME,
            "NOERROR",
            &["a.xn--tda.xn--bcher-kva.example. 300 CNAME xn--strae-oqa.example."],
        )
        .await;
    for command in [
        "list *.ü.bücher.example",
        "list --zone bücher.example",
        "zone list",
        "zone show bücher.example",
    ] {
        let shown = nsctl.run(command).await.expect(0).stdout;
        assert!(shown.contains("bücher.example.)"), "{command}: {shown}");
    }
    let json = nsctl.ok("list *.ü.bücher.example").await;
    assert_eq!(json[0]["name"], "*.xn--tda.xn--bcher-kva.example.");
    assert_eq!(json[0]["unicode"], "*.ü.bücher.example.");
    let json = nsctl.ok("list example.org").await;
    assert!(json[0].get("unicode").is_none(), "{json}");

    // What is exported is ASCII, and a file may have either.
    let exported = nsctl
        .run("zone export bücher.example")
        .await
        .expect(0)
        .stdout;
    assert!(exported.is_ascii(), "{exported}");
    let folder = TempDir::new();
    let unicode = exported
        .replace("xn--tda", "Ü")
        .replace("xn--bcher-kva", "bücher");
    assert!(!unicode.is_ascii());
    let file = folder.write("zone", &unicode).display().to_string();
    let same = nsctl
        .run_args(&["zone", "diff", "bücher.example", &file])
        .await
        .expect(0);
    assert_eq!(same.stdout, "no differences\n");
    let file = folder
        .write("other", &(unicode + "neu.bücher.example. 60 A 192.0.2.1\n"))
        .display()
        .to_string();
    let differs = nsctl
        .run_args(&["zone", "diff", "bücher.example", &file])
        .await
        .expect(3);
    assert_eq!(
        differs.stdout,
        "+ neu.xn--bcher-kva.example. 60 A 192.0.2.1 (neu.bücher.example.)\n"
    );
    let refused = nsctl
        .run("add ü-.bücher.example A 192.0.2.1")
        .await
        .expect(2);
    assert!(refused.complaint().contains("UTS 46"), "{}", refused.stderr);
}
