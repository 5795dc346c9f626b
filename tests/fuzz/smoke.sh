#!/usr/bin/env bash
# Every fuzz target for a while on its seeds and on mutations of them, the same in every run: the fuzzing that is
# cheap enough for each change. Needs neither cargo-fuzz nor a C++ compiler; src/lib.rs has the other kind.
#
#   bash tests/fuzz/smoke.sh             5 seconds a target
#   bash tests/fuzz/smoke.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")"

export FUZZ_SECONDS=${1:-5} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target/fuzz}
cargo fmt --check
cargo clippy --locked --quiet --no-default-features --all-targets -- -D warnings
cargo test --locked --no-default-features --test smoke -- --test-threads=2 --nocapture
