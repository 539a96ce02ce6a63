// SPDX-License-Identifier: Apache-2.0

#include "server/turns.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rpc/typed.h"
#include "server/errors.h"
#include "server/validate.h"
#include "store/txn.h"

namespace server {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

// What etcd's sessions ask for if they are given no lease.
constexpr int64_t kSessionTtlSeconds = 60;

// As Go prints it: a sign before the digits.
std::string HexOf(int64_t lease) {
  const uint64_t digits = lease < 0 ? uint64_t{0} - static_cast<uint64_t>(lease) : lease;
  return absl::StrCat(lease < 0 ? "-" : "", absl::Hex(digits));
}

std::string EndOf(std::string prefix) {
  // The prefix ends in '/'.
  ++prefix.back();
  return prefix;
}

void CompareCreated(const std::string& key, int64_t create_revision, TxnRequest* txn) {
  Compare* compare = txn->add_compare();
  compare->set_key(key);
  compare->set_target(Compare::CREATE);
  compare->set_result(Compare::EQUAL);
  compare->set_create_revision(create_revision);
}

}  // namespace

absl::Status AsUnknown(const absl::Status& status) {
  if (status.ok() || absl::IsCancelled(status)) return status;
  return absl::UnknownError(status.message());
}

RangeRequest FirstCreatedUnder(const std::string& prefix) {
  RangeRequest range;
  range.set_key(prefix);
  range.set_range_end(EndOf(prefix));
  range.set_sort_target(RangeRequest::CREATE);
  range.set_sort_order(RangeRequest::ASCEND);
  range.set_limit(1);
  return range;
}

TxnRequest IfCreatedAt(const std::string& key, int64_t create_revision,
                       const etcdserverpb::RequestOp& then) {
  TxnRequest txn;
  CompareCreated(key, create_revision, &txn);
  *txn.add_success() = then;
  return txn;
}

void Turns::Run(const rpc::Call& call, TxnRequest txn, TxnDone done) const {
  const absl::Status checked = CheckTxn(txn, max_txn_ops_);
  if (!checked.ok()) return done(AsUnknown(checked));
  const bool takes_space = store::HasPut(txn);
  etcdserverpb::InternalRaftRequest command;
  command.mutable_txn()->Swap(&txn);
  auto decoded = [done = std::move(done)](absl::Status status, std::string bytes) {
    if (!status.ok()) return done(AsUnknown(status));
    done(rpc::Decode<TxnResponse>(bytes));
  };
  if (takes_space) return space_->Publish(call, command, std::move(decoded));
  gate_->Publish(call, command, std::move(decoded));
}

void Turns::Read(const rpc::Call& call, RangeRequest range, RangeDone done) const {
  gate_->Read(call, /*serializable=*/false,
              [this, range = std::move(range), done = std::move(done)](absl::Status ready) {
                if (!ready.ok()) return done(AsUnknown(ready));
                RangeResponse response;
                const absl::Status status = state_->Range(range, gate_->Term(), &response);
                if (!status.ok()) return done(AsUnknown(FromStore(status)));
                done(std::move(response));
              });
}

void Turns::Enter(const rpc::Call& call, const std::string& name, int64_t lease,
                  const std::string& value, Entered done) const {
  if (lease == 0) {
    const auto granted = [this, &call, name, value, done = std::move(done)](absl::Status status,
                                                                            std::string bytes) {
      if (!status.ok()) return done(AsUnknown(status));
      const auto grant = rpc::Decode<etcdserverpb::LeaseGrantResponse>(bytes);
      if (!grant.ok()) return done(grant.status());
      Enter(call, name, grant->id(), value, done);
    };
    return leases_->GrantAny(call, kSessionTtlSeconds, granted);
  }
  Place place;
  place.prefix = name + "/";
  place.key = place.prefix + HexOf(lease);
  place.lease = lease;
  TxnRequest txn;
  CompareCreated(place.key, 0, &txn);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(place.key);
  put->set_value(value);
  put->set_lease(lease);
  txn.add_failure()->mutable_request_range()->set_key(place.key);
  *txn.add_success()->mutable_request_range() = FirstCreatedUnder(place.prefix);
  *txn.add_failure()->mutable_request_range() = FirstCreatedUnder(place.prefix);
  Run(call, std::move(txn),
      [place = std::move(place), value,
       done = std::move(done)](absl::StatusOr<TxnResponse> answer) mutable {
        if (!answer.ok()) return done(answer.status());
        place.header = answer->header();
        place.was_there = !answer->succeeded();
        place.create_revision = answer->header().revision();
        place.value = value;
        if (place.was_there) {
          const mvccpb::KeyValue& own = answer->responses(0).response_range().kvs(0);
          place.create_revision = own.create_revision();
          place.value = own.value();
        }
        const auto& first = answer->responses(1).response_range();
        place.is_first =
            first.kvs_size() == 0 || first.kvs(0).create_revision() == place.create_revision;
        done(std::move(place));
      });
}

void Turns::Leave(const Place& place) const {
  etcdserverpb::RequestOp remove;
  remove.mutable_request_delete_range()->set_key(place.key);
  etcdserverpb::InternalRaftRequest command;
  *command.mutable_txn() = IfCreatedAt(place.key, place.create_revision, remove);
  gate_->replica().Publish(command.SerializeAsString(),
                           gate_->Now() + gate_->options().request_timeout,
                           [](const raft::PublishOutcome&) {});
}

// One call that waits. It waits for the key right before its own, so that a key that goes wakes
// one waiter and not all.
class Turns::Waiter final : public std::enable_shared_from_this<Waiter> {
 public:
  Waiter(const Turns* turns, Place place, Awaited done)
      : turns_(turns), place_(std::move(place)), done_(std::move(done)) {}

  void Begin(const rpc::Call& call) {
    auto self = shared_from_this();
    // First: once it is this one's turn the call may be gone.
    call.WhenCancelled([self] { self->GiveUp(); });
    Look();
  }

 private:
  RangeRequest Before() const {
    RangeRequest range;
    range.set_key(place_.prefix);
    range.set_range_end(EndOf(place_.prefix));
    range.set_max_create_revision(place_.create_revision - 1);
    range.set_sort_target(RangeRequest::CREATE);
    range.set_sort_order(RangeRequest::DESCEND);
    range.set_limit(1);
    range.set_keys_only(true);
    return range;
  }

  // This member has applied the place's own key, and with it all that are older: its own state
  // tells who is before.
  void Look() {
    while (true) {
      RangeResponse before;
      const absl::Status status = turns_->state_->Range(Before(), turns_->gate_->Term(), &before);
      if (!status.ok()) return End(AsUnknown(FromStore(status)));
      if (before.kvs_size() == 0) return End(absl::OkStatus());
      const std::string key = before.kvs(0).key();
      KeyWaiters::Ticket ticket;
      {
        std::lock_guard lock(mutex_);
        if (ended_) return;
        ticket = turns_->waiters_->Wait(key, [self = shared_from_this()] { self->OnChange(); });
        waits_for_ = key;
        ticket_ = ticket;
      }
      // It may have gone before anybody waited for it.
      RangeRequest still;
      still.set_key(key);
      still.set_count_only(true);
      RangeResponse there;
      const absl::Status read = turns_->state_->Range(still, turns_->gate_->Term(), &there);
      if (read.ok() && there.count() > 0) return;
      if (!turns_->waiters_->Cancel(key, ticket)) return;  // OnChange goes on.
    }
  }

  // On the apply thread: looking is for a thread that may wait for a disk.
  void OnChange() {
    turns_->gate_->replica().LocalRead([self = shared_from_this()](raft::ReadOutcome outcome) {
      if (outcome == raft::ReadOutcome::kReady) return self->Look();
      self->End(AsUnknown(FromRead(outcome)));
    });
  }

  void GiveUp() {
    std::string waits_for;
    KeyWaiters::Ticket ticket;
    {
      std::lock_guard lock(mutex_);
      if (ended_) return;
      waits_for = waits_for_;
      ticket = ticket_;
    }
    turns_->waiters_->Cancel(waits_for, ticket);
    End(absl::CancelledError("context canceled"));
  }

  void End(absl::Status status) {
    {
      std::lock_guard lock(mutex_);
      if (ended_) return;
      ended_ = true;
    }
    // Nobody will come for it: those behind must not wait for it.
    if (!status.ok()) turns_->Leave(place_);
    done_(std::move(status));
  }

  const Turns* const turns_;
  const Place place_;
  const Awaited done_;
  std::mutex mutex_;
  // Guarded by mutex_.
  bool ended_ = false;
  std::string waits_for_;
  KeyWaiters::Ticket ticket_ = 0;
};

void Turns::Await(const rpc::Call& call, const Place& place, Awaited done) const {
  if (place.is_first) return done(absl::OkStatus());
  std::make_shared<Waiter>(this, place, std::move(done))->Begin(call);
}

}  // namespace server
