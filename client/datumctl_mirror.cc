// SPDX-License-Identifier: Apache-2.0

#include <atomic>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/datumctl_command.h"
#include "client/request.h"
#include "client/watch.h"

namespace client {
namespace {

// Of the first copy: keys that are read at once.
constexpr int64_t kPageKeys = 1000;
constexpr absl::Duration kPauseOfRetry = absl::Seconds(1);
// As etcdctl: how often the number of changes so far is printed.
constexpr absl::Duration kReportEvery = absl::Seconds(30);

class Mirror {
 public:
  Mirror(const Client* source, const Client* destination, const MirrorArguments& wanted)
      : source_(*source), destination_(*destination), wanted_(wanted) {
    if (!wanted_.no_dest_prefix && wanted_.dest_prefix.empty()) {
      wanted_.dest_prefix = wanted_.prefix;
    }
  }

  // Returns only with an error.
  absl::Status Run() {
    int64_t next = wanted_.revision;
    if (next <= 1) {
      ASSIGN_OR_RETURN(const int64_t copied, CopyAll());
      next = copied + 1;
    }
    etcdserverpb::WatchCreateRequest request = WatchPrefix(wanted_.prefix);
    request.set_start_revision(next);
    Watcher watcher(source_, request);
    while (true) {
      ASSIGN_OR_RETURN(const auto answer, watcher.Next());
      RETURN_IF_ERROR(Apply(answer));
    }
  }

  int64_t changes() const { return changes_; }

 private:
  // All keys as of one revision, which is returned.
  absl::StatusOr<int64_t> CopyAll() {
    etcdserverpb::RangeRequest request = PrefixOf(wanted_.prefix);
    request.set_limit(kPageKeys);
    while (true) {
      ASSIGN_OR_RETURN(const auto page, source_.Range(request));
      if (request.revision() == 0) request.set_revision(page.header().revision());
      for (const mvccpb::KeyValue& datum : page.kvs()) {
        RETURN_IF_ERROR(
            Send([&] { return destination_.Put(Renamed(datum.key()), datum.value()).status(); }));
        ++changes_;
      }
      if (!page.more() || page.kvs().empty()) return request.revision();
      // The key after the last one.
      request.set_key(page.kvs(page.kvs_size() - 1).key() + std::string(1, '\0'));
    }
  }

  // What one revision changed is one step there, too, as far as --max-txn-ops allows.
  absl::Status Apply(const etcdserverpb::WatchResponse& answer) {
    etcdserverpb::TxnRequest step;
    int64_t revision = 0;
    for (const mvccpb::Event& event : answer.events()) {
      const bool full = step.success_size() >= static_cast<int>(wanted_.max_txn_ops);
      if (step.success_size() > 0 && (full || event.kv().mod_revision() != revision)) {
        RETURN_IF_ERROR(Commit(&step));
      }
      revision = event.kv().mod_revision();
      etcdserverpb::RequestOp* op = step.add_success();
      const std::string key = Renamed(event.kv().key());
      if (event.type() == mvccpb::Event::DELETE) {
        *op->mutable_request_delete_range() = DeleteOf(key);
      } else {
        *op->mutable_request_put() = PutOf(key, event.kv().value());
      }
      ++changes_;
    }
    return step.success_size() > 0 ? Commit(&step) : absl::OkStatus();
  }

  absl::Status Commit(etcdserverpb::TxnRequest* step) {
    RETURN_IF_ERROR(Send([&] { return destination_.Txn(*step).status(); }));
    step->Clear();
    return absl::OkStatus();
  }

  // Until the destination has it. That it may get it twice does no harm: nothing later was sent.
  template <typename Call>
  absl::Status Send(const Call& call) {
    while (true) {
      const absl::Status sent = call();
      if (!absl::IsUnavailable(sent) && !absl::IsDeadlineExceeded(sent)) return sent;
      std::cerr << "make-mirror: the destination does not answer (" << sent.message()
                << "), trying again" << std::endl;
      absl::SleepFor(kPauseOfRetry);
    }
  }

  std::string Renamed(const std::string& key) const {
    return absl::StrCat(wanted_.dest_prefix, key.substr(wanted_.prefix.size()));
  }

  const Client& source_;
  const Client& destination_;
  MirrorArguments wanted_;
  std::atomic<int64_t> changes_{0};
};

}  // namespace

int RunMakeMirror(Command* command) {
  const MirrorArguments& wanted = command->arguments.mirror;
  if (wanted.no_dest_prefix && !wanted.dest_prefix.empty()) {
    return Fail(absl::InvalidArgumentError(
                    "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose "
                    "one"),
                kBadUsage);
  }
  Options options = command->arguments.options;
  options.endpoints = wanted.destination;
  const auto destination = Client::Create(options);
  if (!destination.ok()) return Fail(destination.status(), kBadUsage);
  Mirror mirror(command->client.get(), destination->get(), wanted);
  absl::Notification ended;
  std::thread reporter([&] {
    while (!ended.WaitForNotificationWithTimeout(kReportEvery)) {
      std::cout << mirror.changes() << std::endl;
    }
  });
  const absl::Status status = mirror.Run();
  ended.Notify();
  reporter.join();
  return Fail(status, kFailed);
}

}  // namespace client
