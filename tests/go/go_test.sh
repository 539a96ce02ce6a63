#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# go_test.sh SERVER PACKAGE [FLAG...]: `go test` of one package of tests/go against SERVER.
set -euo pipefail
server=$(readlink -f "$1")
shift
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/go_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/go/run_go.sh
source tests/go/run_go.sh

[ -z "${DATUMCTL:-}" ] || DATUMCTL=$(readlink -f "$DATUMCTL")
export DATUMCTL
[ -z "${DATUM_SERVER_WITH_CANARIES:-}" ] ||
  DATUM_SERVER_WITH_CANARIES=$(readlink -f "$DATUM_SERVER_WITH_CANARIES")
export DATUM_SERVER_WITH_CANARIES
cd "$go_module"
export DATUM_SERVER=$server
TEST_TMPDIR=$work go test -count=1 -timeout=240s "$@"
