//! What tests of `nsctl` alone start from: etcd, and a zone.

use tests::{Cluster, Nsctl, Single, TempDir};

/// `nsctl` for etcd with the zone `example.org`, and files for it. One member of etcd is enough for most tests.
pub(crate) struct Desk<E = Single> {
    pub(crate) etcd: E,
    pub(crate) nsctl: Nsctl,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let etcd = Single::start().await;
        let endpoints = [etcd.endpoint().into()];
        Desk::at(etcd, &endpoints).await
    }
}

impl Desk<Cluster> {
    pub(crate) async fn on_cluster() -> Self {
        let etcd = Cluster::start(3, &[]).await;
        let endpoints = etcd.endpoints().to_vec();
        Desk::at(etcd, &endpoints).await
    }
}

impl<E> Desk<E> {
    async fn at(etcd: E, endpoints: &[String]) -> Self {
        let nsctl = Nsctl::new(endpoints);
        nsctl
            .run("zone add example.org --ns ns1.example.net")
            .await
            .expect(0);
        Desk {
            etcd,
            nsctl,
            folder: TempDir::new(),
        }
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        self.folder.write(name, text).display().to_string()
    }
}
