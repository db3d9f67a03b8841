#!/usr/bin/env bash
# A daemon on a temporary folder; a job dropped into its inbox; where the Parquet is, and a look.
set -euo pipefail

longshore=${1:?usage: demo.sh LONGSHORE}
folder=$(mktemp -d "${TMPDIR:-/tmp}/longshore-demo.XXXXXX")
mkdir "$folder/inbox"

echo "== the daemon"
echo "\$ longshore serve --inbox $folder/inbox --state $folder/state &"
"$longshore" serve --inbox "$folder/inbox" --state "$folder/state" &
daemon=$!
stop() { kill "$daemon" 2>/dev/null && wait "$daemon" || true; }
trap stop EXIT

until [ -d "$folder/inbox/done" ]; do
  kill -0 "$daemon" 2>/dev/null || exit 1
  sleep 0.1
done

echo
echo "== a job"
cat <<JOB | tee "$folder/demo.yaml"
source: { url: "tpch:", scale: 0.5 }
tables: [orders, customer, nation]
transform:
  - sql: SELECT * FROM data
target: { url: "file://$folder/lake", compression: zstd }
JOB
echo
echo "== dropped into the inbox"
mv "$folder/demo.yaml" "$folder/inbox/"

reports() { find "$folder/inbox/done" "$folder/inbox/failed" -name '*.report.json' | grep -q .; }
until reports; do
  kill -0 "$daemon" 2>/dev/null || exit 1
  sleep 0.1
done
stop
trap - EXIT
if ls "$folder"/inbox/failed/*.report.json >/dev/null 2>&1; then
  cat "$folder"/inbox/failed/*.report.json
  exit 1
fi

echo
echo "== a preview"
"$longshore" preview "$folder/lake/orders" --rows 5
echo
echo "the Parquet is in $folder/lake:"
(cd "$folder/lake" && du -h --apparent-size ./*/ | sed 's/^/  /')
echo "the report is  $(ls "$folder"/inbox/done/*.report.json)"
