#!/usr/bin/env bash
# `sign.sh FOLDER [KEY]`: SHA256SUMS of the files in a folder, signed with a secret key of minisign if one is given.
# The signature vouches for all files: it is over their checksums. minisign asks for the key's password, if it has one.
source "$(dirname "$0")/common.sh"
[ $# -ge 1 ] || die "give the folder"
key=${2:-}
[ -z "$key" ] || key=$(realpath "$key")
cd "$1"

rm -f SHA256SUMS SHA256SUMS.minisig
sums=$(find . -type f -printf '%P\n' | sort | xargs sha256sum)
echo "$sums" >SHA256SUMS
[ -n "$key" ] || exit 0
[ -f "$key" ] || die "$key: no such key: \`minisign -G\` makes one"
# Without a time of its own: the same files have the same signature.
minisign -S -s "$key" -m SHA256SUMS -c "Longshore's checksums" -t "the files that SHA256SUMS lists" >/dev/null ||
  die "signing with $key failed: see above"
