#!/bin/sh
# Installs, upgrades or removes Longshore.
#
#   install.sh [--prefix DIR]   into DIR: /usr/local unless told; ~/.local needs no root
#   install.sh --service        and as a service of systemd; needs root
#   install.sh --remove         removes it, and leaves settings and state
#
# Files are copied beside the old ones first, and change places with them when all are there.
set -eu
umask 022
# Paths are the caller's.
from=$PWD
cd "$(dirname "$0")"

# What may be left on the disk afterwards.
SPARE_KIB=16384

say() { echo "longshore: $*"; }
die() { echo "install.sh: $*" >&2; exit 1; }

prefix=/usr/local service= remove=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -ge 2 ] || die "--prefix: give a folder"; prefix=$2; shift ;;
    --service) service=yes ;;
    --remove) remove=yes ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "install.sh" >&2; exit 2 ;;
  esac
  shift
done
case $prefix in
  /*) ;;
  *) prefix=$from/$prefix ;;
esac

# The nearest folder that exists decides what may be written.
place=$prefix
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
[ -w "$place" ] || die "$place: you may not write there: run it with sudo, or give --prefix \"\$HOME/.local\""
if [ -n "$service" ] && [ "$(id -u)" != 0 ]; then
  die "--service: only root can add a service: run it with sudo"
fi

unit=/etc/systemd/system/longshore.service
list=$prefix/lib/longshore/installed.txt

has_systemd() { [ -d /run/systemd/system ]; }

remove_files() {
  [ -f "$list" ] || die "$list: Longshore is not installed in $prefix: give its --prefix"
  if [ "$(id -u)" = 0 ] && has_systemd && [ -f "$unit" ]; then
    systemctl disable --now longshore.service || true
    systemctl kill --kill-whom=all longshore.service 2>/dev/null || true
    rm -f "$unit"
    systemctl daemon-reload
  fi
  while read -r file; do rm -f "$prefix/$file"; done <"$list"
  rm -f "$list"
  rmdir "$prefix/lib/longshore/plugins" "$prefix/lib/longshore" 2>/dev/null || true
  say "removed from $prefix; settings and state are where they were"
}

check_version() {
  new=$(bin/longshore --version 2>&1) || die "this machine cannot run it: $new: it needs x86-64 and glibc 2.36"
  new=${new#longshore }
  [ -x "$prefix/bin/longshore" ] || return 0
  old=$("$prefix/bin/longshore" --version 2>/dev/null) || return 0
  old=${old#longshore }
  newest=$(printf '%s\n%s\n' "$old" "$new" | sort -V | tail -n 1)
  if [ "$newest" != "$new" ]; then
    die "longshore $old is installed, and this is $new, which may not read its ledger: to go back nevertheless, \
run \`install.sh --remove\` first"
  fi
}

check_space() {
  need=$(($(du -sk . | cut -f 1) + SPARE_KIB))
  free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] || die "$place: $((free / 1024)) MiB are free, and $((need / 1024)) MiB are needed: \
make room there, or give another --prefix"
}

# Runs a command for each file of the program, by its path below the prefix.
each_file() {
  find bin lib share -type f ! -path 'lib/systemd/*' | sort | while read -r file; do "$@" "$file" || exit 1; done
}

copy() { mkdir -p "$prefix/$(dirname "$1")" && cp "$1" "$prefix/$1.new"; }
give_up() {
  each_file discard
  die "$prefix: copying failed: nothing has changed there"
}
discard() { rm -f "$prefix/$1.new"; }
put() { mv "$prefix/$1.new" "$prefix/$1"; }

# Plugins that this version no longer has must not serve.
remove_old() {
  [ -f "$list" ] || return 0
  while read -r file; do [ -e "$file" ] || rm -f "$prefix/$file"; done <"$list"
}

install_service() {
  getent passwd longshore >/dev/null || useradd --system --user-group --home-dir /var/lib/longshore \
    --no-create-home --shell /usr/sbin/nologin --comment Longshore longshore
  (cd etc && find . -type f) | while read -r file; do
    [ -e "/etc/$file" ] || install -D -m 644 "etc/$file" "/etc/$file"
  done
  [ -d /etc/longshore/secrets ] || install -d -m 700 /etc/longshore/secrets
  sed "s,/usr/bin/longshore,$prefix/bin/longshore,; s,/usr/lib/longshore,$prefix/lib/longshore," \
    lib/systemd/system/longshore.service >"$unit.new"
  mv "$unit.new" "$unit"
}

restart_service() {
  # Runs that are under way go on after it.
  systemctl daemon-reload
  if systemctl is-active --quiet longshore.service; then
    systemctl restart longshore.service
    say "restarted the service"
  else
    systemctl enable --quiet longshore.service
    say "\`systemctl start longshore\` starts the service"
  fi
}

if [ -n "$remove" ]; then
  remove_files
  exit
fi
check_version
check_space
each_file copy || give_up
each_file put
remove_old
each_file echo >"$list"
[ -z "$service" ] || install_service
say "$new is installed in $prefix"
if [ "$(id -u)" = 0 ] && has_systemd && [ -f "$unit" ] && grep -q "=$prefix/bin/longshore " "$unit"; then
  restart_service
fi
