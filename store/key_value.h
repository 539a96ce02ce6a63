// SPDX-License-Identifier: Apache-2.0
//
// key_value.h: a datum as clients see it.

#pragma once

#include <string_view>

#include "proto/etcd/kv.pb.h"
#include "store/datum.h"

namespace store {

void FillKeyValue(std::string_view key, const Datum& datum, mvccpb::KeyValue* kv);

}  // namespace store
