//! Two writers at once who each would be allowed alone: one of them wins, never both.

use tests::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_exclude_each_other_one_wins() {
    let world = World::with(0).await;
    let nsctl = &world.nsctl;
    let mut winners = [0; 2];
    for round in 0..12 {
        let pairs = [
            [
                format!("add a{round}.example.org CNAME elsewhere.example.net"),
                format!("add a{round}.example.org A 192.0.2.1"),
            ],
            [
                format!("add b{round}.example.org DNAME elsewhere.example.net"),
                format!("add x.y.b{round}.example.org A 192.0.2.1"),
            ],
            [
                format!("add c{round}.example.org DNAME elsewhere.example.net"),
                format!("add c{round}.example.org NS ns1.example.net"),
            ],
        ];
        for [one, other] in &pairs {
            let (first, second) = tokio::join!(nsctl.run(one), nsctl.run(other));
            let codes = [first.code, second.code];
            assert!(
                codes == [0, 3] || codes == [3, 0],
                "{one}: {first:?}\n{other}: {second:?}"
            );
            winners[usize::from(codes[1] == 0)] += 1;
        }
    }
    println!("first {} times, second {} times", winners[0], winners[1]);
    // What is there is a zone that an import would take.
    let text = nsctl.run("zone export example.org").await.expect(0).stdout;
    let folder = tests::TempDir::new();
    let file = folder.write("example.org.zone", &text);
    let check = ["zone", "check", &file.display().to_string()];
    nsctl.run_args(&check).await.expect(0);
}
