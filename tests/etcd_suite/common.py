# SPDX-License-Identifier: Apache-2.0
"""etcd 3.7.1's black-box suite tests/common, run on a server: ours, and etcd itself beside it.

  common.py --server PATH [--tests PATTERN] [--reference] [--table FILE] [--jobs N]

Each test runs in a process of its own (a test that leaks makes the suite skip all later ones), in
a directory where `etcd` is a link to the server and etcdctl and etcdutl are etcd's own. What
counts is the line `--- PASS`, `--- FAIL` or `--- SKIP` of the test. Ports are the suite's own
(localhost:20000 and up), so one test runs at a time. Exit 1 if a test that must pass does not.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = os.environ.get("DATUM_ETCD_SUITE",
                       os.path.join(os.path.expanduser("~"), ".cache", "datum-etcd-suite"))
TIMEOUT_S = 180
# Many tests have cases with and without TLS, which is not served yet; without it they are run.
TLS_CASES = "|".join("./" * depth + "Peer(Auto)?TLS" for depth in range(1, 5))

# Tests that need what is not served yet, by pattern, and why.
NOT_YET = [
    # ...WithNoAuth too: these switch it on and call without a user.
    (r"Auth(?!ority)|Role|User|Root", "authentication is not served yet"),
    (r"Authority", "needs TLS and Go's own HTTP/2 debug output"),
    (r"TLS|Tls", "TLS is not served yet"),
]


def reason(name):
    for pattern, why in NOT_YET:
        if re.search(pattern, name):
            return why
    return ""


def test_names():
    listed = subprocess.run([os.path.join(SUITE, "common.test"), "-test.list", "."],
                            cwd=os.path.join(SUITE, "common"), check=True,
                            capture_output=True, text=True,
                            env=dict(os.environ, E2E_TEST_MINIMAL="true"))
    return [line for line in listed.stdout.split() if line.startswith("Test")]


def run_one(name, binaries):
    """('PASS' | 'FAIL' | 'SKIP' | 'TLS' | 'TIMEOUT', seconds, output)"""
    command = [os.path.join(SUITE, "common.test"), "-test.v", "-test.run", f"^{name}$",
               "-test.skip", TLS_CASES, "-bin-dir", binaries]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=os.path.realpath(os.path.join(SUITE, "common")),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True,
                               env=dict(os.environ, E2E_TEST_MINIMAL="true", ETCD_VERIFY="all"))
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # The group is the test's own: its servers are in it.
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return "TIMEOUT", time.monotonic() - began, output
    took = time.monotonic() - began
    found = re.search(rf"^--- (PASS|FAIL|SKIP): {name}\b", output, re.MULTILINE)
    verdict = found.group(1) if found else "FAIL"
    # Every case was one with TLS: nothing has run.
    if verdict == "PASS" and "starting server" not in output:
        verdict = "TLS"
    return verdict, took, output


def run_all(names, server, label, log_directory):
    with tempfile.TemporaryDirectory() as binaries:
        os.symlink(os.path.abspath(server), os.path.join(binaries, "etcd"))
        for tool in ("etcdctl", "etcdutl"):
            os.symlink(os.path.join(SUITE, tool), os.path.join(binaries, tool))
        results = {}
        for at, name in enumerate(names, 1):
            verdict, took, output = run_one(name, binaries)
            results[name] = verdict
            print(f"[{at}/{len(names)}] {label:6} {verdict:7} {took:6.1f} s  {name}", flush=True)
            if verdict in ("FAIL", "TIMEOUT"):
                path = os.path.join(log_directory, f"{label}-{name}.log")
                with open(path, "w", encoding="utf-8") as log:
                    log.write(output)
        return results


def write_table(path, names, ours, reference):
    lines = ["# etcd's tests/common on Datum", "",
             "etcd 3.7.1's own black-box suite, each test in a process of its own, on our binary "
             "and on etcd's.", "Made by `tools/dev compat common`.", "",
             "| test | Datum | etcd | why not |", "|---|---|---|---|"]
    for name in names:
        verdict = ours.get(name, "")
        why = "" if verdict == "PASS" else reason(name)
        if verdict == "SKIP":
            why = "skipped by the suite itself"
        if verdict == "TLS":
            verdict, why = "-", "all of its cases have TLS, which is not served yet"
        lines.append(f"| {name} | {verdict.lower()} | {reference.get(name, '-').lower()} | {why} |")
    lines += ["", "Where a test has cases with TLS, the others were run, on both."]
    counts = {v: sum(1 for n in names if ours.get(n) == v)
              for v in ("PASS", "FAIL", "SKIP", "TIMEOUT")}
    lines += ["", f"Datum: {counts['PASS']} pass, {counts['FAIL'] + counts['TIMEOUT']} fail, "
              f"{counts['SKIP']} skipped of {len(names)}."]
    with open(path, "w", encoding="utf-8") as table:
        table.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--tests", default=".", help="a pattern of test names")
    parser.add_argument("--reference", action="store_true", help="run etcd itself too")
    parser.add_argument("--table", help="where to write the table")
    options = parser.parse_args()
    subprocess.run([os.path.join(HERE, "build.sh")], check=True)
    names = [n for n in test_names() if re.search(options.tests, n)]
    logs = tempfile.mkdtemp(prefix="etcd-suite-")
    ours = run_all(names, options.server, "datum", logs)
    reference = {}
    if options.reference:
        reference = run_all(names, os.path.join(SUITE, "etcd-reference"), "etcd", logs)
    if options.table:
        write_table(options.table, names, ours, reference)
    wrong = [n for n in names if ours[n] in ("FAIL", "TIMEOUT") and not reason(n)]
    passed = sum(1 for n in names if ours[n] == "PASS")
    print(f"{passed} of {len(names)} pass; outputs of those that do not are in {logs}")
    if wrong:
        print("must pass and do not: " + ", ".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
