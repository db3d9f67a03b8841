#!/usr/bin/env bash
# Fetches what the tests' own stores are made of, into a folder.
#
#   stores.sh hadoop DIR     the jars of HDFS 2.7 (they come inside PyPI's pyspark 3.0.0)
#   stores.sh azurite DIR    Azure's blob store, from npm
#   stores.sh browser DIR    what drives Debian's Chromium, and looks for barriers to access, from npm
#   stores.sh spark DIR      the jars of Spark 3.5, whose Thrift Server is a HiveServer2 (PyPI's pyspark)
set -euo pipefail

# Takes jars out of a version of PyPI's pyspark: those that the names begin, or all.
pyspark() {
  local version=$1 dir=$2 work
  shift 2
  work=$(mktemp -d)
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" -q --disable-pip-version-check install wheel setuptools
  "$work/venv/bin/pip" -q --disable-pip-version-check download --no-deps --no-build-isolation \
    --no-binary pyspark -d "$work" "pyspark==$version"
  mkdir -p "$dir.partial"
  # shellcheck disable=SC2046
  tar xzf "$work/pyspark-$version.tar.gz" -C "$dir.partial" --strip-components=3 --wildcards \
    $(printf "pyspark-$version/deps/jars/%s*.jar " "$@")
  rm -rf "$work"
  mv "$dir.partial" "$dir"
}

hadoop() {
  pyspark 3.0.0 "$1" hadoop-hdfs-2 hadoop-common-2 hadoop-auth-2 hadoop-annotations-2 jackson-mapper-asl \
    jackson-core-asl xercesImpl guava netty-all protobuf-java log4j-1 slf4j-api slf4j-log4j12 jetty-6 \
    jetty-util jetty-sslengine htrace-core-3 commons-collections commons-cli commons-logging \
    commons-lang-2 commons-configuration commons-codec commons-io javax.servlet-api httpcore httpclient \
    jaxb-runtime jakarta.xml.bind-api jakarta.activation-api istack-commons-runtime jakarta.ws.rs-api
}

spark() {
  pyspark 3.5.9 "$1" ""
}

azurite() {
  mkdir -p "$1.partial"
  npm install --silent --no-audit --no-fund --no-save --prefix "$1.partial" azurite@3
  mv "$1.partial" "$1"
}

browser() {
  mkdir -p "$1.partial"
  npm install --silent --no-audit --no-fund --no-save --prefix "$1.partial" playwright-core@1.65 axe-core@4.14
  mv "$1.partial" "$1"
}

case ${1:-} in
  hadoop | azurite | spark | browser) [ -d "$2" ] || "$1" "$2" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
