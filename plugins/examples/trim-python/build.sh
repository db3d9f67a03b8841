#!/usr/bin/env bash
# build.sh OUT.wasm
exec "$(dirname "$0")/../python/componentize.sh" "$(dirname "$0")" transform "$1"
