// SPDX-License-Identifier: Apache-2.0

#include "raft/node/sender.h"

#include "raft/wire/codec.h"

namespace raft {

void Sender::Send(const std::vector<Envelope>& envelopes) {
  for (const Envelope& envelope : envelopes) {
    transport_->Send(envelope.to, EncodeEnvelope(envelope));
  }
}

}  // namespace raft
