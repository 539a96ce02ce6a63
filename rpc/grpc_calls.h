// SPDX-License-Identifier: Apache-2.0
//
// grpc_calls.h: grpc++'s callback reactors that carry one call each to its handler.

#pragma once

#include "base/time.h"
#include "grpcpp/generic/async_generic_service.h"
#include "rpc/grpc_unread.h"
#include "rpc/handler.h"

namespace rpc {

// The reactor for a call of this method; it deletes itself when the call is over.
// A method that is not in the registry ends as Unimplemented. *unread outlives the calls.
grpc::ServerGenericBidiReactor* NewReactor(grpc::GenericCallbackServerContext* context,
                                           const Registry& registry, const base::Clock& clock,
                                           UnreadWrites* unread);

}  // namespace rpc
