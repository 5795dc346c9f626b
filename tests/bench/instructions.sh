#!/usr/bin/env bash
# Instructions that a query and a change take, by kind, counted by callgrind: they do not move with the load of the
# machine, as times do. Fails where one is more than 10 % over tests/bench/instructions.txt.
#
#   bash tests/bench/instructions.sh             compare
#   bash tests/bench/instructions.sh --update    and write the counts down, for a commit that says why
#
# A compiler counts for itself: with another rustc than the one in the file there is nothing to compare with.
set -euo pipefail
cd "$(dirname "$0")/../.."

file=tests/bench/instructions.txt
rustc=$(rustc --version)
command -v valgrind >/dev/null || {
  echo "skipped, as valgrind is not installed: instruction counts"
  exit
}
if [ "${1:-}" != --update ] && ! grep -qxF "# $rustc, $(uname -m)" "$file"; then
  echo "skipped, as $file is of another compiler or machine: instruction counts"
  exit
fi

built=$(cargo bench -q -p nsd --no-default-features --bench answer --no-run --message-format json |
  sed -n 's/.*"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# instructions CASE TIMES: of all of them together.
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect='*answer::counted*' \
    "$built" --count "$1" "$2" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
  }
  sed -n 's/^summary: //p' "$work/out"
}

failed=0
{
  echo "# $rustc, $(uname -m)"
  echo "# Instructions each: bash tests/bench/instructions.sh --update"
} >"$work/counts"
for case in $("$built" --list-counts); do
  # Names are found in a trie whose hash function has another seed in each process, which makes up to 12 % of
  # difference: the least of five counts is compared.
  case $case in
  publish/1) times=200 runs=5 ;;
  publish/*) times=20 runs=5 ;;
  resolve/* | encode/referral) times=1000 runs=5 ;;
  *) times=1000 runs=1 ;;
  esac
  now=
  for _ in $(seq "$runs"); do
    count=$(($(instructions "$case" "$times") / times))
    if [ -z "$now" ] || [ "$count" -lt "$now" ]; then now=$count; fi
  done
  before=$(sed -n "s|^$case ||p" "$file" 2>/dev/null || true)
  echo "$case $now" >>"$work/counts"
  printf '%-20s %8s instructions, %s before\n' "$case" "$now" "${before:-none}"
  if [ -n "$before" ] && [ $((now * 10)) -gt $((before * 11)) ]; then
    echo "error: $case takes over 10 % more than before" >&2
    failed=1
  fi
done
if [ "${1:-}" = --update ]; then
  cp "$work/counts" "$file"
  exit
fi
exit $failed
