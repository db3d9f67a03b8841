#!/usr/bin/env bash
# Makes a component: componentize.sh FOLDER WORLD OUT.wasm
#
# The folder's module is called like the interface that the world exports: componentize-py looks
# there for the interface's resources.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd) world=$2 out=$3

tools=${LONGSHORE_TOOLS:-$HOME/.cache/longshore-tools}/python
if ! cmp -s "$here/requirements.txt" "$tools/installed"; then
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$tools/installed"
fi

# In a folder of its own: what is imported leaves its bytecode beside it.
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cp "$folder"/*.py "$here"/*.py "$work"

# The host gives a plugin no WASI: what Python would ask for is stubbed.
site=$("$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Not its script, which names the folder that it was installed in: that may be kept elsewhere.
componentize() { "$tools/bin/python" -c 'import sys, componentize_py; sys.exit(componentize_py.script())' "$@"; }
componentize --quiet --wit-path "$here/../../../wit" --world "$world" \
  componentize --stub-wasi --python-path "$work" --python-path "$site" --output "$out" "${world}_api"
