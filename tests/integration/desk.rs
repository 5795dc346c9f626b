//! What tests of `nsctl` alone start from: one member of etcd, and a zone.

use tests::{Nsctl, Single, TempDir};

/// `nsctl` for one member of etcd with the zone `example.org`, and files for it.
pub(crate) struct Desk {
    pub(crate) etcd: Single,
    pub(crate) nsctl: Nsctl,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let etcd = Single::start().await;
        let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
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
