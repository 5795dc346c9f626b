//! Settings to reach etcd, and connections to single endpoints.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use etcd_client::{Channel, Client, ConnectOptions};

use super::{DiscoveredMembers, StoreError, Tls};

/// Settings to reach etcd.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client URLs of the members, at least one.
    pub endpoints: Vec<String>,
    /// TLS settings, for `https` URLs.
    pub tls: Tls,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Timeout of one request. Then the next endpoint is asked.
    pub request_timeout: Duration,
    /// Whether a member without a leader refuses requests, so that another member is asked.
    pub needs_leader: bool,
    /// Whether the mirror's driver asks the cluster for its members.
    pub discover: bool,
    /// The members found that way. Clones share them.
    pub discovered: DiscoveredMembers,
    /// Replaces the network and the time of day in the simulation.
    pub simulated: Option<Arc<dyn Simulated>>,
}

/// Replaces the network and the time of day in the simulation. All other time is tokio's, which can be paused.
pub trait Simulated: fmt::Debug + Send + Sync {
    /// Connects to one endpoint.
    fn connect(&self, endpoint: &str) -> Channel;

    /// The time of day.
    fn time_of_day(&self) -> SystemTime;
}

/// Why an endpoint is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// No endpoint is given.
    Missing,
    /// The scheme is neither `http` nor `https`.
    Scheme {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// TLS files are given, but the URL is not `https`.
    NotSecure(String),
    /// The text is not a URL with a host and a port.
    Malformed(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointError::Missing => f.write_str("no etcd endpoint is given"),
            EndpointError::Scheme { url, scheme } => write!(
                f,
                "the endpoint {url} has the scheme {scheme}: only http and https are known"
            ),
            EndpointError::NotSecure(url) => {
                write!(
                    f,
                    "TLS files are given, but the endpoint {url} is not https"
                )
            }
            EndpointError::Malformed(url) => write!(
                f,
                "the endpoint {url} is not a URL with a host and a port, as in http://127.0.0.1:2379"
            ),
        }
    }
}

impl std::error::Error for EndpointError {}

impl Config {
    /// Plain connections to these URLs, with the default timeouts.
    pub fn new(endpoints: Vec<String>) -> Self {
        Config {
            endpoints,
            tls: Tls::default(),
            user: None,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            needs_leader: true,
            discover: false,
            discovered: DiscoveredMembers::default(),
            simulated: None,
        }
    }

    /// All endpoints: those configured, then those found.
    pub fn urls(&self) -> Vec<String> {
        [self.endpoints.clone(), self.discovered.urls()].concat()
    }

    /// The time of day.
    pub(crate) fn time_of_day(&self) -> SystemTime {
        let simulated = self.simulated.as_ref();
        simulated.map_or_else(SystemTime::now, |simulated| simulated.time_of_day())
    }

    /// The number of endpoints.
    pub(super) fn count(&self) -> usize {
        self.endpoints.len() + self.discovered.len()
    }

    /// The endpoint with this index, modulo the number of endpoints.
    pub(crate) fn url(&self, index: usize) -> String {
        let mut urls = self.urls();
        urls.swap_remove(index % urls.len())
    }

    /// Checks the endpoints and completes those without a scheme: `https` if TLS files are given, otherwise `http`.
    pub fn complete(mut self) -> Result<Self, EndpointError> {
        let secure = self.tls.ca_file.is_some() || self.tls.identity.is_some();
        if self.endpoints.is_empty() {
            return Err(EndpointError::Missing);
        }
        for endpoint in &mut self.endpoints {
            let url = endpoint.trim().trim_end_matches('/');
            let url = match url.split_once("://") {
                Some(("http" | "https", _)) => url.to_string(),
                Some((scheme, _)) => {
                    let (url, scheme) = (url.into(), scheme.into());
                    return Err(EndpointError::Scheme { url, scheme });
                }
                None if secure => format!("https://{url}"),
                None => format!("http://{url}"),
            };
            if secure && url.starts_with("http://") {
                return Err(EndpointError::NotSecure(url));
            }
            let (_, authority) = url.split_once("://").unwrap_or_default();
            if !authority
                .rsplit_once(':')
                .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok())
            {
                return Err(EndpointError::Malformed(url));
            }
            *endpoint = url;
        }
        Ok(self)
    }

    /// Connects to one endpoint. With a user, this fetches a token.
    pub(crate) async fn connect(&self, endpoint: &str) -> Result<Client, StoreError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(self.connect_timeout)
            // etcd closes connections that ping more often than every 5 s.
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(3))
            .with_keep_alive_while_idle(true)
            .with_require_leader(self.needs_leader);
        if let Some((user, password)) = &self.user {
            options = options.with_user(user, password);
        }
        if endpoint.starts_with("https://") {
            options = options.with_tls(self.tls.options()?);
        }
        if let Some(simulated) = &self.simulated {
            let client = Client::from_channel(simulated.connect(endpoint), Some(options)).await;
            return client.map_err(|error| StoreError::from_etcd(error, endpoint));
        }
        let connecting = Client::connect([endpoint], Some(options));
        match tokio::time::timeout(self.connect_timeout + self.request_timeout, connecting).await {
            // etcd-client connects lazily. So this error comes from the settings, not from the network.
            Ok(Err(error @ etcd_client::Error::TransportError(_))) => {
                Err(StoreError::unusable(&error))
            }
            Ok(client) => client.map_err(|error| StoreError::from_etcd(error, endpoint)),
            Err(_) => Err(StoreError::timeout(endpoint)),
        }
    }
}

/// Now, by tokio's clock, which a simulation pauses.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether a URL may have this host: a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => {
            let is_usual = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
            !host.is_empty() && host.bytes().all(is_usual)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_completed_or_refused() {
        let complete = |url: &str| {
            Config::new(vec![url.into()])
                .complete()
                .map(|config| config.endpoints[0].clone())
        };
        for (url, completed) in [
            ("10.0.0.1:2379", "http://10.0.0.1:2379"),
            (" https://etcd.example:2379/ ", "https://etcd.example:2379"),
            ("http://[::1]:2379", "http://[::1]:2379"),
        ] {
            assert_eq!(complete(url).as_deref(), Ok(completed));
        }
        for bad in [
            "",
            "ftp://a:1",
            "http://a",
            "http://:1",
            "a:99999",
            "http://a b:1",
            "http://a/path:1",
            "http://user@a:1",
            "http://::1:2379",
            "http://[::1:2379",
            "http://[a]:2379",
            "http://http://a:1",
        ] {
            assert!(complete(bad).is_err(), "{bad}");
        }
        let mut secure = Config::new(vec!["a:1".into()]);
        secure.tls.ca_file = Some("ca.pem".into());
        assert_eq!(
            secure.clone().complete().expect("complete").endpoints,
            ["https://a:1"]
        );
        secure.endpoints = vec!["http://a:1".into()];
        assert!(secure.complete().is_err());
    }
}
