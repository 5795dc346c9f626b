//! Ranges of keys, read page by page at one revision.

use std::ops::Range;

use etcd_client::{GetOptions, GetResponse};
use tokio::time::Instant;

use super::page::{self, PageSize, next_key};
use crate::client::connect::{Store, StoreError, kv_client};
use crate::mirror::Header;
use crate::schema::{Census, KeyValue};

/// Keys and values of a range at one revision.
#[derive(Debug)]
pub struct RangeRead {
    /// The revision.
    pub revision: i64,
    /// The cluster this revision belongs to.
    pub cluster_id: u64,
    /// The keys, sorted.
    pub items: Vec<KeyValue>,
}

/// The census of everything under the prefix.
#[derive(Debug, Default)]
pub struct Survey {
    /// The revision.
    pub revision: i64,
    /// The last revision that wrote one of the keys.
    pub newest: i64,
    /// The counts and the digest of the keys.
    pub census: Census,
}

/// A range that is read page by page at one revision.
struct Pages<'s> {
    store: &'s Store,
    /// The part not yet read.
    left: Option<Range<Vec<u8>>>,
    revision: Option<i64>,
    keys_only: bool,
    cluster_id: u64,
    size: PageSize,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, StoreError> {
        let Some(mut range) = self.left.take() else {
            return Ok(None);
        };
        let asked = Instant::now();
        let (store, limit) = (self.store.with_fresh_timeout(), self.size.keys());
        let page = store.page(range.clone(), limit, self.revision, self.keys_only);
        let (header, page, more) = page.await?;
        self.size.learn(&page, asked.elapsed());
        self.revision.get_or_insert(header.revision);
        self.cluster_id = header.cluster_id;
        if let Some(last) = page.last().filter(|_| more) {
            range.start = next_key(last.key.clone());
            self.left = Some(range);
        }
        Ok(Some(page))
    }
}

impl Store {
    /// Reads the first keys of a range, at a revision if one is given.
    pub(crate) async fn page(
        &self,
        range: Range<Vec<u8>>,
        limit: i64,
        revision: Option<i64>,
        keys_only: bool,
    ) -> Result<(Header, Vec<KeyValue>, bool), StoreError> {
        let mut options = GetOptions::new().with_limit(limit);
        if keys_only {
            options = options.with_keys_only();
        }
        page::decode(self.get(&range, options, revision).await?)
    }

    async fn get(
        &self,
        range: &Range<Vec<u8>>,
        options: GetOptions,
        revision: Option<i64>,
    ) -> Result<GetResponse, StoreError> {
        let mut options = options
            .with_range(range.end.clone())
            .with_revision(revision.unwrap_or(0));
        if self.serializable {
            options = options.with_serializable();
        }
        self.read(|client| {
            let (start, options) = (range.start.clone(), options.clone());
            async move { kv_client(&client).get(start, Some(options)).await }
        })
        .await
    }

    /// Reads a whole range page by page at one revision: at this one if given, otherwise at the newest.
    pub async fn list(
        &self,
        range: Range<Vec<u8>>,
        revision: Option<i64>,
    ) -> Result<RangeRead, StoreError> {
        self.collect(self.pages(range, revision)).await
    }

    /// The same without the values.
    pub(crate) async fn list_keys(
        &self,
        range: Range<Vec<u8>>,
        revision: Option<i64>,
    ) -> Result<RangeRead, StoreError> {
        let pages = self.pages(range, revision);
        let keys_only = true;
        self.collect(Pages { keys_only, ..pages }).await
    }

    async fn collect(&self, mut pages: Pages<'_>) -> Result<RangeRead, StoreError> {
        let mut items = Vec::new();
        while let Some(page) = pages.next().await? {
            items.extend(page);
        }
        Ok(RangeRead {
            revision: pages.revision.unwrap_or(0),
            cluster_id: pages.cluster_id,
            items,
        })
    }

    /// Takes the census of everything under the prefix, at a revision if one is given.
    pub async fn survey(&self, revision: Option<i64>) -> Result<Survey, StoreError> {
        let mut survey = Survey::default();
        let mut pages = self.pages(self.prefix().all(), revision);
        while let Some(page) = pages.next().await? {
            let prefix = self.prefix().clone();
            // Decoding a long page takes a while, so it must not block the runtime.
            let counted = tokio::task::spawn_blocking(move || {
                for item in &page {
                    let (key, value, revision) = (&item.key, &item.value, item.mod_revision);
                    survey.census.take(&prefix, key, value, revision);
                    survey.newest = survey.newest.max(revision);
                }
                survey
            });
            survey = counted.await?;
        }
        survey.revision = pages.revision.unwrap_or(0);
        Ok(survey)
    }

    fn pages(&self, range: Range<Vec<u8>>, revision: Option<i64>) -> Pages<'_> {
        Pages {
            store: self,
            left: Some(range),
            revision,
            keys_only: false,
            cluster_id: 0,
            size: PageSize::first(),
        }
    }

    /// The first key of a range, at a revision if one is given.
    pub(crate) async fn first(
        &self,
        range: Range<Vec<u8>>,
        revision: Option<i64>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, page, _) = self.page(range, 1, revision, true).await?;
        Ok(page.into_iter().next().map(|item| item.key))
    }

    /// The number of keys in a range, at a revision if one is given.
    pub(crate) async fn count(
        &self,
        range: Range<Vec<u8>>,
        revision: Option<i64>,
    ) -> Result<usize, StoreError> {
        let options = GetOptions::new().with_count_only();
        let response = self.get(&range, options, revision).await?;
        Ok(usize::try_from(response.count()).unwrap_or(0))
    }
}
