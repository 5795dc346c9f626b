//! Two network namespaces with a veth pair between them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::Process;

/// The core that servers are pinned to.
pub(crate) const SERVER_CORE: &str = "0";

/// The core that generators, stores and writers are pinned to.
pub(crate) const CLIENT_CORE: &str = "1";

/// The interface on a generator's side.
pub(crate) const CLIENT_INTERFACE: &str = "bench";

/// The interface on the server's side, towards the first generator.
pub(crate) const SERVER_INTERFACE: &str = "bench0";

/// The namespaces, removed with the value.
pub(crate) struct Net {
    server: String,
    clients: Vec<String>,
}

/// Where a program runs.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Server,
    Client(usize),
}

/// An address on the server's side, as this generator sees it.
pub(crate) fn address_for(client: usize, index: usize) -> String {
    format!("10.{}.0.{}", 53 + client, index + 1)
}

/// An address on the server's side, as the first generator sees it.
pub(crate) fn address(index: usize) -> String {
    address_for(0, index)
}

/// The own address of a generator.
pub(crate) fn own_address(client: usize) -> String {
    address_for(client, 253)
}

/// What went over the server's interfaces.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) received: Count,
    pub(crate) sent: Count,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) octets: f64,
    pub(crate) packets: f64,
}

impl Net {
    /// Makes them, with so many addresses on the server's side towards each of so many generators.
    pub(crate) fn new(addresses: usize, clients: usize) -> Result<Self, String> {
        let id = std::process::id();
        let clients = (0..clients).map(|index| format!("bench-{id}-c{index}"));
        let net = Net {
            server: format!("bench-{id}-s"),
            clients: clients.collect(),
        };
        let server = net.server.as_str();
        ip(&["netns", "add", server])?;
        ip(&["-n", server, "link", "set", "lo", "up"])?;
        for (number, client) in net.clients.iter().enumerate() {
            let near = format!("bench{number}");
            let peer = ["peer", "name", CLIENT_INTERFACE, "netns", client];
            ip(&["netns", "add", client])?;
            ip(&[
                &["link", "add", &near, "netns", server, "type", "veth"],
                &peer[..],
            ]
            .concat())?;
            for index in 0..addresses {
                let address = format!("{}/24", address_for(number, index));
                ip(&["-n", server, "addr", "add", &address, "dev", &near])?;
            }
            let own = format!("{}/24", own_address(number));
            ip(&["-n", client, "addr", "add", &own, "dev", CLIENT_INTERFACE])?;
            ip(&["-n", server, "link", "set", &near, "up"])?;
            ip(&["-n", client, "link", "set", CLIENT_INTERFACE, "up"])?;
            ip(&["-n", client, "link", "set", "lo", "up"])?;
        }
        Ok(net)
    }

    /// The arguments of `ip` that run a program on one side, on these cores.
    fn inside<'a>(
        &'a self,
        side: Side,
        cores: &'a str,
        program: &'a Path,
        args: &'a [&str],
    ) -> Vec<&'a OsStr> {
        let space = match side {
            Side::Server => &self.server,
            Side::Client(index) => &self.clients[index],
        };
        // It ends with us, however we end.
        let guard = ["setpriv", "--pdeathsig", "KILL"];
        let front = ["netns", "exec", space].into_iter().chain(guard);
        let front = front.chain(["taskset", "-c", cores]).map(OsStr::new);
        let args = args.iter().map(OsStr::new);
        front.chain([program.as_os_str()]).chain(args).collect()
    }

    /// Starts a program on one side.
    pub(crate) fn start(&self, side: Side, cores: &str, program: &Path, args: &[&str]) -> Process {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let args = self.inside(side, cores, program, args);
        Process::start(&name, Path::new("ip"), args)
    }

    /// Runs a program on one side to its end, and gives its standard output.
    pub(crate) fn run(
        &self,
        side: Side,
        cores: &str,
        program: &Path,
        args: &[&str],
    ) -> Result<String, String> {
        output(Command::new("ip").args(self.inside(side, cores, program, args)))
    }

    /// Runs a shell command on one side.
    pub(crate) fn shell(&self, side: Side, command: &str) -> Result<(), String> {
        let cores = format!("{SERVER_CORE},{CLIENT_CORE}");
        self.run(side, &cores, Path::new("sh"), &["-c", command])
            .map(drop)
    }

    /// What has gone over the server's interfaces so far, but for the loopback interface.
    pub(crate) fn traffic(&self) -> Result<Traffic, String> {
        let args = ["-n", &self.server, "-s", "-j", "link", "show"];
        let text = output(Command::new("ip").args(args))?;
        let links: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let mut traffic = Traffic::default();
        for link in links.as_array().into_iter().flatten() {
            if link["ifname"] == "lo" {
                continue;
            }
            for (way, sum) in [("rx", &mut traffic.received), ("tx", &mut traffic.sent)] {
                let number = |key: &str| link["stats64"][way][key].as_f64().unwrap_or(0.0);
                sum.octets += number("bytes");
                sum.packets += number("packets");
            }
        }
        Ok(traffic)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for space in self.clients.iter().chain([&self.server]) {
            // What was never made cannot be removed.
            let _ = ip(&["netns", "del", space]);
        }
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    output(Command::new("ip").args(args)).map(drop)
}

/// Runs a command to its end, and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let told = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{told}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!("{told}: {}: {}", output.status, error.trim()))
    }
}
