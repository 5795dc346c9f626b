#!/usr/bin/env bash
# All checks, the same for people and CI: installs what is missing, then format, lints, the purity
# of the library without its client, unit tests, some seconds of fuzzing, the integration tests
# against real etcd clusters, the simulation, instruction counts, and the benchmarks in short. Ends with a non-zero exit at the first step that fails, and names it.
#
#   bash tests/run.sh             some 30 minutes on two cores
#   bash tests/run.sh --long      the tests that take longer too: some four hours (NSD_TEST_LONG=1)
#
# NSD_TEST_SEED=N gives the random faults of seed N again; a run prints its seed.
# Without a Docker engine the integration tests run on etcd processes; NSD_TEST_ETCD_IMAGE= (set,
# but empty) asks for that where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/lib.sh
. deploy/lib.sh

case "$#:${1:-}" in
  0:) ;;
  1:--long) export NSD_TEST_LONG=1 ;;
  *)
    say "usage: bash tests/run.sh [--long]"
    exit 2
    ;;
esac

# step NAME COMMAND…
current=
step() {
  current=$1 started=$SECONDS
  printf '\n== %s\n' "$current"
  "${@:2}"
  printf '== %s s: %s\n' $((SECONDS - started)) "$current"
  current=
}
# shellcheck disable=SC2317 # the trap calls it
report() {
  local code=$?
  [ -z "$current" ] || printf '== FAILED after %s s with exit code %s: %s\n' $((SECONDS - started)) "$code" "$current"
}
trap report EXIT
# run COMMAND…: a step named by its command.
run() { step "$*" "$@"; }

rust_tools() {
  local tool
  for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}" ||
      fail "cargo $tool is missing: rustup component add rustfmt clippy"
  done
}
etcd_image() {
  NSD_TEST_ETCD_IMAGE=${NSD_TEST_ETCD_IMAGE-$(bash tests/etcd-image.sh)}
  export NSD_TEST_ETCD_IMAGE
  NSD_TEST_ETCD_NEXT=${NSD_TEST_ETCD_NEXT-$(bash tests/etcd-next.sh)}
  export NSD_TEST_ETCD_NEXT
  echo "NSD_TEST_ETCD_IMAGE=$NSD_TEST_ETCD_IMAGE NSD_TEST_ETCD_NEXT=$NSD_TEST_ETCD_NEXT"
}
# For the one test that sets a clock, which skips with a line without it.
faketime() {
  if have apt-get && ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; then
    apt_install libfaketime || say "libfaketime cannot be installed: no clock will jump"
  fi
}

step "install what is missing" install_missing
step "rustfmt and clippy" rust_tools
if have shellcheck; then
  run shellcheck -x deploy/*.sh tests/*.sh tests/*/*.sh .ci/run
else
  printf '\n== skipped, as shellcheck is not installed: shell scripts\n'
fi
run cargo fmt --check
run cargo clippy --workspace --all-targets -- -D warnings
run cargo check -p etcd -p nsd --no-default-features
# One selection of packages for all that is built: another one would have other features, and build everything anew.
run cargo build --workspace --all-targets
run cargo test --workspace --lib --bins
step "fuzz smoke" bash tests/fuzz/smoke.sh
step "etcd image" etcd_image
step "libfaketime" faketime
# The binary is named so that the features stay the same, and nothing is built anew.
run cargo test --workspace --test '*' --bin simulation -- --test-threads=2
simulation=(--count 100000)
if [ -n "${NSD_TEST_LONG:-}" ]; then
  simulation=(--seed "${NSD_TEST_SEED:-$RANDOM$RANDOM}" --count 2000000)
fi
run "${CARGO_TARGET_DIR:-target}/debug/simulation" "${simulation[@]}"
faults=(--dry-run)
[ -z "${NSD_TEST_LONG:-}" ] || faults=()
run bash tests/simulation/faults.sh "${faults[@]}"
run bash tests/bench/instructions.sh
run bash tests/bench/run.sh all --quick

printf '\n== all steps passed in %s s\n' "$SECONDS"
