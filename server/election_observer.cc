// SPDX-License-Identifier: Apache-2.0

#include "server/election_observer.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rpc/typed.h"
#include "server/errors.h"

namespace server {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// The client is behind with so much: it is told no more until it has read.
constexpr size_t kUnreadBytesMax = 1 << 20;
// Values of one leader that are read back at most; who missed more is told the newest ones.
constexpr size_t kReadBackMax = 1000;
constexpr size_t kReadBackBytesMax = 4 << 20;

}  // namespace

// Outlives the stream while somebody may still call it.
class ElectionObserver::Observation final : public std::enable_shared_from_this<Observation> {
 public:
  Observation(const Turns* turns, std::shared_ptr<rpc::Stream> stream)
      : turns_(turns), stream_(std::move(stream)) {}

  void Begin(const std::string& bytes) {
    const auto request = rpc::Decode<v3electionpb::LeaderRequest>(bytes);
    absl::Status status = request.status();
    if (status.ok()) status = turns_->gate().CheckServed();
    if (!status.ok()) return stream_->Finish(status);
    {
      std::lock_guard lock(mutex_);
      if (begun_) return;
      begun_ = true;
      prefix_ = request->name() + "/";
    }
    turns_->gate().Read(*stream_, /*serializable=*/false,
                        [self = shared_from_this()](absl::Status ready) {
                          if (!ready.ok()) return self->stream_->Finish(AsUnknown(ready));
                          self->Look();
                        });
  }
  bool begun() {
    std::lock_guard lock(mutex_);
    return begun_;
  }

  void Drained() {
    if (held_up_.exchange(false)) LookElsewhere();
  }

  void End() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    if (waiting_) turns_->waiters().Cancel(waits_for_, ticket_);
    waiting_ = false;
  }

 private:
  // From the apply thread or a connection's: looking is for a thread that may wait for a disk.
  void LookElsewhere() {
    turns_->gate().replica().LocalRead([self = shared_from_this()](raft::ReadOutcome outcome) {
      if (outcome == raft::ReadOutcome::kReady) return self->Look();
      self->stream_->Finish(AsUnknown(FromRead(outcome)));
    });
  }

  // One thread at a time looks and tells; it does so without the lock, for writing may end in a
  // call of Drained or End on the spot.
  void Look() {
    {
      std::lock_guard lock(mutex_);
      again_ = true;
      if (looking_) return;
      looking_ = true;
    }
    while (GoesOn()) {
      const absl::Status status = LookOnce();
      if (!status.ok()) stream_->Finish(AsUnknown(FromStore(status)));
    }
  }

  // Whether something may have changed since the last look. Ends the looking if not.
  bool GoesOn() {
    std::lock_guard lock(mutex_);
    looking_ = again_ && !ended_;
    again_ = false;
    return looking_;
  }

  absl::Status LookOnce() {
    if (held_up_) return absl::OkStatus();
    RangeResponse first;
    RETURN_IF_ERROR(
        turns_->state().Range(FirstCreatedUnder(prefix_), turns_->gate().Term(), &first));
    if (first.kvs_size() > 0 && IsNews(first.kvs(0))) Tell(first);
    WaitFor(first.kvs_size() > 0 ? first.kvs(0).key() : prefix_);
    // Written meanwhile, perhaps before anybody waited for it.
    if (turns_->state().revision() == first.header().revision()) return absl::OkStatus();
    std::lock_guard lock(mutex_);
    again_ = true;
    return absl::OkStatus();
  }

  void WaitFor(const std::string& key) {
    std::lock_guard lock(mutex_);
    if (ended_ || (waiting_ && waits_for_ == key)) return;
    if (waiting_) turns_->waiters().Cancel(waits_for_, ticket_);
    waits_for_ = key;
    waiting_ = true;
    const uint64_t wait = ++waits_;
    ticket_ = turns_->waiters().Wait(key, [self = shared_from_this(), wait] {
      {
        std::lock_guard woken(self->mutex_);
        if (self->waits_ == wait) self->waiting_ = false;
      }
      self->LookElsewhere();
    });
  }

  bool IsNews(const mvccpb::KeyValue& leader) const {
    return leader.create_revision() != told_.create_revision() ||
           leader.mod_revision() > told_.mod_revision();
  }

  // The newest value of the leader and, if it was told of before, the values between.
  void Tell(const RangeResponse& first) {
    std::vector<mvccpb::KeyValue> values = {first.kvs(0)};
    const bool known = values[0].create_revision() == told_.create_revision();
    size_t bytes = values[0].ByteSizeLong();
    while (known && values.size() < kReadBackMax && bytes < kReadBackBytesMax) {
      RangeRequest before;
      before.set_key(values[0].key());
      before.set_revision(values.back().mod_revision() - 1);
      RangeResponse found;
      // Compacted: what is left is what there is.
      if (!turns_->state().Range(before, 0, &found).ok() || found.kvs_size() == 0) break;
      if (found.kvs(0).mod_revision() <= told_.mod_revision()) break;
      values.push_back(found.kvs(0));
      bytes += values.back().ByteSizeLong();
    }
    told_ = values[0];
    told_.clear_value();
    std::reverse(values.begin(), values.end());
    for (mvccpb::KeyValue& value : values) {
      v3electionpb::LeaderResponse response;
      *response.mutable_header() = first.header();
      if (value.mod_revision() != told_.mod_revision()) {
        response.mutable_header()->set_revision(value.mod_revision());
      }
      response.mutable_kv()->Swap(&value);
      // Before the write: it may be drained before it returns.
      held_up_ = true;
      if (stream_->Write(response.SerializeAsString()) <= kUnreadBytesMax) held_up_ = false;
    }
  }

  const Turns* const turns_;
  const std::shared_ptr<rpc::Stream> stream_;
  std::atomic<bool> held_up_ = false;
  // Of who looks: the leader as it was told last.
  mvccpb::KeyValue told_;
  // Set once, before the first look.
  std::string prefix_;

  std::mutex mutex_;
  // Guarded by mutex_.
  bool begun_ = false;
  bool ended_ = false;
  bool looking_ = false;
  bool again_ = false;
  bool waiting_ = false;
  uint64_t waits_ = 0;
  std::string waits_for_;
  KeyWaiters::Ticket ticket_ = 0;
};

ElectionObserver::ElectionObserver(const Turns* turns, std::shared_ptr<rpc::Stream> stream)
    : observation_(std::make_shared<Observation>(turns, std::move(stream))) {}

void ElectionObserver::OnMessage(std::string message) { observation_->Begin(message); }

void ElectionObserver::OnHalfClose() {
  if (!observation_->begun()) observation_->Begin("\xff");
}

void ElectionObserver::OnDrained() { observation_->Drained(); }

void ElectionObserver::OnDone() { observation_->End(); }

}  // namespace server
