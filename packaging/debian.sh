#!/usr/bin/env bash
# Debian's packages in a folder: `debian.sh FOLDER PACKAGE..` prints their files, and downloads what is not there yet.
# What is there is what is taken: keep the folder to build the same again.
source "$(dirname "$0")/common.sh"
[ $# -ge 2 ] || die "give a folder, and packages"
mkdir -p "$1"
cd "$1"
shift

missing=()
for package in "$@"; do
  compgen -G "${package}_*.deb" >/dev/null || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}" >&2 ||
    die "cannot download ${missing[*]}: run \`apt-get update\`, or put their .deb files into $PWD"
fi
for package in "$@"; do
  files=("${package}"_*.deb)
  [ ${#files[@]} = 1 ] || die "$package: ${#files[@]} versions are in $PWD: leave one there"
  echo "$PWD/${files[0]}"
done
