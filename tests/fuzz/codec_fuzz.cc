// SPDX-License-Identifier: Apache-2.0
//
// Bytes of any kind into the decoder of peers' messages: with the checksum that they bring, and
// with a right one, since a fuzzer does not guess checksums.

#include <cstdint>
#include <cstring>
#include <string>

#include "base/crc32c.h"
#include "glog/logging.h"
#include "raft/wire/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string input(reinterpret_cast<const char*>(bytes), size);
  static_cast<void>(raft::DecodeEnvelope(input).ok());

  const uint32_t crc = base::Crc32c(input);
  std::string framed(sizeof crc, '\0');
  std::memcpy(framed.data(), &crc, sizeof crc);
  const auto envelope = raft::DecodeEnvelope(framed + input);
  if (!envelope.ok()) return 0;

  // What is understood can be said again, and means the same.
  const std::string again = raft::EncodeEnvelope(*envelope);
  const auto decoded = raft::DecodeEnvelope(again);
  CHECK(decoded.ok()) << decoded.status();
  CHECK_EQ(raft::EncodeEnvelope(*decoded), again);
  CHECK_EQ(raft::Describe(decoded->message), raft::Describe(envelope->message));
  return 0;
}
