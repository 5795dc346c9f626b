//! Members that the cluster itself has named, as a fallback when no configured member is left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Client URLs of members besides the configured ones. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct DiscoveredMembers(Arc<Mutex<Vec<String>>>);

impl DiscoveredMembers {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // The list is only ever replaced as a whole, so it is sound even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URLs.
    pub fn urls(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// The number of URLs.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Stores the client URLs that the cluster names, without the unusable ones. Returns whether the list changed.
    pub(crate) fn learn<'u>(
        &self,
        configured: &[String],
        told: impl Iterator<Item = &'u str>,
    ) -> bool {
        // If all configured endpoints use TLS, do not fall back to plain connections.
        let is_secure = configured.iter().all(|url| url.starts_with("https://"));
        let is_local_here = configured.iter().any(|url| is_local(url));
        let mut urls: Vec<String> = told
            .map(|url| url.trim_end_matches('/').to_string())
            .filter(|url| url.starts_with("https://") || (url.starts_with("http://") && !is_secure))
            // A loopback address is useful only if the configured members are local, too.
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

/// Whether a URL refers to the local host.
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
        let discovered = DiscoveredMembers::default();
        let configured: Vec<String> = configured.iter().map(ToString::to_string).collect();
        let is_news = discovered.learn(&configured, told.iter().copied());
        assert_eq!(is_news, !discovered.urls().is_empty());
        assert!(!discovered.learn(&configured, told.iter().copied()));
        discovered.urls()
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
