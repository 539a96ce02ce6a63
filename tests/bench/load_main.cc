// SPDX-License-Identifier: Apache-2.0
//
// The load generator of tools/dev bench: a closed loop of calls against etcd's API, one thread.
//
// Prints one line of JSON. Ends with 1 if a connection broke or nothing succeeded.

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/random.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "tests/bench/http2_caller.h"

DEFINE_string(endpoints, "127.0.0.1:2379", "host:port, separated by commas");
DEFINE_string(workload, "put", "fill (each key once), put, range or range-serializable");
DEFINE_uint64(clients, 64, "calls in flight");
DEFINE_uint64(connections, 4, "connections, over the endpoints in turn");
DEFINE_uint64(keys, 10'000, "how many keys there are");
DEFINE_uint64(key_size, 16, "bytes");
DEFINE_uint64(value_size, 256, "bytes");
DEFINE_double(seconds, 3, "how long is measured");
DEFINE_double(warmup, 0.5, "and how long is not, before");
DEFINE_uint64(count, 0, "end after this many calls, if not zero");
DEFINE_uint64(seed, 1, "of the order of the keys");

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void AppendVarint(uint64_t number, std::string* out) {
  for (; number >= 0x80; number >>= 7) out->push_back(static_cast<char>(number | 0x80));
  out->push_back(static_cast<char>(number));
}

void AppendBytesField(char tag, const std::string& bytes, std::string* out) {
  out->push_back(tag);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

std::string KeyText(uint64_t number) {
  std::string digits = std::to_string(number);
  const size_t size = std::max<size_t>(FLAGS_key_size, digits.size());
  return std::string(size - digits.size(), '0') + digits;
}

// The bytes of a request, made once; only the digits of the key change.
class PreparedRequest {
 public:
  PreparedRequest() {
    const bool range = FLAGS_workload == "range" || FLAGS_workload == "range-serializable";
    path_ = range ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put";
    std::string message;
    AppendBytesField('\x0a', KeyText(FLAGS_keys - 1), &message);  // field 1, key, in both
    if (!range) AppendBytesField('\x12', std::string(FLAGS_value_size, 'v'), &message);
    if (FLAGS_workload == "range-serializable") message += "\x38\x01";  // field 7
    framed_ = Framed(message);
    key_at_ = framed_.find(KeyText(FLAGS_keys - 1), 5);
  }

  const std::string& path() const { return path_; }
  std::string ForKey(uint64_t number) const {
    std::string bytes = framed_;
    const std::string key = KeyText(number);
    std::copy(key.begin(), key.end(), bytes.begin() + static_cast<ptrdiff_t>(key_at_));
    return bytes;
  }

 private:
  std::string path_;
  std::string framed_;
  size_t key_at_ = 0;
};

class Load {
 public:
  Load() : random_(FLAGS_seed), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Load() { close(epoll_); }

  bool Connect();
  // False if a connection broke.
  bool Run();
  void Print() const;
  bool succeeded() const { return good_ > 0; }

 private:
  void Begin(uint32_t caller);
  void End(uint32_t caller, const CallResult& result);
  bool Turn();
  bool MoreWanted() const;

  const PreparedRequest request_;
  base::Random random_;
  const int epoll_;
  std::vector<std::unique_ptr<Http2Caller>> connections_;
  std::vector<Clock::time_point> begun_at_;
  std::vector<uint32_t> latencies_us_;
  Clock::time_point measure_from_;
  Clock::time_point end_;
  uint64_t begun_ = 0;
  uint64_t in_flight_ = 0;
  uint64_t good_ = 0;
  uint64_t failed_ = 0;
  uint64_t empty_ = 0;
  int last_failure_ = 0;
  double measured_seconds_ = 0;
  double cpu_before_ = 0;
  double cpu_after_ = 0;
};

bool Load::Connect() {
  const std::vector<std::string> endpoints = absl::StrSplit(FLAGS_endpoints, ',');
  for (uint64_t number = 0; number < FLAGS_connections; ++number) {
    auto connection = Http2Caller::Connect(
        endpoints[number % endpoints.size()],
        [this](uint32_t caller, const CallResult& result) { End(caller, result); });
    if (!connection.ok()) {
      std::fprintf(stderr, "load: %s\n", connection.status().ToString().c_str());
      return false;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = number;
    CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, (*connection)->descriptor(), &event), 0);
    connections_.push_back(*std::move(connection));
  }
  begun_at_.resize(FLAGS_clients);
  return true;
}

bool Load::MoreWanted() const {
  if (FLAGS_count != 0) return begun_ < FLAGS_count;
  return Clock::now() < end_;
}

void Load::Begin(uint32_t caller) {
  const uint64_t key = FLAGS_workload == "fill" ? begun_ % FLAGS_keys : random_.Below(FLAGS_keys);
  ++begun_;
  ++in_flight_;
  begun_at_[caller] = Clock::now();
  connections_[caller % connections_.size()]->Call(request_.path(), caller, request_.ForKey(key));
}

void Load::End(uint32_t caller, const CallResult& result) {
  --in_flight_;
  const auto now = Clock::now();
  if (now >= measure_from_ && (FLAGS_count != 0 || now <= end_)) {
    if (result.grpc_status != 0) {
      ++failed_;
      last_failure_ = result.grpc_status;
    } else {
      ++good_;
      const bool range = request_.path() == "/etcdserverpb.KV/Range";
      if (range && result.message_bytes < FLAGS_value_size) ++empty_;
      const auto waited = now - begun_at_[caller];
      latencies_us_.push_back(static_cast<uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
    }
  }
  if (MoreWanted()) Begin(caller);
}

bool Load::Turn() {
  epoll_event events[64];
  const int count = epoll_wait(epoll_, events, std::size(events), 100);
  for (int i = 0; i < count; ++i) {
    if (!connections_[events[i].data.u64]->OnReadable()) return false;
  }
  for (uint64_t number = 0; number < connections_.size(); ++number) {
    Http2Caller& connection = *connections_[number];
    const bool wanted_writable = connection.wants_writable();
    if (!connection.Flush()) return false;
    if (connection.wants_writable() == wanted_writable) continue;
    epoll_event event{};
    event.events = EPOLLIN | (connection.wants_writable() ? EPOLLOUT : 0u);
    event.data.u64 = number;
    CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.descriptor(), &event), 0);
  }
  return true;
}

bool Load::Run() {
  const auto in_seconds = [](double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  const auto begin = Clock::now();
  measure_from_ = begin + in_seconds(FLAGS_count != 0 ? 0 : FLAGS_warmup);
  end_ = measure_from_ + in_seconds(FLAGS_seconds);
  // A server that answers no more must not hold up the bench.
  const auto give_up = end_ + std::chrono::seconds(FLAGS_count != 0 ? 120 : 10);
  const uint64_t clients =
      FLAGS_count == 0 ? FLAGS_clients : std::min<uint64_t>(FLAGS_clients, FLAGS_count);
  for (uint32_t caller = 0; caller < clients; ++caller) Begin(caller);
  for (auto& connection : connections_) {
    if (!connection->Flush()) return false;
  }
  bool measuring = false;
  while (in_flight_ > 0 && Clock::now() < give_up) {
    if (!measuring && Clock::now() >= measure_from_) {
      measuring = true;
      cpu_before_ = CpuSeconds();
    }
    if (!Turn()) return false;
    if (Clock::now() <= end_ || FLAGS_count != 0) cpu_after_ = CpuSeconds();
  }
  const auto finish = FLAGS_count != 0 ? Clock::now() : end_;
  measured_seconds_ = std::chrono::duration<double>(finish - measure_from_).count();
  failed_ += in_flight_;
  return true;
}

void Load::Print() const {
  std::vector<uint32_t> sorted = latencies_us_;
  std::sort(sorted.begin(), sorted.end());
  const auto quantile = [&sorted](double q) -> uint32_t {
    if (sorted.empty()) return 0;
    return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
  };
  std::printf(
      "{\"workload\": \"%s\", \"calls\": %lu, \"all_calls\": %lu, \"failed\": %lu, "
      "\"last_failure\": %d, "
      "\"empty\": %lu, \"seconds\": %.3f, \"throughput\": %.1f, \"p50_us\": %u, \"p99_us\": %u, "
      "\"max_us\": %u, \"client_cpu_seconds\": %.3f}\n",
      FLAGS_workload.c_str(), good_, begun_, failed_, last_failure_, empty_, measured_seconds_,
      static_cast<double>(good_) / std::max(measured_seconds_, 1e-9), quantile(0.5), quantile(0.99),
      quantile(1.0), cpu_after_ - cpu_before_);
}

int Main() {
  const std::vector<std::string> workloads = {"fill", "put", "range", "range-serializable"};
  if (std::find(workloads.begin(), workloads.end(), FLAGS_workload) == workloads.end() ||
      FLAGS_clients == 0 || FLAGS_connections == 0 || FLAGS_keys == 0) {
    std::fprintf(stderr, "load: --workload, --clients, --connections or --keys is not usable\n");
    return 2;
  }
  Load load;
  if (!load.Connect()) return 1;
  if (!load.Run()) {
    std::fprintf(stderr, "load: a connection broke\n");
    return 1;
  }
  load.Print();
  return load.succeeded() ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(argv[0]);
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  return bench::Main();
}
