#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# go_client_test.sh SERVER: makes the Go client's code anew and compares it with what is committed,
# then runs its example on three members.
set -euo pipefail
server=$(readlink -f "$1")
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/go_client_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/go/run_go.sh
source tests/go/run_go.sh

mkdir -p "$work/root/client" "$work/root/proto"
cp -RL client/go "$work/root/client/go"
cp -RL proto/etcd "$work/root/proto/etcd"
chmod -R u+w "$work/root"
cp -R "$work/root/client/go" "$work/committed"
"$work/root/client/go/generate.sh"
diff -r "$work/committed" "$work/root/client/go"

(cd "$go_module" && go build -o "$work/with_cluster" ./cmd/with_cluster)
(cd "$work/root/client/go" && go vet ./... && go build -o "$work/example" ./example)
# shellcheck disable=SC2016
"$work/with_cluster" -members 3 -server "$server" -- \
  bash -c '"$0" --endpoints="$ENDPOINTS"' "$work/example" | tee "$work/output"
# Three writes, each read through three members.
[ "$(grep -c 'written through' "$work/output")" = 9 ]
