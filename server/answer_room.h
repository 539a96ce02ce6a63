// SPDX-License-Identifier: Apache-2.0
//
// answer_room.h: how a call waits for room in AnswerMemory.
//
// What is newest when there is room is no older: a read that was linearizable stays so.

#pragma once

#include <functional>

#include "absl/status/status.h"
#include "base/time.h"
#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/gate.h"

namespace server {

// go_on(OK), on a thread for reads, once there may be room; else the error that the call ends with.
// Both must outlive it.
void WhenThereIsRoom(AnswerMemory* memory, const Gate* gate, base::TimePoint deadline,
                     std::function<void(const absl::Status& room)> go_on);

// `read`, under the bound of AnswerMemory whatever makes its answers: asked again once there is
// room for one that is not small and finds none, and refused if there is none in the time that the
// call has. For handlers without an effect. Both must outlive the handler.
rpc::UnaryHandler BoundedRead(AnswerMemory* memory, const Gate* gate, rpc::UnaryHandler read);

}  // namespace server
