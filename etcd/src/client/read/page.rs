//! The number of keys to ask for at once.
//!
//! For every page etcd counts all the keys that follow, so a list of n keys in pages of p takes n²/2p steps: with a
//! million keys in pages of a thousand, minutes. So pages grow up to the size limit of a response, and shrink again if
//! they take long, on a slow line or a busy member.

use std::time::Duration;

use etcd_client::GetResponse;

use crate::client::connect::{StoreError, header, key_value};
use crate::mirror::Header;
use crate::schema::KeyValue;

/// Smallest page, in keys.
const KEYS_MIN: i64 = 500;

/// Largest page, in keys.
const KEYS_MAX: i64 = 100_000;

/// Target limit for the keys and values of a page, in octets.
const OCTETS_MAX: usize = 8 << 20;

/// After a page that took less time, the next one is larger.
const QUICK: Duration = Duration::from_millis(500);

/// After a page that took more time, the next one is smaller.
const SLOW: Duration = Duration::from_secs(2);

/// The content of a page: the response's header, the keys, and whether more follow.
pub(crate) fn decode(
    mut response: GetResponse,
) -> Result<(Header, Vec<KeyValue>, bool), StoreError> {
    let (header, more) = (header(response.header()), response.more());
    let items: Vec<_> = response.take_kvs().into_iter().map(key_value).collect();
    check(&items, more)?;
    Ok((header, items, more))
}

/// The first possible key after this one.
pub(crate) fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Refuses an empty page that announces more keys: it neither continues the list nor ends it.
fn check(items: &[KeyValue], more: bool) -> Result<(), StoreError> {
    if more && items.is_empty() {
        let reason = "the answer announces more keys and has none, so the list is incomplete";
        return Err(StoreError::Unreachable(reason.into()));
    }
    Ok(())
}

/// The size of the next page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageSize {
    keys: i64,
}

impl PageSize {
    /// The size of a first page.
    pub(crate) fn first() -> Self {
        PageSize { keys: 2_000 }
    }

    /// The number of keys to ask for.
    pub(crate) fn keys(self) -> i64 {
        self.keys
    }

    /// Adapts the size of the next page to this one.
    pub(crate) fn learn(&mut self, items: &[KeyValue], took: Duration) {
        let octets: usize = items
            .iter()
            .map(|item| item.key.len() + item.value.len())
            .sum();
        let wanted = match took {
            _ if took < QUICK => self.keys * 4,
            _ if took > SLOW => self.keys / 2,
            _ => self.keys,
        };
        let octets_each = (octets / items.len().max(1)).max(1);
        let fitting = i64::try_from(OCTETS_MAX / octets_each).unwrap_or(KEYS_MAX);
        self.keys = wanted.min(fitting).clamp(KEYS_MIN, KEYS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: usize, octets: usize) -> Vec<KeyValue> {
        let item = KeyValue {
            key: vec![b'k'; octets / 2],
            value: vec![b'v'; octets - octets / 2],
            mod_revision: 1,
        };
        vec![item; count]
    }

    #[test]
    fn a_page_without_keys_ends_a_list_only_where_there_are_no_more() {
        assert!(check(&[], false).is_ok());
        assert!(check(&page(1, 10), true).is_ok());
        let error = check(&[], true).expect_err("where to go on is not said");
        assert!(error.to_string().contains("incomplete"), "{error}");
    }

    #[test]
    fn pages_grow_while_they_are_quick_and_small() {
        let mut size = PageSize::first();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            size.learn(&page(100, 80), Duration::from_millis(10));
            sizes.push(size.keys());
        }
        assert_eq!(sizes, [8_000, 32_000, 100_000, 100_000]);
        size.learn(&page(10, 10 << 20), Duration::from_millis(10));
        assert_eq!(size.keys(), 500);
    }

    #[test]
    fn pages_shrink_where_they_are_slow() {
        let mut size = PageSize::first();
        for (millis, keys) in [(3_000, 1_000), (1_000, 1_000), (3_000, 500), (9_000, 500)] {
            size.learn(&page(100, 80), Duration::from_millis(millis));
            assert_eq!(size.keys(), keys);
        }
    }
}
