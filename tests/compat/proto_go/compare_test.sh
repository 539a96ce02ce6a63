#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Our .proto files against the descriptors of go.etcd.io/etcd/api/v3 at 3.7.1, and the same with a
# number changed, which must be found.
set -euo pipefail

work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/proto_go.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/go/find_go.sh
source tests/go/find_go.sh
protos=(proto/etcd/{auth,kv,membership,rpc,raft_internal,v3lock,v3election}.proto)

# -L: runfiles are links, and Go does not follow them out of a module.
mkdir "$work/module"
cp -L tests/compat/proto_go/{go.mod,go.sum,compare.go} "$work/module"
chmod u+w "$work"/module/*
(cd "$work/module" && GOFLAGS=-mod=mod go build -o ../compare .)

protoc -I. --descriptor_set_out="$work/ours" "${protos[@]}"
"$work/compare" "$work/ours"

mkdir -p "$work/changed/proto/etcd"
cp -L proto/etcd/*.proto "$work/changed/proto/etcd"
chmod u+w "$work"/changed/proto/etcd/*
sed -i 's/bool keys_only = 8;/bool keys_only = 88;/' "$work/changed/proto/etcd/rpc.proto"
(cd "$work/changed" && protoc -I. --descriptor_set_out=../changed.set "${protos[@]}")
if "$work/compare" "$work/changed.set" >"$work/found"; then
  echo "a changed field number was not found"
  exit 1
fi
grep -q '^field etcdserverpb.RangeRequest.keys_only: ' "$work/found"
