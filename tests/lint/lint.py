# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can hold: layering, sizes, and what may be called where.

  lint.py ROOT        checks every file that git would commit in ROOT; exit 1 if any is wrong
  lint.py --selftest  plants one offence of each kind and sees that it is named

Each rule is a function of (path, text) or of the whole tree; each message says what to do
instead. ARCHITECTURE.md, "Who may include whom", is the text of these rules.
"""

import os
import re
import subprocess
import sys

FILE_LINES_MAX = 600
HEADER_LINES_MAX = 350
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

CODE_SUFFIXES = (".cc", ".h")
OUR_FOLDERS = ("base", "raft", "store", "rpc", "server", "client")

# What a folder may include of the project, by prefix of the included path.
MAY_INCLUDE = {
    "base/": ["base/"],
    "raft/core/": ["base/", "raft/core/"],
    "raft/wire/": ["base/", "proto/", "raft/core/", "raft/wire/"],
    "raft/node/": ["base/", "raft/"],
    "store/": ["base/", "proto/", "store/", "raft/core/configuration.h", "raft/core/types.h",
               "raft/node/ports.h"],
    "rpc/": ["base/", "proto/", "rpc/"],
    "server/": ["base/", "proto/", "raft/", "rpc/", "store/", "server/"],
    # datumctl makes data directories: the one thing of the server's that needs no server.
    "client/": ["base/", "proto/", "client/", "server/restore.h"],
}

# (rule, what the include begins with, where it may stand, what to do instead)
HOMES_OF_LIBRARIES = [
    ("rocksdb", ("rocksdb/",), r"^store/rocks_",
     "RocksDB headers stand in store/rocks_*; use store/engine.h"),
    ("grpc", ("grpc/", "grpcpp/"), r"^(rpc/grpc_|client/|tests/)",
     "grpc++ headers stand in rpc/grpc_* and client/; use rpc/handler.h"),
    ("nghttp2", ("nghttp2/", "openssl/"), r"^(rpc/|tests/bench/|base/sha256\.cc)",
     "nghttp2 and OpenSSL headers stand in rpc/, and in base/sha256.cc; use rpc/handler.h"),
    ("gflags", ("gflags/",), r"^(server/flags\.|client/.*main\.cc$|tests/.*(main|_bench)\.cc$)",
     "gflags stand in server/flags.* and in mains; pass an options struct"),
]

# (rule, pattern over code without comments and strings, folders it holds in,
#  where it is allowed all the same, what to do instead)
HOMES_OF_CALLS = [
    ("thread", r"\bstd::(jthread|thread|async)\b|\bpthread_create\b", OUR_FOLDERS,
     r"^(raft/node/|rpc/|store/watch_|server/app|client/)",
     "threads are made in raft/node, rpc, store/watch_*, server/app* and client; "
     "hand the work to a thread that is there"),
    ("clock",
     r"\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bsleep_(for|until)\b"
     r"|\b(usleep|nanosleep|clock_gettime|gettimeofday)\s*\(|\babsl::Now\b|\bstd::time\s*\(",
     OUR_FOLDERS + ("tests/unit", "tests/interaction", "tests/simulation"),
     # grpc++ and its C++ client speak of deadlines as system_clock times; sim_main times itself.
     r"^(base/time\.cc|rpc/grpc_|client/|tests/simulation/sim_main\.cc)",
     "the clock is read in base/time.cc only; take a base::TimePoint or a base::Clock"),
    ("random",
     r"\b(std::)?(random_device|mt19937(_64)?|default_random_engine)\b|\bs?rand\s*\("
     r"|\bgetrandom\s*\(",
     OUR_FOLDERS + ("tests",), r"^base/random\.", "use base::Random with a seed"),
    ("assert", r"(?<!static_)\bassert\s*\(|\bD(CHECK|LOG)\w*\s*\(|\bDEBUG_ASSERT\b",
     OUR_FOLDERS + ("tests",), r"$^", "use CHECK, which is on in every build"),
    ("flags", r"\bFLAGS_\w+", OUR_FOLDERS,
     r"^(server/flags\.|client/.*main\.cc$)",
     "a flag is read in server/flags.* or a main; pass an options struct"),
    ("forbidden word",
     r"\b(?:[A-Za-z0-9]+_)*(idx|cfg|msg|ctx|mgr|util|utils|helper|manager)(?:_[A-Za-z0-9]+)*_?\b"
     r"(?!\s*::)",
     # Names of RocksDB's, and of C libraries that have no others.
     OUR_FOLDERS, r"^(store/rocks_|rpc/)",
     "say index, options, message, ... in full (ARCHITECTURE.md, words)"),
    ("core purity",
     r"\bstd::(mutex|shared_mutex|thread|condition_variable|atomic|async|future|ofstream|ifstream)"
     r"|\bV?LOG\s*\(|\bstd::(cout|cerr)\b|\bgoogle::protobuf\b|\babsl::Mutex\b",
     ("raft/core",), r"$^",
     "raft/core is a function with memory: return it in Effects, or Trace() it"),
]

CORE_MAY_NOT_INCLUDE = (
    "thread", "mutex", "shared_mutex", "condition_variable", "atomic", "future", "fstream",
    "iostream", "sys/", "unistd.h", "fcntl.h", "google/protobuf", "proto/", "absl/synchronization",
    "base/file.h", "base/simulated_file.h", "base/batch_queue.h")


class Offence:
    def __init__(self, path, line, rule, message):
        self.path, self.line, self.rule, self.message = path, line, rule, message

    def __str__(self):
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}"


def blank_out(text, keep_strings=False):
    """The text with comments, and the inside of strings, turned to spaces; newlines stay."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s\\]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'", re.DOTALL)

    def blank(match):
        piece = match.group(0)
        if keep_strings and not piece.startswith("/"):
            return piece
        return re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def is_code(path):
    return path.endswith(CODE_SUFFIXES)


def in_folders(path, folders):
    return any(path.startswith(folder + "/") for folder in folders)


def check_includes(path, text):
    for match in re.finditer(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE):
        included, line = match.group(1), line_of(text, match.start())
        for rule, prefixes, homes, message in HOMES_OF_LIBRARIES:
            if included.startswith(prefixes) and not re.search(homes, path):
                yield Offence(path, line, rule, f"{included}: {message}")
        if included in ("cassert", "assert.h"):
            yield Offence(path, line, "assert", "use CHECK, which is on in every build")
        ours = included.split("/")[0] in OUR_FOLDERS + ("proto", "tests") and "/" in included
        for folder, allowed in MAY_INCLUDE.items():
            if path.startswith(folder) and ours and not included.startswith(tuple(allowed)):
                yield Offence(path, line, "layering",
                              f"{folder} may include only {', '.join(allowed)}; not {included}")
        if path.startswith("raft/core/") and (
                included in CORE_MAY_NOT_INCLUDE
                or included.startswith(tuple(p for p in CORE_MAY_NOT_INCLUDE if "/" in p))):
            yield Offence(path, line, "core purity",
                          f"raft/core does not know {included}: return it in Effects")


def check_calls(path, text):
    code = blank_out(text)
    for rule, pattern, folders, homes, message in HOMES_OF_CALLS:
        if not in_folders(path, folders) or re.search(homes, path):
            continue
        for match in re.finditer(pattern, code):
            yield Offence(path, line_of(code, match.start()), rule,
                          f"`{match.group(0).strip()}`: {message}")


def check_words(path, text):
    for match in re.finditer(r"\bFIXME\b|\bXXX\b|\bTODO\b(?!\(#\d+\))", text):
        yield Offence(path, line_of(text, match.start()), "todo",
                      "write TODO(#issue) with an issue that exists, or do it")


def check_lines(path, text):
    lines = text.split("\n")
    if is_code(path) or path.endswith((".bazel", ".py", ".sh", ".proto")):
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield Offence(path, number, "columns",
                              f"{len(line)} columns; break the line at {COLUMNS_MAX}")
    if not is_code(path):
        return
    if not text.startswith("// SPDX-License-Identifier: Apache-2.0\n"):
        yield Offence(path, 1, "licence",
                      "begin with the line // SPDX-License-Identifier: Apache-2.0")
    if path.endswith(".h") and "\n#pragma once\n" not in text:
        yield Offence(path, 1, "pragma once", "say #pragma once behind the block comment")
    limit = HEADER_LINES_MAX if path.endswith(".h") else FILE_LINES_MAX
    count = text.count("\n")
    if count > limit:
        yield Offence(path, limit, "file size",
                      f"{count} lines of at most {limit}; give its second idea a file of its own")


def functions(text):
    """(first line, lines) of each function body: blocks with a parameter list whose enclosing
    blocks are namespaces and classes."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  blank_out(text), flags=re.MULTILINE)
    open_blocks = []
    head_begins = 0
    for match in re.finditer(r"[{};]", code):
        character, at = match.group(0), match.start()
        if character == "{":
            head = code[head_begins:at]
            container = re.search(r"\b(namespace|class|struct|union|enum|extern)\b", head) and \
                not re.search(r"\)\s*(const|override|noexcept|final|\s)*(->[^{]*)?$", head)
            function = not container and "(" in head and \
                all(kind == "container" for kind, _ in open_blocks)
            begin = head_begins + len(head) - len(head.lstrip())
            kind = "container" if container else "function" if function else "block"
            open_blocks.append((kind, begin))
        elif character == "}" and open_blocks:
            kind, begin = open_blocks.pop()
            if kind == "function":
                yield line_of(code, begin), code.count("\n", begin, at) + 1
        head_begins = at + 1


def check_functions(path, text):
    for line, count in functions(text):
        if count > FUNCTION_LINES_MAX:
            yield Offence(path, line, "function size",
                          f"{count} lines of at most {FUNCTION_LINES_MAX}; name its steps")


def check_build(path, build_path, build_text):
    """Every source file stands in a target of the nearest package."""
    name = os.path.relpath(path, os.path.dirname(build_path) or ".")
    if f'"{name}"' in build_text:
        return
    stem, suffix = os.path.splitext(name)
    # [cc_test(name = name, srcs = [name + ".cc"]) for name in ["a_test", ...]]
    if f'"{stem}"' in build_text and f'name + "{suffix}"' in build_text:
        return
    for pattern in re.findall(r'"([^"]*\*[^"]*)"', build_text):
        if pattern.endswith(suffix) and ("/" not in name or "**" in pattern):
            return
    yield Offence(path, 1, "build", f"name it in a target of {build_path}, or delete it")


def check_file(path, text):
    if is_code(path):
        yield from check_includes(path, text)
        yield from check_calls(path, text)
        yield from check_functions(path, text)
    if not path.startswith("tests/lint/"):
        yield from check_words(path, text)
    yield from check_lines(path, text)


def skipped(path):
    return (path.startswith("third_party/") or "/testdata/" in path or "node_modules/" in path
            or path.endswith((".txt", ".sum", ".md", "LICENSE"))
            or re.match(r"client/(go|java)/.*(pb\.go|/generated/)", path))


def files_of(root):
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [path for path in listed.stdout.splitlines()
                if os.path.isfile(os.path.join(root, path))]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "bazel-"))]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return found


def nearest_build(root, path):
    folder = os.path.dirname(path)
    while True:
        candidate = os.path.join(folder, "BUILD.bazel")
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
        if not folder:
            return None
        folder = os.path.dirname(folder)


def check_tree(root):
    for path in sorted(files_of(root)):
        if skipped(path):
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            text = file.read()
        yield from check_file(path, text)
        if is_code(path):
            build_path = nearest_build(root, path)
            with open(os.path.join(root, build_path), encoding="utf-8") as file:
                yield from check_build(path, build_path, file.read())


def main():
    if len(sys.argv) != 2:
        print("usage: lint.py ROOT | lint.py --selftest", file=sys.stderr)
        return 2
    if sys.argv[1] == "--selftest":
        import selftest
        return selftest.run()
    offences = list(check_tree(sys.argv[1]))
    for offence in offences:
        print(offence)
    checked = len([path for path in files_of(sys.argv[1]) if not skipped(path)])
    if checked == 0:
        print(f"lint: no files in {sys.argv[1]}", file=sys.stderr)
        return 2
    print(f"lint: {checked} files, {len(offences)} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
