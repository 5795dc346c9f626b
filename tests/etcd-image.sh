#!/usr/bin/env bash
# Prints the name of a local Docker image of etcd for the integration tests, made first if it is not
# there. No registry is asked, as many machines reach none: the image is made from the etcd and
# etcdctl found here, with the libraries that ldd names, and nothing else ("FROM scratch"). The
# entry point is etcd, so a container's arguments are etcd's; /data and /tmp are empty folders.
#
# Standard output: the name, or nothing where no Docker engine answers. All else: standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

if [ "$(uname -s)" != Linux ]; then
  say "no etcd image: this machine's own etcd cannot run in a Linux container"
  exit
fi
if ! engine=$(timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null); then
  say "no etcd image: no Docker engine answers"
  exit
fi

etcd=$(command -v "${NSD_ETCD:-etcd}") || { say "error: etcd is not on PATH"; exit 1; }
etcdctl=$(command -v etcdctl) || { say "error: etcdctl is not on PATH"; exit 1; }
version=$("$etcd" --version | sed -n 's/^etcd Version: //p')
image=nsd-test/etcd:$version

# Made of these very files? An image kept from an older run may not be.
recipe=$(cat tests/etcd-image.sh "$etcd" "$etcdctl" | cksum | cut -d ' ' -f 1)
if [ "$(docker image inspect --format '{{index .Config.Labels "recipe"}}' "$image" 2>/dev/null)" = "$recipe" ]; then
  say "$image is there already (Docker $engine)"
  echo "$image"
  exit
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/bin" "$root/data" "$root/tmp"
cp -L "$etcd" "$root/usr/bin/etcd"
cp -L "$etcdctl" "$root/usr/bin/etcdctl"
# "libc.so.6 => /lib/…/libc.so.6 (0x…)" and the loader, "/lib64/ld-… (0x…)"; a static binary has none.
for library in $( (ldd "$etcd" "$etcdctl" 2>/dev/null || true) | grep -o '/[^ ]* (0x' | cut -d ' ' -f 1 | sort -u); do
  mkdir -p "$root${library%/*}"
  cp -L "$library" "$root$library"
done
chmod 755 "$root"
chmod 1777 "$root/data" "$root/tmp"

tar -C "$root" --owner=0 --group=0 -c . | docker import \
  --change 'ENTRYPOINT ["/usr/bin/etcd"]' --change "LABEL recipe=$recipe" - "$image" >&2

docker run --rm --network none "$image" --version >&2
docker run --rm --network none -e ETCDCTL_API=3 --entrypoint /usr/bin/etcdctl "$image" version >&2
say "made $image (Docker $engine)"
echo "$image"
