//! Conversions from etcd-client's types to the mirror's, and etcd-client's KV client with our limit on the size of a
//! message.

use etcd_client::{Client, KvClient, ResponseHeader, WatchResponse};

use super::StoreError;
use crate::mirror::{Header, Input, KeyChange};
use crate::schema::KeyValue;

/// No limit in practice: a page of long TXT records or a large transaction must fit.
pub(crate) const MESSAGE_MAX: usize = 1 << 30;

pub(crate) fn kv_client(client: &Client) -> KvClient {
    client
        .kv_client()
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX)
}

pub(crate) fn header(of: Option<&ResponseHeader>) -> Header {
    of.map_or(Header::default(), |header| Header {
        cluster_id: header.cluster_id(),
        member_id: header.member_id(),
        revision: header.revision(),
    })
}

pub(crate) fn key_value(item: etcd_client::KeyValue) -> KeyValue {
    let mod_revision = item.mod_revision();
    let (key, value) = item.into_key_value();
    KeyValue {
        key,
        value,
        mod_revision,
    }
}

pub(crate) fn from_watch(response: WatchResponse) -> Result<Input, StoreError> {
    let header = header(response.header());
    if response.canceled() {
        let reason = response.cancel_reason();
        return Err(if response.compact_revision() > 0 {
            StoreError::Compacted
        } else if reason.contains("auth token")
            || reason.contains("Unauthenticated")
            || reason.contains("auth store")
        {
            StoreError::Unauthenticated(reason.into())
        } else if reason.contains("denied") {
            // Some releases put a gRPC status in front.
            let plain = reason.rsplit_once("etcdserver: ");
            StoreError::Denied(plain.map_or(reason, |(_, plain)| plain).into())
        } else {
            StoreError::Unreachable(format!("the watch was cancelled: {reason}"))
        });
    }
    let fragment = response.0.fragment;
    let changes: Vec<KeyChange> = response
        .0
        .events
        .into_iter()
        .filter_map(|event| {
            let item = event.kv?;
            // A deletion has version 0. The event type is not used, because etcd may add new ones.
            let value = (item.version > 0).then_some(item.value);
            Some(KeyChange {
                key: item.key,
                value,
                mod_revision: item.mod_revision,
            })
        })
        .collect();
    if changes.is_empty() && !fragment {
        return Ok(Input::Watching(header));
    }
    Ok(Input::Changes {
        header,
        changes,
        fragment,
    })
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbWatchResponse;

    use super::*;
    use crate::mirror::Failure;

    #[test]
    fn why_a_watch_was_cancelled_is_told_apart() {
        let cancelled = |reason: &str, compact_revision| {
            let response = PbWatchResponse {
                canceled: true,
                cancel_reason: reason.into(),
                compact_revision,
                ..PbWatchResponse::default()
            };
            let error = from_watch(WatchResponse(response)).expect_err(reason);
            error.failure()
        };
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(cancelled(compacted, 9), Failure::Compacted);
        for (reason, failure) in [
            ("etcdserver: permission denied", Failure::Denied),
            (
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Failure::Denied,
            ),
            ("etcdserver: invalid auth token", Failure::Unauthenticated),
            (
                "etcdserver: revision of auth store is old",
                Failure::Unauthenticated,
            ),
            ("etcdserver: no leader", Failure::Unreachable),
            ("", Failure::Unreachable),
        ] {
            assert_eq!(cancelled(reason, 0), failure, "{reason}");
        }
        let begun = from_watch(WatchResponse(PbWatchResponse::default()));
        assert!(matches!(begun, Ok(Input::Watching(_))));
    }
}
