# What the packages have in common; to be sourced.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# All files carry the moment of the commit: the same commit makes the same packages.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git -C "$project" log -1 --format=%ct 2>/dev/null || stat -c %Y "$project/Cargo.lock")
fi
export SOURCE_DATE_EPOCH

# gzip's: the tests take 1, which is quick.
export GZIP_LEVEL=${GZIP_LEVEL:-9}

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# The version of Longshore in a .deb, without Debian's revision.
version_of() {
  local version
  version=$(dpkg-deb --field "$1" Version) || die "$1: not a Debian package: \`make deb\` makes one"
  echo "${version%-*}"
}

# The same folder gives the same tar.
same_tar() {
  tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$@"
}

# A folder that goes when the script ends.
make_scratch() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
}
