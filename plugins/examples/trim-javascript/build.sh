#!/usr/bin/env bash
# build.sh OUT.wasm
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) out=$(realpath -m "$1")

# npm installs beside the source that imports: both are in the cache.
tools=${LONGSHORE_TOOLS:-$HOME/.cache/longshore-tools}/javascript
mkdir -p "$tools"
cp "$here"/{package.json,*.js} "$tools"
cd "$tools"
if ! cmp -s package.json installed; then
  # Without a lock: componentize-qjs names packages for other systems that were never published.
  npm install --no-package-lock --silent --no-fund --no-audit
  cp package.json installed
fi

# The host gives a plugin no WASI and no async functions.
npx componentize-qjs --wit "$here/../../../wit" --world transform --js trim.js --module-root . \
  --sync --stub-wasi --output "$out" >/dev/null
