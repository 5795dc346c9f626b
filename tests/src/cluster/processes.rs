//! Etcd members as processes on 127.0.0.1.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::ALWAYS;
use crate::temp::free_port;
use crate::{Process, TempDir};

pub(super) struct Member {
    name: String,
    endpoint: String,
    args: Vec<String>,
    running: Mutex<Option<Process>>,
    /// Shared by the members, and gone with the last one.
    _data: Arc<TempDir>,
}

pub(super) fn start(count: usize, args: &[&str]) -> Vec<Member> {
    let data = Arc::new(TempDir::new());
    let peers: Vec<String> = (0..count)
        .map(|_| format!("http://127.0.0.1:{}", free_port()))
        .collect();
    let named: Vec<String> = peers
        .iter()
        .enumerate()
        .map(|(index, peer)| format!("etcd{index}={peer}"))
        .collect();
    let members = peers.iter().enumerate().map(|(index, peer)| {
        let name = format!("etcd{index}");
        let client = format!("http://127.0.0.1:{}", free_port());
        let folder = data.path().join(&name).display().to_string();
        let own = [
            ["--name", &name],
            ["--data-dir", &folder],
            ["--listen-client-urls", &client],
            ["--advertise-client-urls", &client],
            ["--listen-peer-urls", peer],
            ["--initial-advertise-peer-urls", peer],
            ["--initial-cluster", &named.join(",")],
        ];
        let args = own
            .iter()
            .flatten()
            .chain(&ALWAYS)
            .chain(args)
            .map(|arg| arg.to_string())
            .collect();
        let member = Member {
            name,
            endpoint: client.clone(),
            args,
            running: Mutex::new(None),
            _data: data.clone(),
        };
        member.start();
        member
    });
    members.collect()
}

impl Member {
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn start(&self) {
        let etcd = std::env::var_os("NSD_ETCD")
            .filter(|path| !path.is_empty())
            .map_or("etcd".into(), PathBuf::from);
        *self.lock() = Some(Process::start(&self.name, &etcd, &self.args).quiet());
    }

    pub(super) fn kill(&self) {
        if let Some(mut process) = self.lock().take() {
            process.kill();
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        self.lock()
            .as_ref()
            .expect("a member that runs")
            .signal(signal);
    }

    /// Says why a member does not run that should.
    pub(super) fn check(&self) -> Result<(), String> {
        self.lock().as_mut().map_or(
            Err(format!("{} was not started", self.name)),
            Process::check,
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.running.lock().expect("no panic with it held")
    }
}
