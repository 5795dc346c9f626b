#!/usr/bin/env bash
# From a fresh checkout to answers: installs what is missing, builds nsd and nsctl, runs `nsd dev`
# (with a private etcd of its own) on deploy/examples/example.org.zone, adds a record with nsctl and
# asks for it with dig, then stays up until Ctrl-C, which leaves nothing behind.
#
#   bash deploy/quickstart.sh            127.0.0.1:5300 (DNS), 127.0.0.1:9053 (admin)
#   bash deploy/quickstart.sh --check    the same on free ports; verifies the answers and exits
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/lib.sh
. deploy/lib.sh

check=
case "$#:${1:-}" in
  0:) ;;
  1:--check) check=yes ;;
  *)
    say "usage: bash deploy/quickstart.sh [--check]"
    exit 2
    ;;
esac

# show COMMAND…: run it as a person would type it.
show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

install_missing
bin=${CARGO_TARGET_DIR:-target}/release
show cargo build --release -p nsd -p nsctl

work=$(mktemp -d)
nsd=
unclean=
# SIGTERM to nsd, which takes its etcd down; what is left of its process group after 10 s is killed.
stop() {
  [ -n "$nsd" ] || return 0
  kill -TERM "$nsd" 2>/dev/null || true
  for _ in {1..100}; do
    kill -0 -- "-$nsd" 2>/dev/null || break
    sleep 0.1
  done
  ! kill -KILL -- "-$nsd" 2>/dev/null || unclean=yes
  wait "$nsd" 2>/dev/null || true
  nsd=
}
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
  trap '' INT TERM HUP
  stop
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

nsd_failed() {
  tail -n 20 "$work/nsd.err" >&2
  fail "$1"
}

# In its own process group (set -m), so that Ctrl-C reaches this script alone, which then ends nsd,
# and nsd its etcd, in that order. TMPDIR puts etcd's data where cleanup removes it.
start=("$bin/nsd" dev --zone-file example.org=deploy/examples/example.org.zone)
[ -z "$check" ] || start+=(--listen 127.0.0.1:0 --admin 127.0.0.1:0)
printf '\n$ %s &\n' "${start[*]}"
set -m
TMPDIR=$work "${start[@]}" </dev/null >"$work/nsd.out" 2>"$work/nsd.err" &
nsd=$!
set +m

# Once it serves, nsd prints: ready dns=HOST:PORT admin=HOST:PORT etcd=URL
dns='' admin='' etcd=''
deadline=$((SECONDS + 60))
while [ -z "$dns" ]; do
  kill -0 "$nsd" 2>/dev/null || nsd_failed "nsd ended before it was ready; its last lines are above"
  [ "$SECONDS" -lt "$deadline" ] || nsd_failed "nsd was not ready within 60 s; its last lines are above"
  sleep 0.1
  while read -r line; do # a line without its newline yet is left for the next round
    if [[ $line =~ ^ready\ dns=([^ ]+)\ admin=([^ ]+)\ etcd=([^ ]+)$ ]]; then
      dns=${BASH_REMATCH[1]} admin=${BASH_REMATCH[2]} etcd=${BASH_REMATCH[3]}
    fi
  done <"$work/nsd.out"
done
echo "nsd answers on $dns, its admin listener is at http://$admin, its etcd at $etcd"

at=("@${dns%:*}" -p "${dns##*:}")
ask() { dig "${at[@]}" +time=2 +tries=3 "$@"; }

# expect WANTED NAME TYPE [OPTION…]: for --check, the whole answer; or, with status:RCODE, that.
expect() {
  local wanted=$1 got
  shift
  [ -n "$check" ] || return 0
  case $wanted in
    status:*) got=status:$(ask "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p') || true ;;
    *) got=$(ask +short "$@") || true ;;
  esac
  [ "$got" = "$wanted" ] || nsd_failed "dig $* was to give '$wanted' but gave '$got'; nsd's last lines are above"
}

show dig "${at[@]}" www.example.org A +noall +answer
expect 192.0.2.10 www.example.org A
expect status:NXDOMAIN www2.example.org A
show "$bin/nsctl" --endpoints "$etcd" add www2.example.org A 192.0.2.80 --wait
show dig "${at[@]}" www2.example.org A +noall +answer
expect 192.0.2.80 www2.example.org A
expect 192.0.2.80 www2.example.org A +tcp

if [ -n "$check" ]; then
  stop
  [ -z "$unclean" ] || nsd_failed "nsd or its etcd still ran 10 s after SIGTERM; nsd's last lines are above"
  printf '\nok: built, served, changed and answered as expected, and taken down again\n'
  exit
fi

printf '\nNow in another terminal, from %s:\n' "$PWD"
grep -v '^ready ' "$work/nsd.out" || true
printf '\nUp until Ctrl-C, which removes this etcd and its data too. Log: %s\n' "$work/nsd.err"
wait "$nsd" || true
nsd_failed "nsd ended by itself; its last lines are above"
