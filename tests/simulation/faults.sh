#!/usr/bin/env bash
# Does the simulation find faults? Puts each fault of `faults/` into a copy of the sources, and has the
# simulation look for it. The first line of a patch is `found as: ` and a text: what the simulation reports has
# to contain that. Fails if a fault is not found, or not as that, or if a patch does not apply any more.
#
#   bash tests/simulation/faults.sh [NAME…]
#   bash tests/simulation/faults.sh --dry-run     only whether all patches apply
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/lib.sh
. deploy/lib.sh

if [ "${1:-}" = --dry-run ]; then
  for patch in tests/simulation/faults/*.patch; do
    git apply --check "$patch" || fail "$patch does not apply: make it anew"
  done
  exit
fi
have patch || apt_install patch

target=${CARGO_TARGET_DIR:-$PWD/target}/faults
copy=$target/sources
# What is about to change is compiled more quickly, and less well.
quickly=()
for package in etcd nsd simulation; do
  quickly+=(--config "profile.dev.package.$package.opt-level=1")
done
# Copies what differs, and only that: everything else need not be compiled again. Deletes what is gone.
take() {
  local file
  while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || cmp -s "$file" "$copy/$file" || install -D -m 644 "$file" "$copy/$file"
  done < <(git ls-files -z --cached --others --exclude-standard)
  while IFS= read -r -d '' file; do
    [ -e "$file" ] || rm "$copy/$file"
  done < <(cd "$copy" && find . -type f -print0)
}

mkdir -p "$copy"
[ $# -gt 0 ] || set -- tests/simulation/faults/*.patch
failed=
for patch in "$@"; do
  name=$(basename "$patch" .patch)
  patch=tests/simulation/faults/$name.patch
  as=$(sed -n '1s/^found as: //p' "$patch")
  [ -n "$as" ] || fail "$name does not say what it is found as"
  take
  patch -d "$copy" -p1 -F0 -s --no-backup-if-mismatch <"$patch" || fail "$name does not apply: make the patch anew"
  (cd "$copy" && CARGO_TARGET_DIR=$target cargo build -q "${quickly[@]}" --workspace --bin simulation 2>"$target/built") ||
    fail "$name does not compile: $(cat "$target/built")"
  if (cd "$copy" && "$target/debug/simulation" --count 100000 >"$target/found" 2>&1); then
    say "NOT FOUND: $name"
    failed=1
  else
    broken=$(grep '^BROKEN' "$target/found") || fail "$name: the simulation does not run: $(tail -3 "$target/found")"
    after=$(sed -n 's/ schedules in .*//p' "$target/found")
    if found=$(grep -m1 -F -e "$as" <<<"$broken"); then
      say "found: $name: after ${after:-?} schedules: ${found:8:100}"
    else
      say "NOT FOUND AS \"$as\": $name: after ${after:-?} schedules: ${broken:8:300}"
      failed=1
    fi
  fi
done
[ -z "$failed" ]
