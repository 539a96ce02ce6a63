#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tests, in the root of the runfiles: finds Go, copies this module out of the runfiles
# (they are links, and Go does not follow them out of a module) and sets $go_module. Needs $work, a
# directory of the test's own.

# shellcheck source=tests/go/find_go.sh
source tests/go/find_go.sh
export GOFLAGS="-mod=mod -buildvcs=false"

go_module="$work/go_module"
mkdir -p "$go_module"
cp -RL tests/go/. "$go_module"
chmod -R u+w "$go_module"
