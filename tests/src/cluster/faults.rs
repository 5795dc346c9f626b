//! What only containers can have done to them.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Cluster, Member, containers};
use crate::eventually;

impl Cluster {
    /// Cuts some members off from the others, both ways; everybody else still reaches all of them. Packets
    /// are dropped in the members' network namespaces, which takes root: an error says what does not work.
    pub async fn cut_off(&self, members: &[usize]) -> Result<(), String> {
        let cut = self.drop_between(members).await;
        if cut.is_err() {
            // What was cut before it failed shall not stay; where that fails, too, nothing was.
            let _ = self.join_again(members).await;
        }
        cut
    }

    async fn drop_between(&self, members: &[usize]) -> Result<(), String> {
        for &inside in members {
            for outside in (0..self.size()).filter(|member| !members.contains(member)) {
                let address = self.container(outside).address();
                self.filter(inside, &["-A", "INPUT", "-s", address, "-j", "DROP"])
                    .await?;
                self.filter(inside, &["-A", "OUTPUT", "-d", address, "-j", "DROP"])
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes [`Cluster::cut_off`] back.
    pub async fn join_again(&self, members: &[usize]) -> Result<(), String> {
        for &member in members {
            self.filter(member, &["-F"]).await?;
        }
        Ok(())
    }

    async fn filter(&self, member: usize, rule: &[&str]) -> Result<(), String> {
        let process = self.container(member).process_id().await.to_string();
        let enter = ["-t", &process, "-n", "iptables", "-w"];
        run("nsenter", &[&enter, rule].concat()).await
    }

    /// SIGTERM to one member, and its end.
    pub async fn stop_member(&self, member: usize) {
        self.container(member).stop().await;
    }

    /// Puts a file into a member's container, which may run or not.
    pub async fn put_file(&self, member: usize, file: &Path, path: &str) {
        let (file, target) = (
            file.display().to_string(),
            format!("{}:{path}", self.container(member).name()),
        );
        run("docker", &["cp", &file, &target])
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes a member with its data, and adds a new one in its place, with its address. It takes a moment
    /// until it answers.
    pub async fn replace_member(&mut self, member: usize) {
        self.replace(member, &[]).await;
    }

    /// The same, and the new one is a learner: it does not vote, and serves neither watches nor reads that are
    /// linearizable.
    pub async fn replace_by_learner(&mut self, member: usize) {
        self.replace(member, &["--learner"]).await;
        eventually("the learner answers", Duration::from_secs(30), async || {
            let status = ["endpoint", "status"];
            self.try_etcdctl_at(member, &status).await
        })
        .await;
    }

    async fn replace(&mut self, member: usize, more: &[&str]) {
        let id = eventually(
            "the member says who it is",
            Duration::from_secs(30),
            async || {
                let state = self.states().await[member];
                state.map(|state| state.id).ok_or("no answer".into())
            },
        )
        .await;
        let one_of_the_rest = (member + 1) % self.size();
        // etcd refuses while its members have not been connected for some seconds.
        let limit = Duration::from_secs(30);
        // Where an answer was lost, the next try says that it is done.
        let ask = async |args: &[&str], is_done: &str| {
            let what = format!("etcdctl {args:?}");
            let asked = async || match self.try_etcdctl_at(one_of_the_rest, args).await {
                Err(error) if error.contains(is_done) => Ok(error),
                answer => answer,
            };
            eventually(&what, limit, asked).await;
        };
        let remove = ["member", "remove", &format!("{id:x}")];
        ask(&remove, "member not found").await;
        let (name, url) = (
            self.container(member).name().to_string(),
            self.container(member).peer_url(),
        );
        let add = ["member", "add", &name, "--peer-urls", &url];
        ask(&[&add, more].concat(), "Peer URLs already exists").await;
        let Member::Container(container) = &mut self.members[member] else {
            unreachable!("a container a moment ago");
        };
        container.remove().await;
        container.join().await;
    }

    fn container(&self, member: usize) -> &containers::Member {
        match &self.members[member] {
            Member::Container(container) => container,
            Member::Process(_) => panic!("only containers can have this done to them"),
        }
    }
}

async fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let command = format!("{program} {}", args.join(" "));
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    let output = match timeout(Duration::from_secs(20), output).await {
        Ok(output) => output.map_err(|error| format!("cannot run {command}: {error}"))?,
        Err(_) => return Err(format!("no end within 20 s: {command}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command}: {}", complaint.trim()))
}
