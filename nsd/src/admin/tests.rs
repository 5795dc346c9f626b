//! The admin listener, without a front-end behind it.

use etcd::mirror::Event;

use super::*;
use crate::mirror::MirrorSettings;
use crate::served::Publisher;
use crate::zone::View;

/// A front-end with nothing in it.
struct Bench {
    shared: Shared,
    builder: SharedBuilder,
    publisher: Publisher,
    phase: watch::Sender<Phase>,
    registration: watch::Sender<Registered>,
}

fn bench() -> Bench {
    let settings = MirrorSettings {
        store: etcd::client::Config::new(vec![]),
        prefix: etcd::schema::Prefix::default(),
        consistency: crate::model::Consistency::Available,
        guard: crate::mirror::Guard::default(),
        snapshot: None,
        audit: None,
        allow_empty: false,
    };
    let (builder, _) = SharedBuilder::open(&settings);
    let (publisher, served, _) = Publisher::new(View::default(), Standing::default());
    let (phase, phases) = watch::channel(Phase::Serving);
    let (registration, registered) = watch::channel(Registered::default());
    let (barrier, _rounds) = Barrier::new(Duration::ZERO, || std::future::ready(false));
    let shared = Shared {
        id: "fe1".into(),
        metrics: Metrics::new(1),
        served,
        builder: builder.clone(),
        barrier,
        registered,
        phases,
        waiters: Waiters::default(),
    };
    Bench {
        shared,
        builder,
        publisher,
        phase,
        registration,
    }
}

#[tokio::test]
async fn it_is_ready_from_the_first_data_until_it_is_told_to_end() {
    let bench = bench();
    let status = async || {
        let response = ready(State(bench.shared.clone())).await;
        response.into_response().status()
    };
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    bench.publisher.update(|standing| standing.ready = true);
    assert_eq!(status().await, StatusCode::OK);
    for ending in [Phase::LameDuck, Phase::Ending] {
        bench.phase.send_replace(ending);
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[test]
fn the_status_is_told_while_the_registration_changes_all_the_time() {
    let Bench {
        shared,
        registration,
        ..
    } = bench();
    let (told, is_told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let asked = async {
            for _ in 0..20_000 {
                let wanted = WaitQuery {
                    min_revision: None,
                    timeout_ms: None,
                };
                let told = status(State(shared.clone()), Query(wanted)).await;
                assert!(told.is_ok());
            }
        };
        runtime.expect("a runtime").block_on(asked);
        told.send(()).expect("it is waited for");
    });
    std::thread::spawn(move || {
        while !registration.is_closed() {
            registration.send_replace(Registered::default());
        }
    });
    let told = is_told.recv_timeout(Duration::from_secs(60));
    assert!(told.is_ok(), "a reader and a writer wait for each other");
}

#[tokio::test]
async fn the_digest_of_a_revision_that_has_not_come_is_not_known() {
    let bench = bench();
    {
        let mut builder = bench.builder.lock();
        builder.apply(Event::Listing);
        builder.apply(Event::Listed { revision: 9 });
    }
    bench
        .publisher
        .update(|standing| standing.received = Some(9));
    let is_known = async |revision, min_revision| {
        let wanted = WaitQuery {
            min_revision,
            timeout_ms: None,
        };
        let shared = State(bench.shared.clone());
        let told = digest(shared, Query(wanted), Query(RevisionQuery { revision })).await;
        let Json(told) = told.expect("nothing panics");
        told.digest.is_some()
    };
    assert!(is_known(9, None).await);
    assert!(!is_known(8, None).await, "it is not known any more");
    assert!(!is_known(10, None).await, "it has not come");
    assert!(
        !is_known(12, Some(10)).await,
        "nor has the last change before it"
    );
    assert!(is_known(12, Some(9)).await, "nothing has changed since");
}

/// Locks the builder on another thread until the returned function is called, for ten seconds at most. That function
/// returns whether it was called in time.
fn hold(builder: &SharedBuilder) -> impl FnOnce() -> bool {
    let (builder, (held, is_held)) = (builder.clone(), std::sync::mpsc::channel());
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _builder = builder.lock();
        held.send(()).expect("it is waited for");
        is_done.recv_timeout(Duration::from_secs(10)).is_ok()
    });
    is_held.recv().expect("it is held");
    move || {
        // It fails if the ten seconds are over.
        let _ = done.send(());
        holder.join().expect("no panic")
    }
}

#[tokio::test]
async fn nobody_waits_for_who_waits_for_the_builder() {
    let bench = bench();
    let release = hold(&bench.builder);
    // All of them run on the one thread of the test.
    let (wanted, at) = (
        || {
            Query(WaitQuery {
                min_revision: None,
                timeout_ms: None,
            })
        },
        || Query(RevisionQuery { revision: 1 }),
    );
    let shared = || State(bench.shared.clone());
    let asked = tokio::spawn({
        let all = (
            status(shared(), wanted()),
            digest(shared(), wanted(), at()),
            serials(shared()),
        );
        async move {
            let (status, digest, serials) = tokio::join!(all.0, all.1, all.2);
            status.is_ok() && digest.is_ok() && serials.is_ok()
        }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished(), "they have to wait");
    assert!(release(), "the thread has waited for the builder");
    assert!(asked.await.expect("no panic"));
}

/// Starts a listener.
async fn listening(
    connections: usize,
    head: Duration,
) -> (
    std::net::SocketAddr,
    CancellationToken,
    tokio::task::JoinHandle<()>,
) {
    let limits = listen::HttpLimits {
        connections,
        head,
        stall: Duration::from_secs(60),
        drain: Duration::from_secs(60),
    };
    let router = Router::new().route("/healthz", get(|| async { "ok\n" }));
    listening_with(limits, router).await
}

async fn listening_with(
    limits: listen::HttpLimits,
    router: Router,
) -> (
    std::net::SocketAddr,
    CancellationToken,
    tokio::task::JoinHandle<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let served = tokio::spawn(listen::serve(limits, listener.into(), router, stop.clone()));
    (address, stop, served)
}

/// Sends a request, and reads until the other side closes; none if it does not.
async fn told(address: std::net::SocketAddr, request: &[u8]) -> Option<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(request).await.ok()?;
    let mut told = Vec::new();
    let read = stream.read_to_end(&mut told);
    // An error also means that it is closed: it may be closed with octets unread.
    let _ = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .ok()?;
    Some(String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn requests_that_never_end_do_not_keep_others_out() {
    let (address, quit, served) = listening(2, Duration::from_millis(200)).await;
    let endless = ["", "GET /heal", "GET /healthz HTTP/1.1\r\nx: y\r\n", ""];
    let endless = endless.map(|part| tokio::spawn(told(address, part.as_bytes())));
    let sound = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = told(address, sound).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
    for one in endless {
        let told = one.await.expect("no panic");
        assert!(told.is_some(), "it is still open");
    }
    // A body is not read, and a head that is too long is refused.
    let body = b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\n\r\nx";
    let answer = told(address, body).await.expect("it is closed");
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let head = [&b"GET /healthz HTTP/1.1\r\nx: "[..], &[b'x'; 100_000]].concat();
    let answer = told(address, &head).await;
    assert!(
        answer.is_none_or(|answer| !answer.contains("200")),
        "a head of 100 kB"
    );
    quit.cancel();
    served.await.expect("it ends");
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait() {
    use tokio::io::AsyncWriteExt;
    let (address, quit, served) = listening(1, Duration::from_secs(3600)).await;
    let sound = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    first.write_all(&sound[..5]).await.expect("sent");
    let second = tokio::spawn(told(address, sound));
    // This gives it far more turns than an answer takes.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished(), "the first one has the only seat");
    drop(first);
    let answer = second.await.expect("no panic").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    quit.cancel();
    served.await.expect("it ends");
}

#[tokio::test]
async fn whoever_has_not_asked_does_not_hold_up_the_end() {
    let (address, quit, served) = listening(2, Duration::from_millis(200)).await;
    let idle = tokio::spawn(told(address, b"GET"));
    // After another request is served, the first one is certainly open.
    let sound = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(told(address, sound).await.is_some());
    quit.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), served).await;
    assert!(
        ended.is_ok_and(|ended| ended.is_ok()),
        "it is still waited for"
    );
    idle.await.expect("no panic");
}

/// A router with a body that comes chunk by chunk.
fn streaming(chunks: tokio::sync::mpsc::Receiver<Result<Vec<u8>, std::io::Error>>) -> Router {
    let chunks = Arc::new(std::sync::Mutex::new(Some(chunks)));
    Router::new().route(
        "/stream",
        get(async move || {
            let chunks = chunks.lock().expect("no panic").take();
            let chunks = chunks.expect("it is asked for once");
            axum::body::Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(chunks))
        }),
    )
}

const STREAM: &[u8] = b"GET /stream HTTP/1.0\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_long_download_is_not_cut_as_long_as_it_goes_on() {
    let limits = listen::HttpLimits {
        stall: Duration::from_secs(1),
        ..listen::HttpLimits::new(Duration::ZERO)
    };
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    let (address, _quit, _served) = listening_with(limits, streaming(chunks)).await;
    let download = tokio::spawn(told(address, STREAM));
    // In total it takes several times the limit for a stall.
    for _ in 0..60 {
        sender.send(Ok(b"x".to_vec())).await.expect("it goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(sender);
    let told = download.await.expect("no panic").expect("it is closed");
    assert!(told.ends_with(&"x".repeat(60)), "{told}");
}

#[tokio::test]
async fn a_download_that_nobody_takes_is_cut() {
    let limits = listen::HttpLimits {
        stall: Duration::from_millis(100),
        ..listen::HttpLimits::new(Duration::ZERO)
    };
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    let (address, _quit, _served) = listening_with(limits, streaming(chunks)).await;
    use tokio::io::AsyncWriteExt;
    let mut client = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    client.write_all(STREAM).await.expect("sent");
    let endless = async { while sender.send(Ok(vec![0; 1 << 20])).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), endless).await;
    assert!(ended.is_ok(), "it is still written to");
}

#[tokio::test]
async fn those_that_wait_leave_room_for_others() {
    let bench = bench();
    let wait = || {
        let mut shared = bench.shared.clone();
        tokio::spawn(async move {
            let wanted = WaitQuery {
                min_revision: Some(1),
                timeout_ms: Some(60_000),
            };
            shared.wait(&wanted, |standing| standing.applied).await;
        })
    };
    let waiting: Vec<_> = (0..WAITERS_MAX).map(|_| wait()).collect();
    while bench.shared.waiters.0.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let one_more = tokio::time::timeout(Duration::from_secs(20), wait()).await;
    assert!(one_more.is_ok(), "it waits, too");
    assert!(waiting.iter().all(|one| !one.is_finished()));
    bench
        .publisher
        .update(|standing| standing.applied = Some(1));
    for one in waiting {
        one.await.expect("no panic");
    }
}
