#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# maven_test.sh SERVER PROJECT [CLASS]: builds the Maven project and runs its main class on three
# members; then, if CLASS is given, that one on three that are killed and restarted meanwhile.
set -euo pipefail
server=$(readlink -f "$1")
project=$2
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/maven_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/go/run_go.sh
source tests/go/run_go.sh
for tool in mvn javac; do
  if ! command -v "$tool" >/dev/null; then
    echo "this test needs $tool in PATH (Debian: maven, openjdk-17-jdk-headless); there is none" >&2
    exit 1
  fi
done

# With the same folders around it as in the checkout: the poms name ../../proto.
mkdir -p "$work/root/$project" "$work/root/proto/etcd"
cp -RL "$project/." "$work/root/$project"
[ ! -d proto/etcd ] || cp -L proto/etcd/*.proto "$work/root/proto/etcd"
chmod -R u+w "$work/root"
(cd "$go_module" && go build -o "$work/with_cluster" ./cmd/with_cluster)

cd "$work/root/$project"
rm -rf target
mvn --quiet --batch-mode package
# shellcheck disable=SC2016
"$work/with_cluster" -members 3 -server "$server" -- \
  bash -c 'mvn --quiet --batch-mode exec:java "-Dexec.args=--endpoints=$ENDPOINTS"'
[ $# -ge 3 ] || exit 0
# shellcheck disable=SC2016
"$work/with_cluster" -members 3 -server "$server" -kill 4s -- \
  bash -c 'mvn --quiet --batch-mode exec:java "-Dmain.class='"$3"'"'
