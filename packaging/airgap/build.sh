#!/usr/bin/env bash
# One archive for machines without a network: `build.sh PACKAGES OUT KEY`, of a folder that release.sh made.
source "$(dirname "$0")/../common.sh"
[ $# = 3 ] || die "give the folder of packages, the folder for the archive, and the key that signs it"
packages=$1 out=$2 key=$3
debs=${DEBS:-$project/target/debs}

deb=$(echo "$packages"/longshore_*.deb)
name=longshore-$(version_of "$deb")-airgap
make_scratch
mkdir -p "$scratch/$name" "$out"
cp "$packages"/* "$scratch/$name/"
install -m 755 "$project/packaging/airgap/install.sh" "$scratch/$name/"

# What the .deb depends on and recommends: a machine may lack some of it, and cannot ask a mirror.
NEEDED="ca-certificates gcc-12-base libcom-err2 libgcc-s1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3
  libkrb5support0 libltdl7 libodbc2 libssl3 openssl"
mkdir "$scratch/$name/debian"
# shellcheck disable=SC2086
"$project/packaging/debian.sh" "$debs" $NEEDED | xargs cp --target-directory "$scratch/$name/debian"

"$project/packaging/sign.sh" "$scratch/$name" "$key"
archive=$out/$name.tar
# What is in it is compressed.
same_tar --directory "$scratch" --file "$archive" "$name"
minisign -S -s "$key" -m "$archive" -c "Longshore's archive" -t "$name.tar" >/dev/null ||
  die "signing with $key failed: see above"
echo "$archive"
