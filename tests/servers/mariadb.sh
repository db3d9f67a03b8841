#!/usr/bin/env bash
# A MariaDB of one's own: on loopback, in a folder of its own, as an ordinary user.
#
#   mariadb.sh start DIR PORT    starts it; user `reader`, password `secret`, database `shop`
#   mariadb.sh stop DIR          stops it and removes DIR
set -euo pipefail

command -v mariadbd >/dev/null || { echo "mariadb.sh: no MariaDB: apt-get install mariadb-server" >&2; exit 1; }

# Debian's package brings a user; root may not be one.
user=$(if [ "$(id -u)" = 0 ]; then echo mysql; else id -un; fi)

# Nothing has to outlive a crash of the machine, and no queue of the kernel is needed.
in_memory=(--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --innodb-use-native-aio=0)

start() {
  local dir=$1 port=$2
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown mysql "$dir"
  mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" "${in_memory[@]}" \
    --auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 || { cat "$dir/install.log" >&2; exit 1; }
  cat >"$dir/init.sql" <<SQL
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO reader@'127.0.0.1';
SQL
  chmod 644 "$dir/init.sql"
  nohup mariadbd --no-defaults --user="$user" --datadir="$dir/data" --bind-address=127.0.0.1 --port="$port" \
    --socket="$dir/data/socket" --pid-file="$dir/data/pid" --init-file="$dir/init.sql" --skip-name-resolve \
    --local-infile=1 "${in_memory[@]}" --innodb-buffer-pool-size=256M >"$dir/server.log" 2>&1 &
  local server=$!
  for _ in $(seq 1200); do
    ! mariadb --no-defaults -h 127.0.0.1 -P "$port" -u reader -psecret -e 'SELECT 1' shop >/dev/null 2>&1 || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "mariadb.sh: the server on port $port does not answer" >&2
  cat "$dir/server.log" >&2
  exit 1
}

stop() {
  local dir=$1
  if [ -f "$dir/data/pid" ]; then
    kill "$(cat "$dir/data/pid")" 2>/dev/null || true
    for _ in $(seq 100); do [ -f "$dir/data/pid" ] || break; sleep 0.1; done
  fi
  rm -rf "$dir"
}

case ${1:-} in
  start) start "$2" "$3" ;;
  stop) stop "$2" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
