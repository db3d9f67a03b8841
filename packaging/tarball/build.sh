#!/usr/bin/env bash
# The tarball, of the files of a Debian package: `build.sh DEB OUT`; prints the path of what it made.
source "$(dirname "$0")/../common.sh"
[ $# = 2 ] || die "give the .deb, and the folder for the tarball"
deb=$1 out=$2

name=longshore-$(version_of "$deb")-x86_64-linux
make_scratch
dpkg-deb --extract "$deb" "$scratch/deb"
mkdir -p "$scratch/$name" "$out"
cp -a "$scratch/deb/usr/." "$scratch/$name/"
# Where Debian has units depends on its version.
[ ! -d "$scratch/deb/lib" ] || cp -a "$scratch/deb/lib/." "$scratch/$name/lib/"
cp -a "$scratch/deb/etc" "$scratch/$name/etc"
install -m 755 "$project/packaging/tarball/install.sh" "$scratch/$name/"
install -m 644 "$project/LICENSE" "$scratch/$name/"
chmod -R u=rwX,go=rX "$scratch/$name"

same_tar --directory "$scratch" "$name" | gzip --no-name "-$GZIP_LEVEL" >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
