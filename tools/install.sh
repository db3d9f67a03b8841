#!/usr/bin/env bash
# Installs what is missing, and nothing else: `install.sh plugins`, `install.sh build`, `install.sh test VENV STORES`,
# `install.sh venv VENV REQUIREMENTS`.
set -euo pipefail
cd "$(dirname "$0")/.."

apt_install() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "install.sh: as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  # A package's service must not start: the tests run their own, on private ports.
  mkdir -p /run && policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# An environment of Python's with what a file of requirements names; more arguments are for pip.
make_venv() {
  local venv=$1 requirements=$2
  if [ ! -x "$venv/bin/pip" ]; then
    python3 -m venv "$venv" 2>/dev/null || { apt_install python3-venv && python3 -m venv "$venv"; }
  fi
  local stamp=$venv/requirements.sha256
  if ! sha256sum --check --quiet "$stamp" 2>/dev/null; then
    # Its scripts name the checkout that they were made for: a folder that is kept may serve another one.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${@:3}" --requirement "$requirements"
    sha256sum "$requirements" >"$stamp"
  fi
}

has_wasm_target() {
  [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ]
}

case ${1:-} in
  plugins)
    # Where rustup cannot add the WebAssembly target, Debian's compiler builds std from source.
    has_wasm_target || apt_install rustc-web cargo-web rust-web-src lld-19
    ;;
  build)
    # What links against the manager of ODBC drivers.
    apt_install unixodbc-dev
    ;;
  test)
    apt_install postgresql openssl openssh-server systemd-container dbus \
      krb5-kdc krb5-admin-server krb5-user libgssapi-krb5-2 minisign docker-registry \
      podman runc unixodbc odbc-postgresql libsqliteodbc odbc-mariadb mariadb-server \
      chromium fonts-dejavu-core faketime valgrind
    command -v java >/dev/null || apt_install default-jre-headless
    command -v npm >/dev/null || apt_install nodejs npm
    make_venv "$2" tests/requirements.txt
    tests/servers/stores.sh hadoop "$3/hadoop"
    tests/servers/stores.sh azurite "$3/azurite"
    tests/servers/stores.sh browser "$3/browser"
    tests/servers/stores.sh spark "$3/spark"
    ;;
  venv)
    # Frozen requirements name all that they need. What is never imported need not be compiled.
    make_venv "$2" "$3" --no-compile "${@:4}"
    ;;
  *)
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
    ;;
esac
