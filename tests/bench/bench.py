# SPDX-License-Identifier: Apache-2.0
"""tools/dev bench: throughput, latency, CPU and memory of a cluster on loopback.

With --etcd PATH the same load runs against etcd in the same minutes, in interleaved legs
(ours, etcd, etcd, ours), each on fresh data directories: on a machine whose speed moves, only the
ratios within a round mean something.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

WORKLOADS = ("put", "range", "range-serializable")
TICKS = os.sysconf("SC_CLK_TCK")


def flags():
    parser = argparse.ArgumentParser(
        prog="tools/dev bench", usage="tools/dev bench [--etcd PATH] [FLAGS]",
        description="put and range on clusters on loopback: throughput, p50, p99, CPU and memory",
        allow_abbrev=False)
    add = parser.add_argument
    add("--etcd", metavar="PATH", help="an etcd binary, for a side-by-side run")
    add("--clients", type=int, default=256, help="calls in flight (%(default)s)")
    add("--connections", type=int, default=16, help="over all members in turn (%(default)s)")
    add("--key-size", type=int, default=16, help="bytes (%(default)s)")
    add("--value-size", type=int, default=256, help="bytes (%(default)s)")
    add("--keys", type=int, default=10000, help="how many keys (%(default)s)")
    add("--seconds", type=float, default=3, help="measured, each workload (%(default)s)")
    add("--members", default="1,3", help="sizes of cluster, comma separated (%(default)s)")
    add("--rounds", type=int, default=1, help="how often all is repeated (%(default)s)")
    add("--workloads", default=",".join(WORKLOADS), help="comma separated (%(default)s)")
    add("--directory", default="/var/tmp", help="where data directories are made (%(default)s)")
    add("--json", action="store_true", help="the last line is one line of JSON")
    for hidden in ("--datum", "--load"):
        add(hidden, help=argparse.SUPPRESS)
    add("--check-flags", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        options.members = [int(number) for number in options.members.split(",")]
    except ValueError:
        parser.error(f"--members wants numbers with commas, not '{options.members}'")
    options.workloads = options.workloads.split(",")
    for workload in options.workloads:
        if workload not in WORKLOADS:
            parser.error(f"there is no workload '{workload}'")
    for name in ("clients", "connections", "key_size", "value_size", "keys", "seconds", "rounds"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if min(options.members) < 1:
        parser.error("--members must be above 0")
    if options.etcd and not os.access(options.etcd, os.X_OK):
        parser.error(f"--etcd: {options.etcd} is no program")
    return options


def die_with_parent():
    """A bench that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


class Member:
    def __init__(self, program, name, directory, client_port, peer_port, cluster):
        self.endpoint = f"127.0.0.1:{client_port}"
        client_url = f"http://{self.endpoint}"
        peer_url = f"http://127.0.0.1:{peer_port}"
        self.log_path = os.path.join(directory, f"{name}.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program, f"--name={name}", f"--data-dir={os.path.join(directory, name)}",
                 f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}",
                 f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}",
                 f"--initial-cluster={cluster}", "--initial-cluster-state=new",
                 "--initial-cluster-token=bench", "--log-level=error"],
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Cluster:
    """Members of one program on fresh directories; ended and removed at the end of a `with`."""

    def __init__(self, program, size, options):
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="datum-bench.", dir=options.directory)
        ports = free_ports(2 * size)
        names = [f"n{number + 1}" for number in range(size)]
        peers = ",".join(f"{name}=http://127.0.0.1:{port}"
                         for name, port in zip(names, ports[size:]))
        self.members = []
        try:
            for number, name in enumerate(names):
                self.members.append(Member(program, name, self.directory, ports[number],
                                           ports[size + number], peers))
            self.wait_ready()
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for member in self.members:
            member.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def load(self, workload, *extra, endpoints=None):
        options = self.options
        endpoints = endpoints or [member.endpoint for member in self.members]
        return subprocess.run(
            [options.load, f"--endpoints={','.join(endpoints)}", f"--workload={workload}",
             f"--keys={options.keys}", f"--key_size={options.key_size}",
             f"--value_size={options.value_size}", f"--seconds={options.seconds}", *extra],
            capture_output=True, text=True, timeout=options.seconds + 180, check=False,
            preexec_fn=die_with_parent)

    def wait_ready(self):
        """Until a write through each member succeeds."""
        until = time.monotonic() + 30
        for member in self.members:
            while True:
                if member.process.poll() is not None:
                    with open(member.log_path, encoding="utf-8", errors="replace") as log:
                        sys.exit(f"bench: a member ended:\n{log.read()[-2000:]}")
                if self.load("put", "--count=1", "--clients=1", "--connections=1",
                             endpoints=[member.endpoint]).returncode == 0:
                    break
                if time.monotonic() > until:
                    sys.exit(f"bench: {member.endpoint} takes no write within 30 s")
                time.sleep(0.1)

    def measure(self, workload):
        options = self.options
        before = [m.cpu_seconds() for m in self.members]
        ran = self.load(workload, f"--clients={options.clients}",
                        f"--connections={options.connections}")
        if ran.returncode != 0:
            sys.exit(f"bench: {workload} failed: {ran.stderr.strip()} {ran.stdout.strip()}")
        result = json.loads(ran.stdout)
        cpu = [m.cpu_seconds() - b for m, b in zip(self.members, before)]
        # The servers' figures cover the warm-up too, so they are divided by all calls.
        calls = max(result["all_calls"], 1)
        result.update(cpu_seconds=[round(seconds, 2) for seconds in cpu],
                      cpu_us_per_call=round(sum(cpu) * 1e6 / calls, 2),
                      peak_rss_bytes=[m.peak_rss_bytes() for m in self.members])
        return result


def run_leg(name, program, size, options):
    results = {}
    with Cluster(program, size, options) as cluster:
        filled = cluster.load("fill", f"--count={options.keys}", "--clients=64",
                              "--connections=4")
        if filled.returncode != 0:
            sys.exit(f"bench: the keys cannot be written: {filled.stderr} {filled.stdout}")
        for workload in options.workloads:
            result = cluster.measure(workload)
            results[workload] = result
            print_result(name, size, workload, result)
    return results


def print_header():
    print(f"{'':6} {'members':>7}  {'workload':18} {'calls/s':>9} {'p50 ms':>7} {'p99 ms':>8} "
          f"{'failed':>6}  {'CPU us/call':>11}  {'CPU s, each member':20}  "
          f"{'peak RSS MiB, each':18}", flush=True)


def print_result(name, size, workload, result):
    cpu = " ".join(f"{seconds:.2f}" for seconds in result["cpu_seconds"])
    rss = " ".join(f"{size_bytes / 2**20:.0f}" for size_bytes in result["peak_rss_bytes"])
    note = f"  ({result['empty']} answers without a value)" if result["empty"] else ""
    print(f"{name:6} {size:>7}  {workload:18} {result['throughput']:>9.0f} "
          f"{result['p50_us'] / 1000:>7.2f} {result['p99_us'] / 1000:>8.2f} "
          f"{result['failed']:>6}  {result['cpu_us_per_call']:>11.1f}  {cpu:20}  {rss:18}"
          f"{note}", flush=True)


def ratio_of_round(legs, workload, figure):
    ours = statistics.mean(leg[workload][figure] for name, leg in legs if name == "datum")
    theirs = statistics.mean(leg[workload][figure] for name, leg in legs if name == "etcd")
    return ours / theirs if theirs else 0.0


def print_ratios(rounds, options):
    """{members: {workload: {figure: median over the rounds}}}, printed too."""
    ratios = {}
    print("\nratios datum / etcd (each round's, then their median)")
    for size in options.members:
        for workload in options.workloads:
            row = {}
            for figure in ("throughput", "p50_us", "p99_us", "cpu_us_per_call"):
                row[figure] = [round(ratio_of_round(legs, workload, figure), 3)
                               for legs in rounds[size]]
            ratios.setdefault(size, {})[workload] = {
                figure: round(statistics.median(values), 3) for figure, values in row.items()}
            each = " ".join(f"{value:.2f}" for value in row["throughput"])
            medians = ratios[size][workload]
            print(f"  {size} member(s) {workload:18} throughput {medians['throughput']:.2f} "
                  f"({each}), p50 {medians['p50_us']:.2f}, p99 {medians['p99_us']:.2f}, "
                  f"server CPU a call {medians['cpu_us_per_call']:.2f}", flush=True)
    return ratios


def main():
    options = flags()
    if options.check_flags:
        return 0
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: sys.exit(1))
    programs = {"datum": options.datum, "etcd": options.etcd}
    order = ["datum", "etcd", "etcd", "datum"] if options.etcd else ["datum"]
    print(f"{options.clients} calls in flight on {options.connections} connections to all "
          f"members, {options.keys} keys of {options.key_size} B, values of "
          f"{options.value_size} B, {options.seconds:g} s each after 0.5 s of warm-up, "
          f"{options.rounds} round(s)")
    print_header()
    rounds = {size: [] for size in options.members}
    for _ in range(options.rounds):
        for size in options.members:
            rounds[size].append([(name, run_leg(name, programs[name], size, options))
                                 for name in order])
    ratios = print_ratios(rounds, options) if options.etcd else {}
    failed = sum(leg[workload]["failed"] for legs in rounds.values() for round_ in legs
                 for _, leg in round_ for workload in options.workloads)
    if failed:
        print(f"{failed} calls failed")
    if options.json:
        print(json.dumps({
            "at": int(time.time()), "cores": os.cpu_count(),
            "options": {name: getattr(options, name) for name in (
                "clients", "connections", "key_size", "value_size", "keys", "seconds", "rounds")},
            "rounds": {size: [[{"server": name, **leg} for name, leg in legs] for legs in list_]
                       for size, list_ in rounds.items()},
            "ratios": ratios}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
