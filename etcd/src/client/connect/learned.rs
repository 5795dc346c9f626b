//! Members that the cluster itself has told of, for the day when none of the configured ones is left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Client URLs of members beyond those that are configured. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Learned(Arc<Mutex<Vec<String>>>);

impl Learned {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // Whole values are put in its place, or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URLs.
    pub fn urls(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes what the cluster says its members' client URLs are, as far as that is of use here. Says whether that is
    /// another list.
    pub(crate) fn learn<'u>(
        &self,
        configured: &[String],
        told: impl Iterator<Item = &'u str>,
    ) -> bool {
        // Nobody is asked in clear who was to be asked over TLS.
        let is_secure = configured.iter().all(|url| url.starts_with("https://"));
        let is_local_here = configured.iter().any(|url| is_local(url));
        let mut urls: Vec<String> = told
            .map(|url| url.trim_end_matches('/').to_string())
            .filter(|url| url.starts_with("https://") || (url.starts_with("http://") && !is_secure))
            // Under a loopback address everybody reaches somebody else.
            .filter(|url| is_local_here || !is_local(url))
            .filter(|url| !configured.contains(url))
            .collect();
        urls.sort();
        urls.dedup();
        let mut known = self.lock();
        let is_news = *known != urls;
        *known = urls;
        is_news
    }
}

/// Whether a URL means this host, whoever reads it.
fn is_local(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost"
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(configured: &[&str], told: &[&str]) -> Vec<String> {
        let learned = Learned::default();
        let configured: Vec<String> = configured.iter().map(ToString::to_string).collect();
        let is_news = learned.learn(&configured, told.iter().copied());
        assert_eq!(is_news, !learned.urls().is_empty());
        assert!(!learned.learn(&configured, told.iter().copied()));
        learned.urls()
    }

    #[test]
    fn only_what_is_of_use_is_learned() {
        let one = ["http://10.0.0.1:2379"];
        let told = [
            "http://10.0.0.2:2379/",
            "http://10.0.0.1:2379",
            "http://10.0.0.2:2379",
            "http://localhost:2379",
            "http://127.0.0.1:2379",
            "http://[::1]:2379",
            "http://0.0.0.0:2379",
            "unix://etcd:0",
        ];
        assert_eq!(learn(&one, &told), ["http://10.0.0.2:2379"]);
        let local = ["http://127.0.0.1:2379"];
        assert_eq!(
            learn(&local, &["http://127.0.0.1:2380"]),
            ["http://127.0.0.1:2380"]
        );
        let secure = ["https://etcd1.example:2379"];
        let told = ["http://10.0.0.2:2379", "https://etcd2.example:2379"];
        assert_eq!(learn(&secure, &told), ["https://etcd2.example:2379"]);
    }
}
