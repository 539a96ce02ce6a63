// SPDX-License-Identifier: Apache-2.0
//
// What one operation of the store costs on RocksDB, in CPU time of all threads.
//
//   bazel run //tests/bench/store:kv_machine_bench -- [keys] [versions] [value bytes]
//
// Prints one line an operation. Absolute figures of a shared machine: compare within one run.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "glog/logging.h"
#include "store/kv_machine.h"
#include "store/rocks_engine.h"

namespace store {
namespace {

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

class Meter {
 public:
  void Print(const char* what, int64_t count) const {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start_;
    std::printf("%-44s %9ld  %8.2f us CPU  %8.2f us wall\n", what, count,
                1e6 * (CpuSeconds() - cpu_) / static_cast<double>(count),
                1e6 * wall.count() / static_cast<double>(count));
    std::fflush(stdout);
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const double cpu_ = CpuSeconds();
};

class Bench {
 public:
  Bench(int64_t keys, int64_t versions, size_t value_bytes, size_t cache_bytes)
      : keys_(keys), versions_(versions), value_(value_bytes, 'v') {
    char directory[] = "/tmp/datum-store-bench-XXXXXX";
    CHECK(mkdtemp(directory) != nullptr);
    directory_ = directory;
    RocksOptions options;
    options.directory = directory_ + "/state";
    auto engine = RocksEngine::Open(options);
    CHECK(engine.ok()) << engine.status();
    KvMachineOptions machine_options;
    machine_options.datum_cache_bytes = cache_bytes;
    auto machine = KvMachine::Open(*std::move(engine), machine_options);
    CHECK(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
  }
  ~Bench() {
    machine_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Run() {
    Puts("put, new keys, batches of 100", keys_, 100, /*in_order=*/true);
    Puts("put, random keys, batches of 100", keys_ * (versions_ - 1), 100, false);
    Puts("put, random keys, batches of 1", keys_ / 10, 1, false);
    Gets("get, random keys, newest", 0);
    Gets("get, random keys, 1000 revisions ago", machine_->revision() - 1000);
    Scan("range over all, newest, a key", 0, false);
    Scan("count over all, newest, a key", 0, true);
    Scan("range over all, 1000 revisions ago, a key", machine_->revision() - 1000, false);
    Compact();
  }

 private:
  std::string Key(int64_t number) const {
    char key[32];
    std::snprintf(key, sizeof key, "/registry/pods/%012ld", number);
    return key;
  }

  std::string PutCommand(int64_t number) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_put()->set_key(Key(number));
    request.mutable_put()->set_value(value_);
    return request.SerializeAsString();
  }

  raft::ApplyItem Item(std::string command, uint64_t index) {
    auto entry = std::make_shared<raft::Entry>();
    entry->index = raft::Index(index);
    entry->term = raft::Term(1);
    entry->command = std::move(command);
    return {entry, true};
  }

  void Puts(const char* what, int64_t count, int64_t batch, bool in_order) {
    if (count <= 0) return;
    const Meter meter;
    std::vector<raft::ApplyItem> items;
    std::vector<raft::ApplyResult> results;
    for (int64_t done = 0; done < count; done += batch) {
      items.clear();
      const uint64_t first = machine_->applied().index.value() + 1;
      for (int64_t i = 0; i < batch; ++i) {
        const int64_t number = in_order ? done + i : static_cast<int64_t>(random_.Below(keys_));
        items.push_back(Item(PutCommand(number), first + i));
      }
      machine_->Apply(items, &results);
    }
    meter.Print(what, count);
  }

  void Gets(const char* what, int64_t revision) {
    constexpr int64_t kCount = 200'000;
    const Meter meter;
    for (int64_t i = 0; i < kCount; ++i) {
      etcdserverpb::RangeRequest request;
      request.set_key(Key(static_cast<int64_t>(random_.Below(keys_))));
      request.set_revision(revision);
      etcdserverpb::RangeResponse response;
      const absl::Status status = machine_->Range(request, 1, &response);
      CHECK(status.ok() && response.count() == 1) << status;
    }
    meter.Print(what, kCount);
  }

  void Scan(const char* what, int64_t revision, bool count_only) {
    const Meter meter;
    etcdserverpb::RangeRequest request;
    request.set_key("/");
    request.set_range_end(std::string(1, '\0'));
    request.set_revision(revision);
    request.set_count_only(count_only);
    etcdserverpb::RangeResponse response;
    const absl::Status status = machine_->Range(request, 1, &response);
    CHECK(status.ok()) << status;
    CHECK_EQ(response.count(), keys_);
    meter.Print(what, keys_);
  }

  void Compact() {
    const int64_t to = machine_->revision() / 2;
    etcdserverpb::InternalRaftRequest request;
    request.mutable_compaction()->set_revision(to);
    const raft::ApplyItem item =
        Item(request.SerializeAsString(), machine_->applied().index.value() + 1);
    std::vector<raft::ApplyResult> results;
    machine_->Apply({&item, 1}, &results);
    const int64_t scanned = machine_->revision() - to;
    const Meter meter;
    while (true) {
      auto more = machine_->CompactStep(10'000);
      CHECK(more.ok()) << more.status();
      if (!*more) break;
    }
    meter.Print("compaction to the middle, a change scanned", scanned);
  }

  const int64_t keys_;
  const int64_t versions_;
  const std::string value_;
  std::string directory_;
  base::Random random_{1};
  std::unique_ptr<KvMachine> machine_;
};

}  // namespace
}  // namespace store

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  const int64_t keys = argc > 1 ? std::atoll(argv[1]) : 100'000;
  const int64_t versions = argc > 2 ? std::atoll(argv[2]) : 5;
  const size_t value_bytes = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 256;
  if (keys <= 0 || versions <= 0) {
    std::fprintf(stderr, "usage: %s [keys] [versions] [value bytes]\n", argv[0]);
    return 2;
  }
  for (const size_t cache_mb : {0, 64}) {
    std::printf("-- %ld keys, %ld versions, %zu B values, datum cache %zu MiB\n", keys, versions,
                value_bytes, cache_mb);
    store::Bench(keys, versions, value_bytes, cache_mb << 20).Run();
  }
  return 0;
}
