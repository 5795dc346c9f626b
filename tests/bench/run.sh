#!/usr/bin/env bash
# Benchmarks: installs what they compare with, builds in release, measures. Needs root, for network namespaces.
#
#   bash tests/bench/run.sh TABLE [--quick] [--results DIR]
#
# TABLE is one of peers, encrypted, nodes, cores, propagation, updates, linearizable, flood, policy, journal, zones, scale and all. --quick is short and small: it shows that
# all of it works, and its figures are none, as it runs what is built for tests. Tables (Markdown) and plots (SVG) go to target/bench, or DIR.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/lib.sh
. deploy/lib.sh

[ $# -gt 0 ] || {
  say "usage: bash tests/bench/run.sh peers|encrypted|nodes|cores|propagation|updates|linearizable|flood|policy|journal|zones|scale|all [--quick] [--results DIR]"
  exit 2
}

# peer COMMAND PACKAGE: best effort, as a table also does with fewer peers. Their services are not wanted: a package
# starts none where this policy forbids it.
peer() {
  ! have "$1" && have apt-get || return 0
  say "installing $2 ($1 is missing)"
  [ -e /usr/sbin/policy-rc.d ] || {
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod +x /usr/sbin/policy-rc.d
    policy=made
  }
  apt_install "$2" || say "cannot install $2: its rows will be missing"
}
policy=
export PATH=$PATH:/usr/sbin:/sbin
install_missing
peer ip iproute2
peer taskset util-linux
peer kxdpgun knot-dnsutils
peer dnsperf dnsperf
peer h2load nghttp2-client
peer knotd knot
peer /usr/sbin/nsd nsd
peer named bind9
# Without its backend it serves no zone file.
compgen -G '/usr/lib/*/pdns/libbindbackend.so' >/dev/null || peer pdns-backend-bind "pdns-server pdns-backend-bind"
[ -z "$policy" ] || as_root rm /usr/sbin/policy-rc.d

for tool in ip taskset kxdpgun dnsperf h2load; do
  have "$tool" && continue
  case " $* " in
    *" --quick "*)
      say "skipped, as $tool is missing: benchmarks"
      exit
      ;;
  esac
  fail "$tool is missing: install it, then run this again"
done

target=${CARGO_TARGET_DIR:-target}
case " $* " in
  *" --quick "*)
    unshare --net true 2>/dev/null || {
      say "skipped, as no network namespace can be made here: benchmarks"
      exit
    }
    cargo build --workspace --all-targets
    exec "$target/debug/bench" "$@"
    ;;
esac
cargo build --release --workspace --bins
exec "$target/release/bench" "$@"
