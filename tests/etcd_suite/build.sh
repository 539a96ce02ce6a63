#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds etcd 3.7.1's own tools and its suite tests/common, from the Go module proxy, into
# $DATUM_ETCD_SUITE (~/.cache/datum-etcd-suite): etcd-reference, etcdctl, etcdutl, benchmark,
# common.test, and the suite's source directory as the link common.
# Does nothing if they are there.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/go/find_go.sh
source "$here/../go/find_go.sh"
# By package path, never tidied: the modules' own go.mod files have replace lines.
export GOFLAGS="-mod=mod -buildvcs=false"

out=${DATUM_ETCD_SUITE:-$HOME/.cache/datum-etcd-suite}
[ -e "$out/done-3.7.1" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/go.mod" "$work/"
mkdir -p "$out"
cd "$work"
echo "etcd_suite: builds etcd 3.7.1's tools and tests/common into $out (some minutes)" >&2
go build -o "$out/" go.etcd.io/etcd/etcdctl/v3 go.etcd.io/etcd/etcdutl/v3
go build -o "$out/etcd-reference" go.etcd.io/etcd/server/v3
go build -o "$out/benchmark" go.etcd.io/etcd/v3/tools/benchmark
go test -c -tags e2e -o "$out/common.test" go.etcd.io/etcd/tests/v3/common
ln -sfn "$(go list -m -f '{{.Dir}}' go.etcd.io/etcd/tests/v3)/common" "$out/common"
touch "$out/done-3.7.1"
