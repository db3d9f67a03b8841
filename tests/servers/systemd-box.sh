#!/usr/bin/env bash
# A systemd of one's own: PID 1 of a container over a view of this machine, which is thrown away.
#
#   systemd-box.sh up DIR        boots it, with DIR for its state
#   systemd-box.sh run DIR CMD.. runs a command in it
#   systemd-box.sh down DIR      ends it
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
action=$1 box=$2
shift 2

run() {
  local leader
  leader=$(pgrep -P "$(cat "$box/pid")" | head -n 1)
  nsenter -t "$leader" -m -u -i -p -n -C -r -w env -i HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

case $action in
  up)
    mkdir -p "$box/memory"
    mount -t tmpfs -o size=3g,mode=755 longshore-box "$box/memory"
    mkdir "$box/memory/"{upper,work,root}
    mount -t overlay longshore-box -o "lowerdir=/,upperdir=$box/memory/upper,workdir=$box/memory/work" \
      "$box/memory/root"
    setsid nohup systemd-nspawn -q -D "$box/memory/root" --register=no --keep-unit "--machine=longshore-$(basename "$box")" \
      --link-journal=no --private-network --console=pipe --boot -- --unit=basic.target \
      </dev/null >"$box/log" 2>&1 &
    echo $! >"$box/pid"
    for _ in $(seq 1200); do
      run systemctl is-active -q basic.target 2>/dev/null && exit 0
      kill -0 "$(cat "$box/pid")" 2>/dev/null || break
      sleep 0.1
    done
    tail "$box/log" >&2
    exit 1
    ;;
  run) run "$@" ;;
  down)
    run systemctl poweroff || true
    for _ in $(seq 100); do kill -0 "$(cat "$box/pid")" 2>/dev/null || break; sleep 0.1; done
    kill "$(cat "$box/pid")" 2>/dev/null || true
    umount "$box/memory/root" "$box/memory"
    rm -rf "$box"
    ;;
esac
