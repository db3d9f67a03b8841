#!/usr/bin/env bash
# build.sh OUT.wasm
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) out=$(realpath -m "$1")
wit=$here/../../../wit

ZIG=0.17.1 NANOARROW=0.9.0 WIT_BINDGEN=0.61.0

tools=${LONGSHORE_TOOLS:-$HOME/.cache/longshore-tools}/c
installed="zig $ZIG nanoarrow $NANOARROW wit-bindgen $WIT_BINDGEN"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$installed" ]; then
  rm -rf "$tools" && mkdir -p "$tools"
  # Zig for its clang, its linker and its libc for WebAssembly: PyPI has them in one package.
  python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check ziglang==$ZIG
  # Of nanoarrow's package for Python, the C sources that it is made from.
  "$tools/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary nanoarrow \
    --dest "$tools" nanoarrow==$NANOARROW
  tar -xzf "$tools"/nanoarrow-*.tar.gz -C "$tools"
  mv "$tools"/nanoarrow-*/subprojects "$tools/sources"
  "$tools/python/bin/python" "$tools/sources/arrow-nanoarrow/ci/scripts/bundle.py" --with-ipc --output-dir "$tools/nanoarrow"
  cargo install --quiet --locked --root "$tools" --no-default-features --features c wit-bindgen-cli --version $WIT_BINDGEN
  echo "$installed" >"$tools/installed"
fi

work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"$tools/bin/wit-bindgen" c --world transform --out-dir "$work" "$wit" 2>"$work/log"

# A library that is initialised once: a "reactor". Its libc would ask for WASI's files, clock and
# exit only where it is used for those, and nothing here does.
flatcc=$(echo "$tools"/sources/flatcc-*)
export ZIG_GLOBAL_CACHE_DIR=$tools/zig ZIG_LOCAL_CACHE_DIR=$tools/zig
"$tools/python/bin/python" -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O2 -s -DNDEBUG -Wall -Wextra -Wl,-z,stack-size=1048576 \
  -I "$work" -I "$tools/nanoarrow/include" -I "$flatcc/include" \
  "$here"/*.c "$work"/transform.c "$work"/transform_component_type.o \
  "$tools"/nanoarrow/src/nanoarrow{,_ipc}.c "$flatcc"/src/runtime/{builder,emitter,verifier,refmap}.c \
  -o "$work/$(basename "$out")"
"${LONGSHORE:-longshore}" plugin build --out "$(dirname "$out")" "$work/$(basename "$out")"
