// SPDX-License-Identifier: Apache-2.0
//
// sender.h: envelopes on their way to the transport.
//
// Threads: any (raft thread for what may leave at once, log thread for promises).

#pragma once

#include <vector>

#include "raft/core/message.h"
#include "raft/node/ports.h"

namespace raft {

class Sender {
 public:
  explicit Sender(Transport* transport) : transport_(transport) {}

  void Send(const std::vector<Envelope>& envelopes);

 private:
  Transport* const transport_;
};

}  // namespace raft
