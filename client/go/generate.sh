#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the Go messages and stubs anew from proto/etcd. The result is committed, so that users need
# no protoc. Needs protoc and Go; the plugins come through the Go proxy.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

plugins=$(mktemp -d)
trap 'rm -rf "$plugins"' EXIT
GOBIN=$plugins go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
GOBIN=$plugins go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0

PATH=$plugins:$PATH protoc -I. \
  --go_out=client/go --go_opt=module=datum.dev/client/go \
  --go-grpc_out=client/go --go-grpc_opt=module=datum.dev/client/go \
  proto/etcd/{auth,kv,rpc,v3election,v3lock}.proto
