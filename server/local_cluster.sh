#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Three members on loopback, until ctrl-C. Data in local.datum/ where it was called.
# Further flags go to every member.
set -euo pipefail

server=$(readlink -f "$(dirname "$0")/server")
cd "${BUILD_WORKING_DIRECTORY:-.}"
unset BUILD_WORKING_DIRECTORY
mkdir -p local.datum
cluster=n1=http://127.0.0.1:2380,n2=http://127.0.0.1:22380,n3=http://127.0.0.1:32380
members=()

end_members() {
  trap '' INT TERM
  [ ${#members[@]} = 0 ] || kill -TERM "${members[@]}" 2>/dev/null || true
  wait
}
trap end_members EXIT
trap 'exit 0' INT TERM

for number in 1 2 3; do
  ports=$([ $number = 1 ] && echo 2 || echo "${number}2")
  # In a process group of its own, so that ctrl-C reaches it through us alone, once.
  setsid "$server" --name="n$number" --data-dir="local.datum/n$number" \
    --listen-client-urls="http://127.0.0.1:${ports}379" \
    --listen-peer-urls="http://127.0.0.1:${ports}380" \
    --initial-advertise-peer-urls="http://127.0.0.1:${ports}380" \
    --initial-cluster="$cluster" --initial-cluster-token=local-cluster "$@" &
  members+=($!)
done
echo "endpoints: 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379; ctrl-C ends all three" >&2
# A member that ends by itself ends the cluster, so that nobody takes two for three.
wait -n
