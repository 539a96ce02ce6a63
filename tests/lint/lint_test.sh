#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the checkout that this test was built from: Bazel's runfiles are links into it.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
here=$(dirname "$(readlink -f "$TEST_SRCDIR/$TEST_WORKSPACE/tests/lint/lint.py")")
python3 "$here/lint.py" --selftest
python3 "$here/lint.py" "$here/../.."
