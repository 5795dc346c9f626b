//! How long a query waits for its answer while a large view is put in the place of another and that one is freed.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nsd::answer::{Barrier, Service};
use nsd::metrics::Metrics;
use nsd::model::{Name, Rtype};
use nsd::served::{Publisher, Standing};
use nsd::server::{self, ConnectionLimits, Connections};
use nsd::supervisor::Supervisor;
use nsd::zone::{Contents, Rrset, SoaFields, View, Zone};

use crate::data::ZONE;

/// The longest waits, in seconds.
pub(crate) struct Stall {
    /// While views were replaced and freed.
    pub(crate) replaced: f64,
    /// In as much time without.
    pub(crate) idle: f64,
}

/// Replaces a view of so many RRsets so often, while a client asks one question after the other.
pub(crate) fn longest(size: usize, times: usize) -> Result<Stall, String> {
    let told = |error: std::io::Error| error.to_string();
    let (publisher, served) = Publisher::start(View::default(), Standing::default());
    let (barrier, _rounds) = Barrier::new(Duration::ZERO, || std::future::ready(false));
    let service = Service {
        served: served.clone(),
        stale_after: None,
        barrier,
        policy: Arc::default(),
        nsid: String::new(),
        version: String::new(),
        tcp_idle: Duration::from_secs(10),
    };
    let listen = [SocketAddr::from(([127, 0, 0, 1], 0))];
    let mut sockets = server::bind(&listen, false, 1).map_err(told)?;
    let address = sockets.addresses[0];
    // UDP alone.
    sockets.tcp.clear();
    let connections = Connections::new(
        ConnectionLimits::new(1, Duration::ZERO, Duration::ZERO),
        Arc::default(),
    );
    let (mut servers, metrics) = (Supervisor::default(), Metrics::new(1));
    server::serve(
        &mut servers,
        &service,
        sockets,
        &connections,
        None,
        &metrics,
    )
    .map_err(told)?;
    publisher.publish(view(size, 0), Vec::new());
    let client = Client::start(address).map_err(told)?;
    let mut stall = Stall {
        replaced: 0.0,
        idle: 0.0,
    };
    for number in 1..=times {
        let next = view(size, number);
        let old = Arc::downgrade(&served.view());
        let start = Instant::now();
        let replaced = client.longest_while(|| {
            publisher.publish(next, Vec::new());
            while old.strong_count() > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let took = start.elapsed();
        let idle = client.longest_while(|| thread::sleep(took));
        stall.replaced = stall.replaced.max(replaced);
        stall.idle = stall.idle.max(idle);
    }
    client.end();
    drop(servers);
    Ok(stall)
}

fn view(size: usize, number: usize) -> View {
    let apex: Name = ZONE.parse().expect("a name");
    let mut contents = Contents::new(apex.clone());
    for index in 0..size {
        let owner: Name = format!("h{index}.{ZONE}").parse().expect("a name");
        let address = [10, number as u8, (index >> 8) as u8, index as u8];
        let rrset = Rrset::new(300, [&address[..]]).expect("an RRset");
        contents.put(&owner, Rtype::A, &rrset);
    }
    let soa = SoaFields {
        mname: apex.clone(),
        rname: apex,
        serial: number as u32,
        refresh: 1,
        retry: 2,
        expire: 3,
        minimum: 4,
        ttl: 5,
    };
    let mut view = View::default();
    view.set_ready(true);
    view.put_zone(Arc::new(Zone::new(&soa, contents)));
    view
}

/// Asks without a pause, on a thread of its own.
struct Client {
    thread: thread::JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    nanos_max: AtomicU64,
    is_over: AtomicBool,
}

impl Client {
    fn start(server: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut query = b"\0\x07\0\0\0\x01\0\0\0\0\0\0".to_vec();
        let owner: Name = format!("h7.{ZONE}").parse().expect("a name");
        query.extend(owner.wire());
        query.extend(b"\0\x01\0\x01");
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        let thread = thread::spawn(move || {
            while !told.is_over.load(Ordering::Relaxed) {
                let start = Instant::now();
                // One that is lost shows as a long stall.
                let _ = socket.send(&query);
                let _ = socket.recv(&mut [0; 512]);
                let nanos = start.elapsed().as_nanos() as u64;
                told.nanos_max.fetch_max(nanos, Ordering::Relaxed);
            }
        });
        Ok(Client { thread, shared })
    }

    /// The longest wait in seconds while something is done.
    fn longest_while(&self, work: impl FnOnce()) -> f64 {
        self.shared.nanos_max.store(0, Ordering::Relaxed);
        work();
        self.shared.nanos_max.load(Ordering::Relaxed) as f64 / 1e9
    }

    fn end(self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}
