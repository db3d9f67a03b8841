#!/bin/sh
# Installs or upgrades Longshore from this folder, without a network.
#
#   install.sh --key KEY [--prefix DIR] [--service] [--tarball]
#
# KEY is the public key of minisign that the releases are signed with, or its file. Take it from where you trust it,
# not from this folder. Where there is dpkg, the Debian package is installed; elsewhere, or with --tarball or --prefix,
# the tarball, whose own install.sh gets --prefix and --service.
set -eu
umask 022
# Paths are the caller's.
from=$PWD
cd "$(dirname "$0")"

# What may be left on the disk afterwards.
SPARE_KIB=16384

say() { echo "longshore: $*"; }
die() { echo "install.sh: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
from_caller() { case $1 in /*) echo "$1" ;; *) echo "$from/$1" ;; esac; }

key= prefix= service= tarball=
while [ $# -gt 0 ]; do
  case $1 in
    --key) [ $# -ge 2 ] || die "--key: give the public key, or its file"; key=$2; shift ;;
    --prefix) [ $# -ge 2 ] || die "--prefix: give a folder"; prefix=$2 tarball=yes; shift ;;
    --service) service=yes ;;
    --tarball) tarball=yes ;;
    *) sed -n '2,8s/^# \{0,1\}//p' install.sh >&2; exit 2 ;;
  esac
  shift
done
[ -n "$key" ] || die "no --key: give the public key that Longshore's releases are signed with"
file=$(from_caller "$key")
if [ -f "$file" ]; then
  key=$(grep -v '^untrusted comment:' "$file" | head -n 1)
else
  case $key in
    RW*) ;;
    *) die "--key: $key: there is no such file, and it is no public key of minisign" ;;
  esac
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Bytes FROM to TO of a file; the first is 1.
bytes() { tail -c "+$2" "$1" | head -c "$(($3 - $2 + 1))"; }

# What minisign does, for machines that do not have it: Ed25519 over the BLAKE2b of the file.
check_with_openssl() {
  echo "$key" | base64 -d >"$scratch/key" 2>/dev/null || return 1
  sed -n 2p SHA256SUMS.minisig | base64 -d >"$scratch/signature" 2>/dev/null || return 1
  # Two bytes for the algorithm, eight for the key's number, then the key, and the signature.
  [ "$(bytes "$scratch/signature" 1 2)" = ED ] || return 1
  [ "$(bytes "$scratch/key" 3 10 | base64)" = "$(bytes "$scratch/signature" 3 10 | base64)" ] || return 1
  # A public key of Ed25519 as OpenSSL reads it.
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; bytes "$scratch/key" 11 42; } >"$scratch/key.der"
  bytes "$scratch/signature" 11 74 >"$scratch/raw"
  openssl dgst -blake2b512 -binary SHA256SUMS >"$scratch/digest" || return 1
  openssl pkeyutl -verify -pubin -keyform DER -inkey "$scratch/key.der" -rawin -in "$scratch/digest" \
    -sigfile "$scratch/raw" >/dev/null 2>&1
}

check_signature() {
  if has minisign; then
    minisign -Vqm SHA256SUMS -P "$key" >/dev/null 2>&1
  elif has openssl; then
    check_with_openssl
  else
    die "there is neither minisign nor OpenSSL 3 to check the signature: install one of them"
  fi
}

# Nothing of this folder is used before this.
check() {
  if [ ! -f SHA256SUMS ] || [ ! -f SHA256SUMS.minisig ]; then
    die "$PWD: there is no SHA256SUMS with its signature: unpack the archive again"
  fi
  check_signature || die "SHA256SUMS: not signed by this key: nothing is installed: \
take the key from where you trust it, and the archive from where you got it"
  sha256sum --check --quiet SHA256SUMS >"$scratch/sums" 2>&1 ||
    die "$(grep -m 1 FAILED "$scratch/sums"): the file is not what was released: nothing is installed: \
copy the archive again"
  say "signature and checksums are right"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

check_space() {
  # The old files stay until the new ones are there.
  need=$(($(dpkg-deb --field "$1" Installed-Size) + SPARE_KIB))
  free=$(df -Pk /usr | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] || die "/usr: $((free / 1024)) MiB are free, and $((need / 1024)) MiB are needed: make room there"
}

install_deb() {
  deb=$1
  [ "$(id -u)" = 0 ] || die "only root can install packages: run it with sudo, or give --prefix \"\$HOME/.local\""
  new=$(dpkg-deb --field "$deb" Version)
  if installed longshore; then
    old=$(dpkg-query -W -f '${Version}' longshore)
    dpkg --compare-versions "$old" le "$new" || die "longshore $old is installed, and this is $new, which may not read \
its ledger: to go back nevertheless, run \`dpkg -r longshore\` first"
  fi
  check_space "$deb"
  set -- "$deb"
  for needed in debian/*.deb; do
    installed "$(dpkg-deb --field "$needed" Package)" || set -- "$@" "$needed"
  done
  # Settings that were changed stay.
  DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold -i "$@"
  say "$new is installed"
}

install_tarball() {
  tar -xzf "$1" -C "$scratch"
  set --
  [ -z "$prefix" ] || set -- --prefix "$(from_caller "$prefix")"
  [ -z "$service" ] || set -- "$@" --service
  "$scratch"/longshore-*/install.sh "$@"
}

check
if [ -z "$tarball" ] && has dpkg; then
  install_deb longshore_*.deb
else
  install_tarball longshore-*-linux.tar.gz
fi
