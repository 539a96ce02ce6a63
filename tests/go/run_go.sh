#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tests, in the root of the runfiles: checks that Go is there, copies this module out of
# the runfiles (they are links, and Go does not follow them out of a module) and sets $go_module.
# Needs $work, a directory of the test's own.

if ! command -v go >/dev/null; then
  echo "this test needs Go 1.26 or later in PATH (https://go.dev/dl); there is none" >&2
  exit 1
fi
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export GOCACHE=${GOCACHE:-$HOME/.cache/go-build}
export GOFLAGS="-mod=mod -buildvcs=false"

go_module="$work/go_module"
mkdir -p "$go_module"
cp -RL tests/go/. "$go_module"
chmod -R u+w "$go_module"
