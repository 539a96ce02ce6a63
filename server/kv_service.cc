// SPDX-License-Identifier: Apache-2.0

#include "server/kv_service.h"

#include <utility>

#include "rpc/typed.h"
#include "server/answer_room.h"
#include "server/errors.h"
#include "server/validate.h"
#include "store/txn.h"

namespace server {

using etcdserverpb::InternalRaftRequest;

void KvService::Register(rpc::Registry* registry) const {
  const auto add = [&](const char* method, rpc::UnaryHandler handler) {
    registry->AddUnary(std::string("/etcdserverpb.KV/") + method, std::move(handler));
  };
  add("Range",
      rpc::TypedUnary<etcdserverpb::RangeRequest>(
          [this](const rpc::Call& call, etcdserverpb::RangeRequest request, rpc::UnaryDone done) {
            Range(call, std::move(request), std::move(done));
          }));
  add("Put", rpc::TypedUnary<etcdserverpb::PutRequest>(
                 [this](const rpc::Call& call, etcdserverpb::PutRequest request,
                        rpc::UnaryDone done) { Put(call, std::move(request), std::move(done)); }));
  add("DeleteRange",
      rpc::TypedUnary<etcdserverpb::DeleteRangeRequest>(
          [this](const rpc::Call& call, etcdserverpb::DeleteRangeRequest request,
                 rpc::UnaryDone done) { DeleteRange(call, std::move(request), std::move(done)); }));
  add("Txn", rpc::TypedUnary<etcdserverpb::TxnRequest>(
                 [this](const rpc::Call& call, etcdserverpb::TxnRequest request,
                        rpc::UnaryDone done) { Txn(call, std::move(request), std::move(done)); }));
  add("Compact",
      rpc::TypedUnary<etcdserverpb::CompactionRequest>(
          [this](const rpc::Call& call, etcdserverpb::CompactionRequest request,
                 rpc::UnaryDone done) { Compact(call, std::move(request), std::move(done)); }));
}

void KvService::Range(const rpc::Call& call, etcdserverpb::RangeRequest request,
                      rpc::UnaryDone done) const {
  const absl::Status checked = CheckRange(request);
  if (!checked.ok()) return done(checked, "");
  const bool serializable = request.serializable();
  auto shared = std::make_shared<const etcdserverpb::RangeRequest>(std::move(request));
  gate_->Read(call, serializable,
              [this, shared = std::move(shared), deadline = gate_->DeadlineOf(call),
               done = std::move(done)](const absl::Status& ready) {
                if (!ready.ok()) return done(ready, "");
                AnswerRange(shared, deadline, done);
              });
}

void KvService::AnswerRange(std::shared_ptr<const etcdserverpb::RangeRequest> request,
                            base::TimePoint deadline, rpc::UnaryDone done) const {
  const std::shared_ptr<AnswerMemory::Claim> claim = memory_->NewClaim();
  bool claimed = false;
  store::Pieces pieces;
  const absl::StatusOr<bool> encoded = state_->EncodeRange(
      *request, gate_->Term(),
      [&](uint64_t bytes) {
        claimed = true;
        return claim->Grow(bytes);
      },
      &pieces);
  if (!encoded.ok()) return done(FromStore(encoded.status()), "");
  if (*encoded) {
    // A small one holds nothing, for which the transport would look after it.
    return done(absl::OkStatus(), rpc::Answer(std::move(pieces), claimed ? claim : nullptr));
  }
  WaitForMemory(deadline, done,
                [this, request, deadline, done] { AnswerRange(request, deadline, done); });
}

void KvService::AnswerTxn(std::shared_ptr<const etcdserverpb::TxnRequest> request,
                          base::TimePoint deadline, rpc::UnaryDone done) const {
  etcdserverpb::TxnResponse response;
  const absl::Status read = state_->ReadTxn(*request, gate_->Term(), &response);
  const size_t bytes = response.ByteSizeLong();
  if (!read.ok() || bytes <= store::kSmallAnswerBytes) {
    return rpc::Reply(done, FromStore(read), response);
  }
  const std::shared_ptr<AnswerMemory::Claim> claim = memory_->NewClaim();
  if (claim->Grow(bytes)) {
    return rpc::Reply(
        [&](absl::Status status, rpc::Answer answer) {
          done(std::move(status), rpc::Answer(answer.TakePieces(), claim));
        },
        absl::OkStatus(), response);
  }
  WaitForMemory(deadline, done,
                [this, request, deadline, done] { AnswerTxn(request, deadline, done); });
}

void KvService::WaitForMemory(base::TimePoint deadline, rpc::UnaryDone done,
                              std::function<void()> go_on) const {
  WhenThereIsRoom(memory_, gate_, deadline,
                  [done = std::move(done), go_on = std::move(go_on)](const absl::Status& room) {
                    if (!room.ok()) return done(room, "");
                    go_on();
                  });
}

void KvService::Write(const rpc::Call& call, std::shared_ptr<const InternalRaftRequest> command,
                      bool takes_space, base::TimePoint deadline, rpc::UnaryDone done) const {
  // Before it is published: what is applied must be answered.
  const std::shared_ptr<AnswerMemory::Claim> claim = memory_->NewClaim();
  if (!claim->Grow(store::kSmallAnswerBytes)) {
    return WaitForMemory(deadline, done, [this, &call, command, takes_space, deadline, done] {
      if (call.cancelled()) return done(ErrorStatus(WireError::kTimeout), "");
      Write(call, command, takes_space, deadline, done);
    });
  }
  auto answer = [claim, done = std::move(done)](absl::Status status, rpc::Answer response) {
    const uint64_t bytes = response.bytes();
    std::vector<std::string> pieces = response.TakePieces();
    if (!status.ok() || bytes <= store::kSmallAnswerBytes) {
      return done(std::move(status), rpc::Answer(std::move(pieces), nullptr));
    }
    claim->Grow(bytes);
    done(std::move(status), rpc::Answer(std::move(pieces), claim));
  };
  if (takes_space) return space_->Publish(call, *command, std::move(answer));
  gate_->Publish(call, *command, std::move(answer));
}

void KvService::Put(const rpc::Call& call, etcdserverpb::PutRequest request,
                    rpc::UnaryDone done) const {
  const absl::Status checked = CheckPut(request);
  if (!checked.ok()) return done(checked, "");
  const bool answers_values = request.prev_kv();
  InternalRaftRequest command;
  command.mutable_put()->Swap(&request);
  if (!answers_values) return space_->Publish(call, command, std::move(done));
  Write(call, std::make_shared<const InternalRaftRequest>(std::move(command)),
        /*takes_space=*/true, gate_->DeadlineOf(call), std::move(done));
}

void KvService::DeleteRange(const rpc::Call& call, etcdserverpb::DeleteRangeRequest request,
                            rpc::UnaryDone done) const {
  const absl::Status checked = CheckDeleteRange(request);
  if (!checked.ok()) return done(checked, "");
  const bool answers_values = request.prev_kv();
  InternalRaftRequest command;
  command.mutable_delete_range()->Swap(&request);
  if (!answers_values) return gate_->Publish(call, command, std::move(done));
  Write(call, std::make_shared<const InternalRaftRequest>(std::move(command)),
        /*takes_space=*/false, gate_->DeadlineOf(call), std::move(done));
}

void KvService::Txn(const rpc::Call& call, etcdserverpb::TxnRequest request,
                    rpc::UnaryDone done) const {
  const absl::Status checked = CheckTxn(request, max_txn_ops_);
  if (!checked.ok()) return done(checked, "");
  if (!IsReadOnly(request)) {
    const bool takes_space = store::HasPut(request);
    const bool answers_values = AnswersValues(request);
    InternalRaftRequest command;
    command.mutable_txn()->Swap(&request);
    if (answers_values) {
      return Write(call, std::make_shared<const InternalRaftRequest>(std::move(command)),
                   takes_space, gate_->DeadlineOf(call), std::move(done));
    }
    if (takes_space) return space_->Publish(call, command, std::move(done));
    return gate_->Publish(call, command, std::move(done));
  }
  const bool serializable = IsSerializable(request);
  auto shared = std::make_shared<const etcdserverpb::TxnRequest>(std::move(request));
  gate_->Read(call, serializable,
              [this, shared = std::move(shared), deadline = gate_->DeadlineOf(call),
               done = std::move(done)](const absl::Status& ready) {
                if (!ready.ok()) return done(ready, "");
                AnswerTxn(shared, deadline, done);
              });
}

void KvService::Compact(const rpc::Call& call, etcdserverpb::CompactionRequest request,
                        rpc::UnaryDone done) const {
  const bool physical = request.physical();
  const int64_t revision = request.revision();
  const base::TimePoint until = gate_->DeadlineOf(call);
  InternalRaftRequest command;
  command.mutable_compaction()->Swap(&request);
  if (!physical) return gate_->Publish(call, command, std::move(done));
  gate_->Publish(call, command,
                 [this, revision, until, done = std::move(done)](const absl::Status& status,
                                                                 std::string response) {
                   if (!status.ok()) return done(status, "");
                   compactions_->Wait(
                       revision, until,
                       [done, response](const absl::Status& dropped) { done(dropped, response); });
                 });
}

}  // namespace server
