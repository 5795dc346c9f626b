//! Other name servers, as processes on 127.0.0.1.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::{Process, TempDir, ensure, eventually};

use super::world::File;

/// A name server of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Knot,
    /// NLnet Labs', whose program has the name of ours.
    Nsd,
}

/// A name server that runs.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    address: SocketAddr,
    socket: UdpSocket,
    process: Process,
    _folder: TempDir,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Knot, Kind::Nsd];

    /// Where its program is, if it is installed and what it seems to be.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let (name, option, says) = match self {
            Kind::Knot => ("knotd", "--version", "Knot DNS"),
            Kind::Nsd => ("nsd", "-v", "NLnet Labs"),
        };
        let folders = [
            "/usr/sbin",
            "/usr/local/sbin",
            "/usr/bin",
            "/opt/homebrew/sbin",
        ];
        let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
        paths.find(|path| {
            let output = Command::new(path).arg(option).output();
            let is_it = |text: &[u8]| String::from_utf8_lossy(text).contains(says);
            output.is_ok_and(|output| is_it(&output.stdout) || is_it(&output.stderr))
        })
    }
}

impl Peer {
    /// Starts one with these zones, and waits until it answers for the last of them.
    pub(crate) async fn start(kind: Kind, files: &[File]) -> Self {
        let program = kind.program().expect("it was looked for before");
        let folder = TempDir::new();
        let address = free_address();
        for (number, file) in files.iter().enumerate() {
            folder.write(&format!("{number}.zone"), &file.text);
        }
        let text = match kind {
            Kind::Knot => knot(folder.path(), address, files),
            Kind::Nsd => nsd(folder.path(), address, files),
        };
        let config = folder.write("config", &text).display().to_string();
        let args: &[&str] = match kind {
            Kind::Knot => &["-c", &config],
            Kind::Nsd => &["-d", "-c", &config],
        };
        let mut process = Process::start(&format!("{kind:?}"), &program, args);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        let quick = Some(Duration::from_millis(300));
        socket.set_read_timeout(quick).unwrap();
        for file in files {
            let query = [
                b"\0\0\0\0\0\x01\0\0\0\0\0\0",
                file.apex.wire(),
                b"\0\x06\0\x01",
            ]
            .concat();
            let what = format!("{kind:?} serves {}", file.apex);
            eventually(&what, Duration::from_secs(20), async || {
                process.check()?;
                let octets = exchange(&socket, &query).map_err(|error| error.to_string())?;
                ensure(octets[3] & 15 == 0, || format!("{octets:02x?}"))
            })
            .await;
        }
        socket.set_read_timeout(Some(tests::dns::PATIENCE)).unwrap();
        Peer {
            kind,
            address,
            socket,
            process,
            _folder: folder,
        }
    }

    /// Asks it, over UDP or TCP.
    pub(crate) fn ask(&self, query: &[u8], is_udp: bool) -> Vec<u8> {
        let answer = if is_udp {
            exchange(&self.socket, query)
        } else {
            exchange_tcp(self.address, query)
        };
        answer
            .unwrap_or_else(|error| panic!("{:?} does not answer {query:02x?}: {error}", self.kind))
    }
}

impl Drop for Peer {
    /// NSD's parent process tells its children that it is over.
    fn drop(&mut self) {
        self.process.signal("TERM");
        for _ in 0..200 {
            if self.process.ended().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits for the response with the query's id; others are late.
fn exchange(socket: &UdpSocket, query: &[u8]) -> std::io::Result<Vec<u8>> {
    socket.send(query)?;
    let mut buffer = vec![0; 65_535];
    loop {
        let len = match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            received => received?,
        };
        if len >= 12 && buffer[..2] == query[..2] {
            buffer.truncate(len);
            return Ok(buffer);
        }
    }
}

fn exchange_tcp(address: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(tests::dns::PATIENCE))?;
    let framed = [&(query.len() as u16).to_be_bytes(), query].concat();
    stream.write_all(&framed)?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// An address that is free for UDP and TCP: neither program can be told to choose one.
fn free_address() -> SocketAddr {
    loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn knot(folder: &Path, address: SocketAddr, files: &[File]) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    let mut text = format!(
        "server:\n  rundir: \"{folder}\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n\
         database:\n  storage: \"{folder}\"\n\
         template:\n  - id: default\n    storage: \"{folder}\"\n    zonefile-load: whole\n    \
         zonefile-sync: -1\n    journal-content: none\n    semantic-checks: soft\n\
         zone:\n"
    );
    for (number, file) in files.iter().enumerate() {
        writeln!(
            text,
            "  - domain: \"{}\"\n    file: {number}.zone",
            file.apex
        )
        .unwrap();
    }
    text
}

fn nsd(folder: &Path, address: SocketAddr, files: &[File]) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    let mut text = format!(
        "server:\n  ip-address: {ip}@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{folder}\"\n  \
         pidfile: \"\"\n  database: \"\"\n  xfrdfile: \"{folder}/xfrd\"\n  xfrdir: \"{folder}\"\n  \
         zonelistfile: \"{folder}/zones\"\n  server-count: 1\n  rrl-ratelimit: 0\n  \
         rrl-whitelist-ratelimit: 0\n  minimal-responses: no\n\
         remote-control:\n  control-enable: no\n"
    );
    for (number, file) in files.iter().enumerate() {
        writeln!(
            text,
            "zone:\n  name: \"{}\"\n  zonefile: \"{number}.zone\"",
            file.apex
        )
        .unwrap();
    }
    text
}
