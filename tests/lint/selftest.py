# SPDX-License-Identifier: Apache-2.0
"""One planted offence of each kind, and harmless code that only looks like one."""

import lint

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"

# (rule that must be named, path, text behind the licence line)
PLANTED = [
    ("layering", "base/a.cc", '#include "store/engine.h"\n'),
    ("layering", "raft/core/a.cc", '#include "raft/node/node.h"\n'),
    ("layering", "raft/wire/a.cc", '#include "raft/node/node.h"\n'),
    ("layering", "raft/node/a.cc", '#include "store/raft_log.h"\n'),
    ("layering", "store/a.cc", '#include "raft/core/core.h"\n'),
    ("layering", "rpc/a.cc", '#include "server/errors.h"\n'),
    ("layering", "client/a.cc", '#include "store/datum.h"\n'),
    ("rocksdb", "store/kv_machine.cc", '#include "rocksdb/db.h"\n'),
    ("rocksdb", "server/app.cc", "#include <rocksdb/options.h>\n"),
    ("grpc", "server/kv_service.cc", "#include <grpcpp/server.h>\n"),
    ("nghttp2", "server/app.cc", "#include <nghttp2/nghttp2.h>\n"),
    ("nghttp2", "client/a.cc", "#include <openssl/ssl.h>\n"),
    ("gflags", "store/a.cc", "#include <gflags/gflags.h>\n"),
    ("flags", "server/app.cc", "int port = FLAGS_port;\n"),
    ("thread", "store/a.cc", "std::thread worker_;\n"),
    ("thread", "server/gate.cc", "auto later = std::async(Work);\n"),
    ("clock", "raft/node/a.cc", "auto now = std::chrono::steady_clock::now();\n"),
    ("clock", "tests/unit/base/a_test.cc", "std::this_thread::sleep_for(kSecond);\n"),
    ("random", "store/a.cc", "std::random_device seed;\n"),
    ("random", "tests/unit/store/a_test.cc", "int n = rand();\n"),
    ("assert", "store/a.cc", "void F() { assert(true); }\n"),
    ("assert", "store/a.cc", "#include <cassert>\n"),
    ("assert", "store/a.cc", "void F() { DCHECK_EQ(1, 1); }\n"),
    ("forbidden word", "store/a.cc", "int entry_idx = 0;\n"),
    ("todo", "store/a.cc", "// TODO: later\n"),
    ("todo", "store/a.cc", "// FIXME\n"),
    ("core purity", "raft/core/a.cc", "#include <mutex>\n"),
    ("core purity", "raft/core/a.cc", '#include "proto/raft_wire.pb.h"\n'),
    ("core purity", "raft/core/a.cc", "void F() { LOG(INFO) << 1; }\n"),
    ("core purity", "raft/core/a.cc", "std::mutex mutex_;\n"),
    ("columns", "store/a.cc", "// " + "x" * 98 + "\n"),
    ("file size", "store/a.cc", "int x;\n" * 600),
    ("file size", "store/a.h", "#pragma once\n" + "int x;\n" * 350),
    ("function size", "store/a.cc", "void F() {\n" + "  G();\n" * 69 + "}\n"),
    ("function size", "store/a.cc",
     "namespace a {\nclass B {\n  int F() const override {\n" + "    G();\n" * 69 + "  }\n};\n}\n"),
    ("function size", "store/a.cc", "A::A(int b)\n    : b_(b) {\n" + "  G();\n" * 69 + "}\n"),
    ("pragma once", "store/a.h", "\nint x;\n"),
]

HARMLESS = [
    ("store/a.cc", '// std::thread, assert(x), rand()\nconst char* text = "LOG(x) assert(x)";\n'),
    ("store/rocks_engine.cc", '#include "rocksdb/db.h"\n'),
    ("store/a.cc", '#include "raft/core/types.h"\n#include "raft/node/ports.h"\n'),
    ("store/a.cc", "static_assert(sizeof(int) == 4);\nint operand(int);\n"),
    ("store/a.cc", "// TODO(#12): something\n"),
    ("raft/node/a.cc", "std::thread worker;\n"),
    ("base/time.cc", "auto now = std::chrono::steady_clock::now();\n"),
    ("store/a.cc", "void F() {\n" + "  G();\n" * 60 + "}\nvoid H() {\n" + "  G();\n" * 60 + "}\n"),
    ("store/a.cc", "const int table[] = {\n" + "    1,\n" * 80 + "};\n"),
    ("store/a.cc", "void F(char a = '\"', int n = 20'000) {}  // \"\n"),
]


def run():
    failures = []
    for rule, path, text in PLANTED:
        named = [offence.rule for offence in lint.check_file(path, SPDX + text)]
        if rule not in named:
            failures.append(f"a planted offence was not found: {rule} in {path}: {text[:60]!r}")
    for path, text in HARMLESS:
        for offence in lint.check_file(path, SPDX + text):
            failures.append(f"harmless code was refused: {offence}")
    if not any(o.rule == "licence" for o in lint.check_file("store/a.cc", "int x;\n")):
        failures.append("a file without its licence line was not found")
    globbed = 'cc_library(srcs = glob(["*.cc"]))'
    cases = [("store/b.cc", 'cc_library(srcs = ["a.cc"])', 1), ("store/a.cc", globbed, 0),
             ("store/deep/a.cc", globbed, 1), ("store/a.cc", '"a.cc"', 0)]
    for path, build, expected in cases:
        if len(list(lint.check_build(path, "store/BUILD.bazel", build))) != expected:
            failures.append(f"build rule: {path} in {build!r}")
    for failure in failures:
        print(failure)
    planted = len(PLANTED) + 1 + 2
    print(f"lint selftest: {planted} planted offences, {len(failures)} failures")
    return 1 if failures else 0
