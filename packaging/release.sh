#!/usr/bin/env bash
# All packages of what is built: `release.sh DEB OUT [KEY]`. The Makefile builds the program and its .deb first.
# With CLUSTER_PROGRAM, the file of `longshore-cluster`, there is an image of that, too.
source "$(dirname "$0")/common.sh"
[ $# -ge 2 ] || die "give the .deb, the folder for the packages, and the key that signs them, if any"
deb=$(realpath "$1") out=$(realpath -m "$2") key=${3:-}
here=$project/packaging
debs=${DEBS:-$project/target/debs}

version=$(version_of "$deb")
rm -rf "$out"
mkdir -p "$out"
cp "$deb" "$out/longshore_${version}_amd64.deb"
"$here/tarball/build.sh" "$deb" "$out"
"$here/image/build.py" --debs "$debs" "$deb" "$out"
if [ -n "${CLUSTER_PROGRAM:-}" ]; then
  "$here/image/build.py" --debs "$debs" --cluster "$CLUSTER_PROGRAM" --parts kerberos,odbc "$deb" "$out"
fi
"$here/sbom/build.py" "$out/longshore-$version.cdx.json"
# `make wheel` leaves it there.
for wheel in "$project"/target/wheels/*-"$version"-*.whl; do
  [ ! -f "$wheel" ] || cp "$wheel" "$out/"
done
"$here/sign.sh" "$out" "$key"
(cd "$out" && du --apparent-size --block-size=MB -- *)
if [ -n "$key" ]; then
  echo "$out: signed"
else
  echo "$out: not signed: give the secret key with SIGN_KEY"
fi
