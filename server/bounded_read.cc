// SPDX-License-Identifier: Apache-2.0

#include "server/bounded_read.h"

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
    std::vector<std::string> pieces = made.TakePieces();
    uint64_t bytes = 0;
    for (const std::string& piece : pieces) bytes += piece.size();
    if (!status.ok() || bytes <= store::kSmallAnswerBytes) {
      return done(std::move(status), rpc::Answer(std::move(pieces), nullptr));
    }
    const std::shared_ptr<AnswerMemory::Claim> claim = method->memory->NewClaim();
    if (claim->Grow(bytes)) {
      return done(std::move(status), rpc::Answer(std::move(pieces), claim));
    }
    method->memory->Wait(deadline, [method, &call, request, deadline, done](bool room) {
      if (method->gate->stopping()) return done(ErrorStatus(WireError::kStopped), "");
      if (!room || call.cancelled()) return done(ErrorStatus(WireError::kAnswerMemoryFull), "");
      Ask(method, call, request, deadline, done);
    });
  };
  method->read(call, request, std::move(answer));
}

}  // namespace

rpc::UnaryHandler BoundedRead(AnswerMemory* memory, const Gate* gate, rpc::UnaryHandler read) {
  auto method = std::make_shared<const Method>(Method{memory, gate, std::move(read)});
  return [method = std::move(method)](const rpc::Call& call, std::string request,
                                      rpc::UnaryDone done) {
    Ask(method, call, request, method->gate->DeadlineOf(call), std::move(done));
  };
}

}  // namespace server
