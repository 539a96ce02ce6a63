// SPDX-License-Identifier: Apache-2.0
//
// bounded_read.h: puts the answers of a unary handler under the bound of AnswerMemory, whatever
// makes them.

#pragma once

#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/gate.h"

namespace server {

// `read`, asked again once there is room if its answer is not small and finds none; refused
// (kAnswerMemoryFull) if there is none in the time that the call has. For handlers without an
// effect: what is newest then is no older. Both must outlive the handler.
rpc::UnaryHandler BoundedRead(AnswerMemory* memory, const Gate* gate, rpc::UnaryHandler read);

}  // namespace server
