//! Front-ends are restarted one after the other: what has come is answered, and nobody waits for who has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, World, dns};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Queries that have come when a front-end is told to end.
const QUERIES: u16 = 300;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_query_and_holds_nobody_up() {
    let mut world = World::start().await;
    let exact = "zone add exact.test --ns ns1.example.org --consistency linearizable";
    world.nsctl.write(exact).await;
    world.nsctl.write("add www.exact.test A 192.0.2.1").await;
    world
        .nsctl
        .write("add www.example.org A 192.0.2.1 --wait")
        .await;

    let writer = {
        let nsctl = world.nsctl.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut writes = 0;
            while !stopped.load(Ordering::Relaxed) {
                let add = format!("add w{writes}.example.org A 192.0.2.1 --wait 30s");
                let output = nsctl.run(&add).await.expect(0);
                assert!(
                    output.took < Duration::from_secs(5),
                    "held up: {:?}",
                    output.took
                );
                writes += 1;
            }
            writes
        });
        (stop, task)
    };
    for index in 0..world.frontends.len() {
        ends_with_all_answered(&mut world.frontends[index]).await;
        let id = format!("fe{}", index + 1);
        world.frontends[index] = Frontend::start(&id, world.cluster.endpoints(), &[]).await;
        world.registered(3).await;
    }
    writer.0.store(true, Ordering::Relaxed);
    let writes = writer.1.await.expect("no write was held up");
    println!("{writes} writes were served everywhere meanwhile");
    assert!(writes > 5, "a poor test: {writes} writes");
}

/// It stands still while queries come and while it is told to end; when it goes on, all of that is there at once.
async fn ends_with_all_answered(frontend: &mut Frontend) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    udp.connect(frontend.dns).await.expect("UDP connects");
    // All answers may come before the first one is read.
    let room = socket2::SockRef::from(&udp).set_recv_buffer_size(4 << 20);
    room.expect("the kernel grants what it may");
    let mut tcp = TcpStream::connect(frontend.dns).await.expect("it listens");
    let name = |id| ["www.example.org", "www.exact.test"][usize::from(id % 2)];
    // One answer, so that the connection is known to be there.
    dns::send_framed(&mut tcp, &dns::query(0, name(0), Rtype::A))
        .await
        .expect("sent");
    dns::receive_framed(&mut tcp).await.expect("an answer");
    frontend.freeze();
    for id in 0..QUERIES {
        let query = dns::query(id, name(id), Rtype::A);
        udp.send(&query).await.expect("sent");
        dns::send_framed(&mut tcp, &query).await.expect("sent");
    }
    frontend.tell_to_end();
    frontend.thaw();
    let ended = async {
        let status = frontend.end(PATIENCE).await;
        assert!(status.success(), "{status}");
    };
    let answered = async {
        let (mut seen, mut buffer) = (vec![[false; 2]; QUERIES.into()], vec![0; 65_535]);
        for _ in 0..QUERIES {
            let len = timeout(PATIENCE, udp.recv(&mut buffer)).await;
            let len = len.expect("an answer to each over UDP").expect("received");
            let answer = dns::parse(&buffer[..len]).expect("a response");
            assert_eq!(answer.rcode, "NOERROR", "{answer:?}");
            seen[usize::from(answer.id)][0] = true;
        }
        for _ in 0..QUERIES {
            let octets = timeout(PATIENCE, dns::receive_framed(&mut tcp)).await;
            let octets = octets
                .expect("an answer to each over TCP")
                .expect("received");
            let answer = dns::parse(&octets).expect("a response");
            assert_eq!(answer.rcode, "NOERROR", "{answer:?}");
            seen[usize::from(answer.id)][1] = true;
        }
        assert!(seen.iter().flatten().all(|seen| *seen));
    };
    tokio::join!(ended, answered);
}
