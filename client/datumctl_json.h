// SPDX-License-Identifier: Apache-2.0
//
// datumctl_json.h: messages of the API as etcdctl 3.7 prints them with -w json: the names of the
// .proto files, in their order, zeros left out, bytes in base64, 64-bit numbers as numbers.
//
// Threads: any.

#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace client {

// `hex_ids` writes the ids of clusters and members in hexadecimal, as strings; etcdctl does so in
// member lists alone.
std::string GoJson(const google::protobuf::Message& message, bool hex_ids = false);

}  // namespace client
