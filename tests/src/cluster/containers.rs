//! Etcd members as containers on a network of their own.
//!
//! They are reached at their addresses on the bridge: a published port changes when a container starts
//! again. The engine gives the lowest free address, so a member that starts again gets its old one as
//! long as members start in order; [`Member::start`] checks that.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use testcontainers::bollard::query_parameters::{
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;

use super::{ALWAYS, pid_namespace};
use crate::{ensure, eventually};

pub(super) struct Member {
    launch: Launch,
    /// None only while it is replaced.
    container: Option<ContainerAsync<GenericImage>>,
    endpoint: String,
}

/// What a container is made from.
struct Launch {
    image: String,
    network: String,
    name: String,
    args: Vec<String>,
    /// Paths in the container, and what is there.
    files: Vec<(String, Vec<u8>)>,
}

/// The image to use; none where members are to be processes.
pub(super) async fn image() -> Option<String> {
    let image = std::env::var("NSD_TEST_ETCD_IMAGE")
        .ok()
        .filter(|image| !image.is_empty())?;
    static ANSWERS: OnceCell<Option<String>> = OnceCell::const_new();
    let fault = ANSWERS.get_or_init(async || match docker_client_instance().await {
        Ok(docker) => match docker.ping().await {
            Ok(_) => {
                sweep(&docker).await;
                None
            }
            Err(error) => Some(error.to_string()),
        },
        Err(error) => Some(error.to_string()),
    });
    match fault.await {
        None => Some(image),
        Some(error) => {
            println!("etcd members are processes, as no Docker engine answers ({error})");
            None
        }
    }
}

/// Removes what test processes have left that were killed: testcontainers cleans up when values are
/// dropped, and nobody drops them then.
async fn sweep(docker: &Docker) {
    // Nowhere else can be told who still runs.
    if !Path::new("/proc/self").exists() {
        return;
    }
    let ours = format!("nsd-test-{}-", pid_namespace());
    let left = |name: &str| {
        let process = name
            .strip_prefix(&ours)
            .and_then(|rest| rest.split('-').next());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    };
    let networks = docker.list_networks(None).await.unwrap_or_default();
    for network in networks
        .into_iter()
        .filter_map(|network| network.name)
        .filter(|name| left(name))
    {
        let filters = HashMap::from([("network", vec![network.as_str()])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        for container in docker
            .list_containers(Some(options))
            .await
            .unwrap_or_default()
        {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            let _ = docker
                .remove_container(&container.id.unwrap_or_default(), Some(options))
                .await;
        }
        let _ = docker.remove_network(&network).await;
    }
}

pub(super) async fn start(
    image: &str,
    network: &str,
    count: usize,
    args: &[&str],
    files: &[(&str, &[u8])],
) -> Vec<Member> {
    let names: Vec<String> = (0..count)
        .map(|index| format!("{network}-etcd{index}"))
        .collect();
    let peers: Vec<String> = names
        .iter()
        .map(|name| format!("{name}={}", peer_url(name)))
        .collect();
    let mut members = Vec::new();
    // One after the other, so that they get their addresses in order; etcd waits for its peers.
    for name in &names {
        let own = [
            ["--name", name],
            ["--data-dir", "/data/etcd"],
            ["--listen-client-urls", "http://0.0.0.0:2379"],
            ["--advertise-client-urls", &format!("http://{name}:2379")],
            ["--listen-peer-urls", "http://0.0.0.0:2380"],
            ["--initial-advertise-peer-urls", &peer_url(name)],
            ["--initial-cluster", &peers.join(",")],
        ];
        let args = own.iter().flatten().chain(&ALWAYS).chain(args);
        let files = files
            .iter()
            .map(|(path, content)| (path.to_string(), content.to_vec()));
        let launch = Launch {
            image: image.into(),
            network: network.into(),
            name: name.clone(),
            args: args.map(|arg| arg.to_string()).collect(),
            files: files.collect(),
        };
        let container = launch.start(&[]).await;
        let endpoint = endpoint_of(&container)
            .await
            .expect("a container that has just started has an address");
        members.push(Member {
            launch,
            container: Some(container),
            endpoint,
        });
    }
    members
}

fn peer_url(name: &str) -> String {
    format!("http://{name}:2380")
}

impl Launch {
    /// Later arguments win over earlier ones.
    async fn start(&self, more: &[&str]) -> ContainerAsync<GenericImage> {
        let image = &self.image;
        let (repository, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
        let args = self
            .args
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied());
        let mut request = GenericImage::new(repository, tag)
            .with_network(&self.network)
            .with_container_name(&self.name)
            .with_cmd(args);
        for (path, content) in &self.files {
            request = request.with_copy_to(path, content.clone());
        }
        let started = request.start().await;
        started.unwrap_or_else(|error| panic!("cannot start a container of {image}: {error}"))
    }
}

async fn endpoint_of(container: &ContainerAsync<GenericImage>) -> Result<String, String> {
    let address = container
        .get_bridge_ip_address()
        .await
        .map_err(|error| error.to_string())?;
    Ok(format!("http://{address}:2379"))
}

impl Member {
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn container(&self) -> &ContainerAsync<GenericImage> {
        self.container.as_ref().expect("none is being replaced")
    }

    /// Its name, to the engine and to etcd.
    pub(super) fn name(&self) -> &str {
        &self.launch.name
    }

    pub(super) fn peer_url(&self) -> String {
        peer_url(&self.launch.name)
    }

    /// Where it is on the network.
    pub(super) fn address(&self) -> &str {
        let (_, authority) = self.endpoint.split_once("://").expect("a URL");
        authority.split(':').next().expect("a host")
    }

    /// The process id of its etcd, as this machine sees it.
    pub(super) async fn process_id(&self) -> i64 {
        let inspected = docker()
            .await
            .inspect_container(self.container().id(), None)
            .await
            .expect("a container that is there is described");
        let state = inspected.state.and_then(|state| state.pid);
        state.expect("a container that runs has a process")
    }

    /// SIGTERM, and the end that follows.
    pub(super) async fn stop(&self) {
        self.container()
            .stop()
            .await
            .expect("a running container stops");
    }

    /// Removes the container with its data.
    pub(super) async fn remove(&mut self) {
        let container = self.container.take().expect("none is being replaced");
        container.rm().await.expect("a container is removed");
    }

    /// After [`Member::remove`]: another one in its place, that joins a cluster.
    pub(super) async fn join(&mut self) {
        self.container = Some(
            self.launch
                .start(&["--initial-cluster-state", "existing"])
                .await,
        );
        self.check_address().await;
    }

    pub(super) async fn kill(&self) {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        docker()
            .await
            .kill_container(self.container().id(), Some(options))
            .await
            .expect("a running container is killed");
        eventually(
            "a killed container has stopped",
            Duration::from_secs(20),
            async || {
                let running = self
                    .container()
                    .is_running()
                    .await
                    .map_err(|error| error.to_string())?;
                ensure(!running, || "it runs".into())
            },
        )
        .await;
    }

    pub(super) async fn start(&self) {
        self.container()
            .start()
            .await
            .expect("a stopped container starts");
        self.check_address().await;
    }

    pub(super) async fn pause(&self) {
        self.container()
            .pause()
            .await
            .expect("a running container is paused");
    }

    pub(super) async fn unpause(&self) {
        self.container()
            .unpause()
            .await
            .expect("a paused container goes on");
    }

    pub(super) async fn disconnect(&self) {
        let request = NetworkDisconnectRequest {
            container: self.container().id().into(),
            force: Some(true),
        };
        docker()
            .await
            .disconnect_network(&self.launch.network, request)
            .await
            .expect("a container leaves its network");
    }

    pub(super) async fn reconnect(&self) {
        let request = NetworkConnectRequest {
            container: self.container().id().into(),
            endpoint_config: None,
        };
        docker()
            .await
            .connect_network(&self.launch.network, request)
            .await
            .expect("a container joins its network");
        self.check_address().await;
    }

    pub(super) async fn check(&self) -> Result<(), String> {
        if self
            .container()
            .is_running()
            .await
            .map_err(|error| error.to_string())?
        {
            return Ok(());
        }
        let log = self.container().stderr_to_vec().await.unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(40)..];
        Err(format!("{} has ended:\n{}", self.endpoint, last.join("\n")))
    }

    async fn check_address(&self) {
        let endpoint = endpoint_of(self.container())
            .await
            .expect("a connected container has an address");
        assert_eq!(
            endpoint, self.endpoint,
            "the engine gave a container another address than before"
        );
    }
}

async fn docker() -> Docker {
    docker_client_instance()
        .await
        .expect("an engine that has answered before")
}
