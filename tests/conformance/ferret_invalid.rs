//! `ferret-invalid.jsonl.gz`: zones that break one rule each.

use etcd::model::zonefile::Fault;
use serde_json::Value;

use crate::ferret::{cases, origin, text};
use crate::zones;
