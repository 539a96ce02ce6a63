// SPDX-License-Identifier: Apache-2.0
//
// watch_fixture.h: a hub on a machine, with clients that read when they like.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "store/watch_hub.h"
#include "tests/unit/store/machine_driver.h"

namespace store {

// The far end of one stream: what was sent waits here until it is read.
class TestSink final : public WatchSink {
 public:
  size_t Send(std::string response) override {
    queued_ += response.size();
    waiting_.push_back(std::move(response));
    return queued_;
  }
  void End(absl::Status status) override {
    if (!ended_.has_value()) ended_ = status;
  }

  // The next response; nothing if all are read.
  std::optional<etcdserverpb::WatchResponse> Read() {
    if (waiting_.empty()) return std::nullopt;
    etcdserverpb::WatchResponse response;
    EXPECT_TRUE(response.ParseFromString(waiting_.front()));
    queued_ -= waiting_.front().size();
    waiting_.pop_front();
    return response;
  }
  size_t queued() const { return queued_; }
  const std::optional<absl::Status>& ended() const { return ended_; }

 private:
  std::deque<std::string> waiting_;
  size_t queued_ = 0;
  std::optional<absl::Status> ended_;
};

class WatchFixture {
 public:
  explicit WatchFixture(const WatchHubOptions& options = {}) { Begin(options); }

  void Begin(WatchHubOptions options) {
    options.cluster_id = 11;
    options.member_id = 22;
    hub = std::make_unique<WatchHub>(options, driver.operator->(), [] { return 4; });
    driver->set_observer(hub.get());
  }

  std::shared_ptr<WatchStream> Open() {
    auto sink = std::make_shared<TestSink>();
    auto stream = hub->Open(sink);
    sinks[stream.get()] = sink;
    return stream;
  }
  TestSink& sink(const std::shared_ptr<WatchStream>& stream) { return *sinks.at(stream.get()); }

  void Ask(const std::shared_ptr<WatchStream>& stream,
           const etcdserverpb::WatchCreateRequest& create) {
    etcdserverpb::WatchRequest request;
    *request.mutable_create_request() = create;
    ASSERT_TRUE(hub->Request(stream, request).ok());
  }
  void AskProgress(const std::shared_ptr<WatchStream>& stream) {
    etcdserverpb::WatchRequest request;
    request.mutable_progress_request();
    ASSERT_TRUE(hub->Request(stream, request).ok());
  }
  void AskCancel(const std::shared_ptr<WatchStream>& stream, int64_t id) {
    etcdserverpb::WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    ASSERT_TRUE(hub->Request(stream, request).ok());
  }

  // Until there is nothing more to do.
  void Settle() {
    while (hub->Turn(now)) {
    }
  }
  // All that has come by now; the stream has drained then.
  std::vector<etcdserverpb::WatchResponse> ReadAll(const std::shared_ptr<WatchStream>& stream) {
    std::vector<etcdserverpb::WatchResponse> all;
    do {
      Settle();
      while (auto response = sink(stream).Read()) all.push_back(*response);
      hub->Drained(stream);
      Settle();
    } while (sink(stream).queued() > 0);
    return all;
  }

  static etcdserverpb::WatchCreateRequest Key(const std::string& key, int64_t start = 0) {
    etcdserverpb::WatchCreateRequest request;
    request.set_key(key);
    request.set_start_revision(start);
    return request;
  }
  static etcdserverpb::WatchCreateRequest Everything(int64_t start = 0) {
    etcdserverpb::WatchCreateRequest request = Key("", start);
    request.set_range_end(std::string(1, '\0'));
    return request;
  }

  MachineDriver driver;
  std::unique_ptr<WatchHub> hub;
  std::map<WatchStream*, std::shared_ptr<TestSink>> sinks;
  base::TimePoint now{};
};

}  // namespace store
