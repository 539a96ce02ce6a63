// SPDX-License-Identifier: Apache-2.0

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "base/time.h"
#include "client/datumctl_check.h"
#include "client/datumctl_command.h"
#include "client/datumctl_progress.h"
#include "client/datumctl_text.h"
#include "client/request.h"

namespace client {
namespace {

// etcdctl's loads: what must be reached, and by how many writers.
struct Load {
  int writes_per_second;
  int writers;
};
const std::map<std::string, Load>& Loads() {
  static const std::map<std::string, Load> loads = {
      {"s", {150, 50}}, {"m", {1000, 200}}, {"l", {8000, 500}}, {"x", {15000, 1000}}};
  return loads;
}

constexpr size_t kKeyBytes = 256;
constexpr size_t kValueBytes = 1024;

// Writers that share one pace: the n-th write of all begins n paces after the start.
class Writing {
 public:
  Writing(const Client* client, const CheckArguments& wanted, const Load& load)
      : client_(*client), wanted_(wanted), pace_(absl::Seconds(1) / load.writes_per_second) {}

  void Run(int writers) {
    start_ = clock_.Now();
    std::vector<std::thread> threads;
    for (int i = 0; i < writers; ++i) threads.emplace_back([this] { WriteOn(); });
    for (std::thread& thread : threads) thread.join();
    samples_.took = absl::FromChrono(clock_.Now() - start_);
  }

  // Writers end after the write they are at.
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  const Samples& samples() const { return samples_; }

 private:
  void WriteOn() {
    base::Random random(base::EntropySeed());
    const std::string value(kValueBytes, '\0');
    while (true) {
      const absl::Duration due = pace_ * next_.fetch_add(1);
      if (due >= wanted_.duration) return;
      absl::SleepFor(due - absl::FromChrono(clock_.Now() - start_));
      // A server that is too slow for the pace does not make the check longer.
      if (stopped_ || absl::FromChrono(clock_.Now() - start_) >= wanted_.duration) return;
      std::string key(kKeyBytes, '\0');
      for (size_t i = 0; i < sizeof(uint64_t); ++i) {
        key[i] = static_cast<char>(random.Below(256));
      }
      const base::TimePoint sent = clock_.Now();
      const absl::Status status = client_.Put(wanted_.prefix + key, value).status();
      const double seconds = absl::ToDoubleSeconds(absl::FromChrono(clock_.Now() - sent));
      absl::MutexLock lock(&mutex_);
      if (status.ok()) {
        samples_.seconds.push_back(seconds);
      } else {
        ++samples_.errors[std::string(status.message())];
      }
    }
  }

  const Client& client_;
  const CheckArguments& wanted_;
  const absl::Duration pace_;
  const base::SystemClock clock_;
  base::TimePoint start_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> stopped_{false};
  absl::Mutex mutex_;
  Samples samples_;  // under mutex_ while writers run
};

// Deletes what was written.
void CleanUp(Command* command) {
  const CheckArguments& wanted = command->arguments.check;
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(wanted.prefix);
  request.set_range_end(PrefixEnd(wanted.prefix));
  const auto deleted = command->client->DeleteRange(request);
  if (!deleted.ok()) {
    std::cout << "FAIL: Cleanup failed during key deletion: ERROR(" << deleted.status().message()
              << ")\n";
    return;
  }
  if (wanted.auto_compact) {
    const int64_t revision = deleted->header().revision();
    std::cout << "Compacting with revision " << revision << "\n";
    const auto compacted = command->client->Compact(revision, /*physical=*/true);
    if (compacted.ok()) std::cout << "Compacted with revision " << revision << "\n";
  }
  if (!wanted.auto_defrag) return;
  for (const std::string& endpoint : command->client->endpoints()) {
    std::cout << "Defragmenting " << GoQuoted(endpoint) << "\n";
    if (command->client->Defragment(endpoint).ok()) {
      std::cout << "Defragmented " << GoQuoted(endpoint) << "\n";
    }
  }
}

}  // namespace

bool Judge(const Samples& samples, int writes_per_second, std::ostream* out) {
  double sum = 0;
  double slowest = 0;
  for (const double seconds : samples.seconds) {
    sum += seconds;
    slowest = std::max(slowest, seconds);
  }
  const auto count = static_cast<double>(samples.seconds.size());
  double squares = 0;
  for (const double seconds : samples.seconds) squares += std::pow(seconds - sum / count, 2);
  const double deviation = count > 0 ? std::sqrt(squares / count) : 0;
  const double rate = count / absl::ToDoubleSeconds(samples.took);
  bool passed = true;
  const auto line = [&](bool good, const std::string& well, const std::string& badly) {
    *out << (good ? well : badly) << "\n";
    passed = passed && good;
  };
  if (!samples.errors.empty()) {
    line(false, "", "FAIL: too many errors");
    for (const auto& [text, times] : samples.errors) {
      *out << "FAIL: ERROR(" << text << ") -> " << times << "\n";
    }
  }
  const auto shown = static_cast<int64_t>(rate) + 1;
  line(rate / writes_per_second > 0.9, absl::StrFormat("PASS: Throughput is %d writes/s", shown),
       absl::StrFormat("FAIL: Throughput too low: %d writes/s", shown));
  line(slowest <= 0.5, absl::StrFormat("PASS: Slowest request took %fs", slowest),
       absl::StrFormat("Slowest request took too long: %fs", slowest));
  line(deviation <= 0.1, absl::StrFormat("PASS: Stddev is %fs", deviation),
       absl::StrFormat("Stddev too high: %fs", deviation));
  *out << (passed ? "PASS" : "FAIL") << "\n";
  return passed;
}

int RunCheckPerf(Command* command) {
  const CheckArguments& wanted = command->arguments.check;
  // The long names begin with the letters of the short ones.
  const Load load = Loads().at(wanted.load.substr(0, 1));
  etcdserverpb::RangeRequest any = PrefixOf(wanted.prefix);
  any.set_limit(1);
  const auto found = command->client->Range(any);
  if (!found.ok()) return Fail(found.status(), kFailed);
  if (!found->kvs().empty()) {
    return Fail(absl::FailedPreconditionError(absl::StrCat(
                    "prefix ", GoQuoted(wanted.prefix),
                    " has keys. Delete with 'datumctl del --prefix ", wanted.prefix, "' first")),
                kFailed);
  }
  Writing writing(command->client.get(), wanted, load);
  const EndSignals signals([&writing] { writing.Stop(); });
  absl::Notification ended;
  std::thread shower([&] {
    const auto total = static_cast<uint64_t>(absl::ToInt64Seconds(wanted.duration));
    ProgressBar bar("check perf", total, isatty(STDERR_FILENO) == 1, &std::cerr,
                    [](uint64_t seconds) { return absl::StrCat(seconds, " s"); });
    uint64_t seconds = 0;
    while (!ended.WaitForNotificationWithTimeout(absl::Seconds(1))) {
      bar.Update(std::min(++seconds, total));
    }
    if (!writing.stopped()) bar.Update(total);
    bar.Finish();
  });
  writing.Run(load.writers);
  ended.Notify();
  shower.join();
  CleanUp(command);
  if (writing.stopped()) {
    return Fail(absl::CancelledError("interrupted; what was written is deleted"), kFailed);
  }
  return Judge(writing.samples(), load.writes_per_second, &std::cout) ? kDone : kFailed;
}

}  // namespace client
