# shellcheck shell=bash
# Sourced by deploy/quickstart.sh and tests/run.sh: installs what the build and the tests need and
# the machine lacks, so that one command is enough on a fresh Debian or Ubuntu with Rust (dnf and
# brew: best effort). Sourced from the repository's root. What is there already is left alone.
# Also runs on macOS's bash 3.2.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…: as it is for root, else through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_updated=
apt_get() { as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y -o DPkg::Lock::Timeout=120 "$@" </dev/null 2>&1; }

# apt_install PACKAGES: the package lists are fetched once a run. A list that cannot be fetched
# (some other source is broken) matters only if the install then fails too.
apt_install() {
  local log
  if [ -z "$apt_updated" ]; then
    apt_get update >/dev/null || say "apt-get update failed; going on with the package lists at hand"
    apt_updated=yes
  fi
  # shellcheck disable=SC2086 # a list of packages
  log=$(apt_get install --no-install-recommends $1) || {
    printf '%s\n' "$log" | tail -n 5 >&2
    return 1
  }
}

# install_package WHAT APT DNF BREW: each of the last three a list of packages; for apt also "a|b": the
# first that can be installed, for a package that was renamed.
install_package() {
  local what=$1 names one
  if have apt-get; then names=$2; elif have dnf; then names=$3; elif have brew; then names=$4; else
    fail "$what is missing, and there is no apt-get, dnf or brew here: install it, then run this again"
  fi
  if ! have apt-get && ! have dnf; then
    : # brew refuses to run as root, and needs no root
  elif [ "$(id -u)" != 0 ] && ! have sudo; then
    fail "$what is missing: install ${names%%|*} as root, then run this again"
  fi
  say "installing ${names%%|*} ($what is missing)"
  if have apt-get; then
    while [ -n "$names" ]; do
      one=${names%%|*}
      names=${names#"$one"} names=${names#|}
      apt_install "$one" && return
    done
  elif have dnf; then
    # shellcheck disable=SC2086
    as_root dnf -y -q install $names </dev/null >&2 && return
  else
    # shellcheck disable=SC2086
    brew install -q $names </dev/null >&2 && return
  fi
  fail "$what could not be installed: install it by hand, then run this again"
}

# need COMMAND APT DNF BREW
need() {
  have "$1" && return
  install_package "$@"
  hash -r
  have "$1" || fail "$1 is still not on PATH after its package was installed"
}

# The least rustc is the one that Cargo.toml names.
need_rust() {
  local least version
  least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  have cargo || export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  have cargo || fail "cargo is missing: install Rust $least or newer (https://rustup.rs) for the user $(id -un), then run this again${SUDO_USER:+ (or without sudo: it calls sudo itself where it must)}"
  version=$(rustc --version 2>&1) || fail "rustc does not run: $version"
  version=${version#rustc } version=${version%% *}
  [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ] ||
    fail "rustc is $version, but $least or newer is needed: rustup update, or https://rustup.rs"
}

# A C compiler that links, for the `ring` crate and for rustc itself: Debian's gcc comes without
# the C library's headers where recommended packages are off.
cc_works() {
  local dir ok=0
  dir=$(mktemp -d)
  printf '#include <stdlib.h>\nint main(void) { return 0; }\n' >"$dir/probe.c"
  cc -o "$dir/probe" "$dir/probe.c" 2>/dev/null || ok=1
  rm -r "$dir"
  return $ok
}
need_cc() {
  cc_works && return
  install_package "a C compiler" "gcc libc6-dev" "gcc glibc-devel" gcc
  cc_works || fail "cc still does not compile and link a C program"
}

# protoc with its well-known protos, which Debian packs apart: etcd-client's build needs both.
protoc_works() {
  local dir ok=0
  dir=$(mktemp -d)
  printf 'syntax = "proto3";\nimport "google/protobuf/any.proto";\nmessage M { google.protobuf.Any a = 1; }\n' >"$dir/probe.proto"
  "${PROTOC:-protoc}" -I "$dir" ${PROTOC_INCLUDE:+-I "$PROTOC_INCLUDE"} -o /dev/null "$dir/probe.proto" 2>/dev/null || ok=1
  rm -r "$dir"
  return $ok
}
need_protoc() {
  protoc_works && return
  [ -z "${PROTOC:-}" ] || fail "PROTOC=$PROTOC does not find google/protobuf/any.proto: unset PROTOC, or set PROTOC_INCLUDE"
  install_package "protoc with google/protobuf/any.proto" "protobuf-compiler libprotobuf-dev" "protobuf-compiler protobuf-devel" protobuf
  protoc_works || fail "protoc still does not find google/protobuf/any.proto"
}

etcd_service_exists() {
  [ -e /etc/init.d/etcd ] || { [ -d /run/systemd/system ] && systemctl cat etcd.service >/dev/null 2>&1; }
}
# Only the binaries are wanted. Debian's etcd-server also starts a service, which would hold port
# 2379: it is stopped again if this very install brought it, and never if it was there before.
need_etcd() {
  local service_was_here=
  if ! have etcd && [ ! -x "${NSD_ETCD:-}" ]; then
    ! etcd_service_exists || service_was_here=yes
    need etcd etcd-server etcd etcd
    if [ -z "$service_was_here" ] && etcd_service_exists; then
      if [ -d /run/systemd/system ]; then
        as_root systemctl --quiet disable --now etcd.service >&2
      else
        as_root service etcd stop >/dev/null 2>&1 || true # it may not have been started at all
        as_root update-rc.d etcd disable >/dev/null 2>&1 || true
      fi
      say "stopped and disabled the etcd service that the package came with: only its binary is used here"
    fi
  fi
  need etcdctl etcd-client etcd etcd
}

# What building, the quick start and the tests need.
install_missing() {
  need_rust
  need_cc
  need_protoc
  need_etcd
  need dig "bind9-dnsutils|dnsutils" bind-utils bind
}
