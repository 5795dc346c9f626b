//! The state of the cluster's members, as they report it themselves.

use tokio::time::Instant;

use crate::client::connect::{Config, Store, StoreError};

/// A member of the etcd cluster, as `nsctl status` shows it.
#[derive(Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: String,
    /// What the member reports, or why it does not answer.
    pub state: Result<MemberState, StoreError>,
}

/// What a member reports of itself.
#[derive(Debug, serde::Serialize)]
pub struct MemberState {
    /// Its id.
    pub id: String,
    /// The id of its cluster.
    pub cluster: String,
    /// Its release.
    pub version: String,
    /// The revision of its store.
    pub revision: i64,
    /// Whether it is the leader.
    pub leader: bool,
    /// Whether it knows a leader. Without one it answers no linearizable read and takes no write.
    pub has_leader: bool,
    /// The size of its database, in octets.
    pub db_size: i64,
    /// The errors it reports, for example alarms or a missing leader.
    pub errors: Vec<String>,
}

impl Store {
    /// The names of the cluster's members.
    pub async fn member_names(&self) -> Result<Vec<String>, StoreError> {
        let endpoint = &self.config.endpoints[0];
        let list = async {
            let mut client = self.config.connect(endpoint).await?;
            let told = client.member_list().await;
            let told = told.map_err(|error| StoreError::from_etcd(error, endpoint))?;
            let members = told.members().iter();
            Ok(members.map(|member| member.name().to_string()).collect())
        };
        tokio::time::timeout_at(self.deadline, list)
            .await
            .unwrap_or_else(|_| Err(StoreError::timeout(endpoint)))
    }

    /// Asks all endpoints in parallel. A member needs neither a leader nor a quorum to answer.
    pub async fn members(&self) -> Vec<Member> {
        let asked = self.config.endpoints.iter().map(|endpoint| {
            let (endpoint, deadline) = (endpoint.clone(), self.deadline);
            let config = Config {
                needs_leader: false,
                ..(*self.config).clone()
            };
            tokio::spawn(async move {
                let limit = deadline.min(Instant::now() + config.request_timeout);
                let state =
                    match tokio::time::timeout_at(limit, config.member_state(&endpoint)).await {
                        Ok(Err(error)) if error.is_transient() => {
                            Err(config.diagnose(&endpoint).await.unwrap_or(error))
                        }
                        Ok(state) => state,
                        Err(_) => Err(StoreError::timeout(&endpoint)),
                    };
                Member { endpoint, state }
            })
        });
        let mut members = Vec::new();
        for task in asked.collect::<Vec<_>>() {
            members.extend(task.await);
        }
        members
    }
}

impl Config {
    async fn member_state(&self, endpoint: &str) -> Result<MemberState, StoreError> {
        // Fetching a token needs a quorum, and no known release requires a token for this request.
        let anybody = Config {
            user: None,
            ..self.clone()
        };
        let mut client = match anybody.connect(endpoint).await {
            Err(StoreError::Unauthenticated(_) | StoreError::Denied(_)) => {
                self.connect(endpoint).await
            }
            client => client,
        }?;
        let status = client.status().await;
        let status = status.map_err(|error| StoreError::from_etcd(error, endpoint))?;
        let (id, cluster, revision) = status.header().map_or((0, 0, 0), |header| {
            (header.member_id(), header.cluster_id(), header.revision())
        });
        Ok(MemberState {
            id: format!("{id:x}"),
            cluster: format!("{cluster:x}"),
            version: status.version().into(),
            revision,
            leader: status.leader() == id,
            has_leader: status.leader() != 0,
            db_size: status.db_size(),
            errors: status.errors().to_vec(),
        })
    }
}
