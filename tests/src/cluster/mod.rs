//! A cluster of real etcd members: containers where `NSD_TEST_ETCD_IMAGE` names an image and a Docker
//! engine answers, else processes. Members keep their addresses and their data when they are killed and
//! started again.

mod containers;
mod ctl;
mod faults;
mod processes;

use std::sync::Mutex;
use std::time::Duration;

pub use ctl::MemberState;

use crate::temp::unique;
use crate::{ensure, eventually};

/// How long a cluster may take to elect a leader and answer, on a busy machine.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// Etcd members that know each other.
pub struct Cluster {
    members: Vec<Member>,
    endpoints: Vec<String>,
    /// `name:password` for etcdctl, once authentication is on.
    user: Mutex<Option<String>>,
}

enum Member {
    Container(Box<containers::Member>),
    Process(processes::Member),
}

impl Cluster {
    /// Starts so many members, each with these further arguments, and waits until all of them answer.
    pub async fn start(count: usize, args: &[&str]) -> Self {
        Self::start_with(count, args, &[]).await
    }

    /// The same, with these files in every member's container, each with its path there. Containers only.
    pub async fn start_with(count: usize, args: &[&str], files: &[(&str, &[u8])]) -> Self {
        let members: Vec<Member> = match containers::image().await {
            Some(image) => {
                let network = format!("nsd-test-{}", run_id());
                let started = containers::start(&image, &network, count, args, files).await;
                started
                    .into_iter()
                    .map(|member| Member::Container(Box::new(member)))
                    .collect()
            }
            None => return Self::start_processes(count, args).await,
        };
        Self::of(members).await
    }

    /// The same as processes, whose advertised URLs are good here: containers advertise names that only they resolve.
    pub async fn start_processes(count: usize, args: &[&str]) -> Self {
        let members = processes::start(count, args).into_iter();
        Self::of(members.map(Member::Process).collect()).await
    }

    async fn of(members: Vec<Member>) -> Self {
        let endpoints = members
            .iter()
            .map(|member| member.endpoint().to_string())
            .collect();
        let cluster = Cluster {
            members,
            endpoints,
            user: Mutex::new(None),
        };
        cluster.healthy().await;
        cluster
    }

    /// The client URLs of all members, as seen from here.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The client URL of one member.
    pub fn endpoint(&self, member: usize) -> &str {
        &self.endpoints[member]
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Whether members of a cluster would be containers.
    pub async fn can_be_containers() -> bool {
        containers::image().await.is_some()
    }

    /// Whether members are containers, which can also be taken off the network.
    pub fn is_containers(&self) -> bool {
        matches!(self.members.first(), Some(Member::Container(_)))
    }

    /// From now on, etcdctl is `name:password`.
    pub fn set_user(&self, user: &str) {
        *self.user.lock().expect("no panic with it held") = Some(user.into());
    }

    fn user(&self) -> Option<String> {
        self.user.lock().expect("no panic with it held").clone()
    }

    /// SIGKILL to one member.
    pub async fn kill_member(&self, member: usize) {
        match &self.members[member] {
            Member::Container(member) => member.kill().await,
            Member::Process(member) => member.kill(),
        }
    }

    /// Starts a member that was killed, with its data. It takes a moment until it answers.
    pub async fn start_member(&self, member: usize) {
        match &self.members[member] {
            Member::Container(member) => member.start().await,
            Member::Process(member) => member.start(),
        }
    }

    /// Freezes a member: its connections stay, and nothing comes back on them.
    pub async fn pause(&self, member: usize) {
        match &self.members[member] {
            Member::Container(member) => member.pause().await,
            Member::Process(member) => member.signal("STOP"),
        }
    }

    /// Lets a frozen member go on.
    pub async fn unpause(&self, member: usize) {
        match &self.members[member] {
            Member::Container(member) => member.unpause().await,
            Member::Process(member) => member.signal("CONT"),
        }
    }

    /// Takes a member off the network: packets to it vanish. Containers only: false, and a line that says
    /// so, where members are processes.
    pub async fn disconnect(&self, member: usize) -> bool {
        match &self.members[member] {
            Member::Container(member) => member.disconnect().await,
            Member::Process(_) => {
                crate::skipped!(
                    "etcd members are processes here, not containers: a member off the network"
                );
                return false;
            }
        }
        true
    }

    /// Puts a member back on the network.
    pub async fn reconnect(&self, member: usize) {
        if let Member::Container(member) = &self.members[member] {
            member.reconnect().await;
        }
    }

    /// SIGKILL to all members.
    pub async fn stop_all(&self) {
        for member in 0..self.size() {
            self.kill_member(member).await;
        }
    }

    /// Starts all members again, with their data. It takes a moment until they answer.
    pub async fn start_all(&self) {
        for member in 0..self.size() {
            self.start_member(member).await;
        }
    }

    /// Freezes all members.
    pub async fn pause_all(&self) {
        for member in 0..self.size() {
            self.pause(member).await;
        }
    }

    /// Lets all members go on.
    pub async fn unpause_all(&self) {
        for member in 0..self.size() {
            self.unpause(member).await;
        }
    }

    /// Waits until every member answers, with a leader behind it.
    pub async fn healthy(&self) {
        for member in 0..self.size() {
            self.member_healthy(member).await;
        }
    }

    /// Waits until one member answers, with a leader behind it.
    pub async fn member_healthy(&self, member: usize) {
        eventually(
            &format!("member {member} of the cluster is healthy"),
            HEALTHY_WITHIN,
            async || {
                self.members[member].check().await?;
                // etcdctl uses all of its time up, also where the connection is refused.
                let health = ["endpoint", "health", "--command-timeout", "2s"];
                self.try_etcdctl_at(member, &health).await.map(drop)
            },
        )
        .await;
    }

    /// The member that leads, by the word of a majority.
    pub async fn leader(&self) -> usize {
        eventually("the cluster has a leader", HEALTHY_WITHIN, async || {
            let states = self.states().await;
            let mut votes = vec![0; self.size()];
            // A member that is down or frozen has no state; one that was cut off may be wrong.
            for state in states.iter().flatten() {
                let leads = |other: &Option<MemberState>| {
                    other.is_some_and(|other| other.id == state.leader)
                };
                if let Some(leader) = states.iter().position(leads) {
                    votes[leader] += 1;
                }
            }
            let leader = votes.iter().position(|&count| count > self.size() / 2);
            ensure(leader.is_some(), || format!("votes: {votes:?}"))?;
            Ok(leader.expect("ensured"))
        })
        .await
    }
}

impl Member {
    fn endpoint(&self) -> &str {
        match self {
            Member::Container(member) => member.endpoint(),
            Member::Process(member) => member.endpoint(),
        }
    }

    /// Says why a member does not run that should.
    async fn check(&self) -> Result<(), String> {
        match self {
            Member::Container(member) => member.check().await,
            Member::Process(member) => member.check(),
        }
    }
}

/// Options that make elections quick and passwords cheap: tests wait for both.
const ALWAYS: [&str; 6] = [
    "--heartbeat-interval",
    "50",
    "--election-timeout",
    "500",
    "--bcrypt-cost",
    "4",
];

/// Tells clusters apart, of this run and of others on the same engine: the process-id namespace, the
/// process, and a number.
fn run_id() -> String {
    format!("{}-{}-{}", pid_namespace(), std::process::id(), unique())
}

/// Process ids mean something only within their namespace.
fn pid_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect()
}
