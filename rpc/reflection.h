// SPDX-License-Identifier: Apache-2.0
//
// reflection.h: gRPC's server reflection (v1alpha) from protobuf's pool of generated descriptors.

#pragma once

#include "rpc/handler.h"

namespace rpc {

// Lists the services that `registry` holds when asked. `registry` must outlive its transport.
void RegisterReflection(Registry* registry);

}  // namespace rpc
