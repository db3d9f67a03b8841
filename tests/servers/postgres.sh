#!/usr/bin/env bash
# A PostgreSQL of one's own: on loopback, in a folder of its own, as an ordinary user.
#
#   postgres.sh start DIR PORT    starts it; user `postgres`, password `secret`, database `postgres`
#   postgres.sh restart DIR       stops it hard, and starts it again
#   postgres.sh pause DIR         only stops it
#   postgres.sh resume DIR        only starts it
#   postgres.sh standby OF PORT-OF DIR PORT    starts one that follows another
#   postgres.sh stop DIR          stops it and removes DIR
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "postgres.sh: no PostgreSQL: apt-get install postgresql" >&2; exit 1; }

# PostgreSQL refuses to run as root; Debian's package brings a user.
as_user() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start() {
  local dir=$1 port=$2
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown postgres "$dir"
  echo secret | as_user tee "$dir/password" >/dev/null
  as_user "$bin/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile "$dir/password" \
    --encoding UTF8 --locale C.UTF-8 >"$dir.initdb.log" 2>&1 || { cat "$dir.initdb.log" >&2; exit 1; }
  mv "$dir.initdb.log" "$dir/initdb.log"
  as_user openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Longshore test CA" \
    -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
  as_user openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
    -keyout "$dir/data/server.key" -out "$dir/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' | as_user tee "$dir/server.ext" >/dev/null
  as_user openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
    -days 30 -extfile "$dir/server.ext" -out "$dir/data/server.crt" 2>/dev/null
  as_user tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1,::1'
port = $port
unix_socket_directories = ''
ssl = on
fsync = off
max_connections = 50
shared_buffers = 512MB
max_wal_size = 4GB
CONF
  # By user: each way to log in.
  as_user tee "$dir/data/pg_hba.conf" >/dev/null <<HBA
host all trusty all trust
host all clear  all password
host all old    all md5
hostnossl all nossl all scram-sha-256
host all all    all scram-sha-256
HBA
  as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w start >/dev/null || { cat "$dir/server.log" >&2; exit 1; }
}

pause() {
  as_user "$bin/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null
}

resume() {
  as_user "$bin/pg_ctl" -D "$1/data" -l "$1/server.log" -w start >/dev/null
}

restart() {
  pause "$1"
  resume "$1"
}

standby() {
  local of=$1 of_port=$2 dir=$3 port=$4
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown postgres "$dir"
  # The first server lets replication in by the rule for all users and databases only if it says so.
  echo "host replication all all scram-sha-256" | as_user tee -a "$of/data/pg_hba.conf" >/dev/null
  as_user "$bin/pg_ctl" -D "$of/data" reload >/dev/null
  PGPASSWORD=secret as_user "$bin/pg_basebackup" -h 127.0.0.1 -p "$of_port" -U postgres -D "$dir/data" -R -c fast
  echo "port = $port" | as_user tee -a "$dir/data/postgresql.conf" >/dev/null
  as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w start >/dev/null || { cat "$dir/server.log" >&2; exit 1; }
}

stop() {
  local dir=$1
  as_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$dir"
}

case ${1:-} in
  start) start "$2" "$3" ;;
  restart | pause | resume) "$1" "$2" ;;
  standby) standby "$2" "$3" "$4" "$5" ;;
  stop) stop "$2" ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
