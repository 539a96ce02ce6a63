// SPDX-License-Identifier: Apache-2.0

#include "server/answer_room.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/errors.h"
#include "store/range_encoder.h"

namespace server {
namespace {

// What is the same for all calls of one method.
struct Method {
  AnswerMemory* memory;
  const Gate* gate;
  rpc::UnaryHandler read;
};

void Ask(const std::shared_ptr<const Method>& method, const rpc::Call& call,
         const std::string& request, base::TimePoint deadline, rpc::UnaryDone done) {
  auto answer = [method, &call, request, deadline, done = std::move(done)](absl::Status status,
                                                                           rpc::Answer made) {
    const uint64_t bytes = made.bytes();
    std::vector<std::string> pieces = made.TakePieces();
    if (!status.ok() || bytes <= store::kSmallAnswerBytes) {
      return done(std::move(status), rpc::Answer(std::move(pieces), nullptr));
    }
    const std::shared_ptr<AnswerMemory::Claim> claim = method->memory->NewClaim();
    if (claim->Grow(bytes)) {
      return done(std::move(status), rpc::Answer(std::move(pieces), claim));
    }
    WhenThereIsRoom(method->memory, method->gate, deadline,
                    [method, &call, request, deadline, done](const absl::Status& room) {
                      if (!room.ok()) return done(room, "");
                      if (call.cancelled()) return done(ErrorStatus(WireError::kTimeout), "");
                      Ask(method, call, request, deadline, done);
                    });
  };
  method->read(call, request, std::move(answer));
}

}  // namespace

void WhenThereIsRoom(AnswerMemory* memory, const Gate* gate, base::TimePoint deadline,
                     std::function<void(const absl::Status& room)> go_on) {
  memory->Wait(deadline, [gate, deadline, go_on = std::move(go_on)](bool room) {
    if (gate->stopping()) return go_on(ErrorStatus(WireError::kStopped));
    if (!room) return go_on(ErrorStatus(WireError::kAnswerMemoryFull));
    gate->replica().LocalRead([gate, deadline, go_on](raft::ReadOutcome outcome) {
      // Who asked has given up meanwhile.
      if (gate->Now() >= deadline) return go_on(ErrorStatus(WireError::kTimeout));
      go_on(outcome == raft::ReadOutcome::kReady ? absl::OkStatus() : FromRead(outcome));
    });
  });
}

rpc::UnaryHandler BoundedRead(AnswerMemory* memory, const Gate* gate, rpc::UnaryHandler read) {
  auto method = std::make_shared<const Method>(Method{memory, gate, std::move(read)});
  return [method = std::move(method)](const rpc::Call& call, std::string request,
                                      rpc::UnaryDone done) {
    Ask(method, call, request, method->gate->DeadlineOf(call), std::move(done));
  };
}

}  // namespace server
