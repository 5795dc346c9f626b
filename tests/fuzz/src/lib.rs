//! Fuzz targets for all that reads octets or text from outside: messages, names, rdata and master files.
//!
//! Each function in [`target`] takes any octets and panics where a property does not hold. Two things
//! call them:
//!
//! - `tests/smoke.rs`, from `smoke.sh` and so from `tests/run.sh`: some seconds of seeds and mutations
//!   of them, without instrumentation.
//! - libFuzzer, for as long as one likes (here from the repository's root; stable Rust will do):
//!
//!   ```sh
//!   cargo install cargo-fuzz
//!   mkdir -p /tmp/corpus/rdata      # what it finds on its way, which is not for the repository
//!   RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none rdata \
//!       /tmp/corpus/rdata tests/fuzz/corpus/rdata -- \
//!       -dict=tests/fuzz/dictionaries/rdata.dict -max_len=4096 -max_total_time=1200
//!   ```
//!
//! The sanitizers are off because there is no unsafe code on these paths. What was found becomes a test
//! beside the code that was wrong, named after what was wrong.

pub use etcd::model;
pub use nsd::{message, zone};

pub mod target;
