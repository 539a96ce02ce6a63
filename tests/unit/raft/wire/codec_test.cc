// SPDX-License-Identifier: Apache-2.0

#include "raft/wire/codec.h"

#include <cstring>
#include <set>

#include "base/crc32c.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "proto/raft_wire.pb.h"
#include "tests/unit/raft/wire/sample_messages.h"

namespace raft {
namespace {

// A frame as a member would send it that builds its protobuf in another way.
std::string Frame(const datum::raft::Envelope& envelope) {
  const std::string body = envelope.SerializeAsString();
  const uint32_t crc = base::Crc32c(body);
  std::string bytes(sizeof crc, '\0');
  std::memcpy(bytes.data(), &crc, sizeof crc);
  return bytes + body;
}

datum::raft::Envelope SomeEnvelope() {
  datum::raft::Envelope envelope;
  envelope.set_from(1);
  envelope.set_to(2);
  envelope.set_term(5);
  return envelope;
}

TEST(Codec, EveryMessageComesBackAsItWas) {
  std::set<size_t> kinds;
  for (const Envelope& envelope : SampleMessages()) {
    kinds.insert(envelope.message.index());
    const std::string bytes = EncodeEnvelope(envelope);
    const absl::StatusOr<Envelope> decoded = DecodeEnvelope(bytes);
    ASSERT_TRUE(decoded.ok()) << MessageName(envelope.message) << ": " << decoded.status();
    EXPECT_EQ(decoded->from, envelope.from);
    EXPECT_EQ(decoded->to, envelope.to);
    EXPECT_EQ(decoded->term, envelope.term);
    EXPECT_EQ(decoded->session, envelope.session);
    EXPECT_EQ(Describe(decoded->message), Describe(envelope.message));
    // What Describe leaves out is in the bytes.
    EXPECT_EQ(EncodeEnvelope(*decoded), bytes);
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<Message>) << "a message without a sample";
}

TEST(Codec, EntriesKeepEverything) {
  const Envelope envelope = SampleMessages()[4];
  const Envelope decoded = DecodeEnvelope(EncodeEnvelope(envelope)).value();
  const auto& sent = std::get<AppendEntries>(envelope.message).entries;
  const auto& got = std::get<AppendEntries>(decoded.message).entries;
  ASSERT_EQ(got.size(), sent.size());
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(got[i]->position(), sent[i]->position());
    EXPECT_EQ(got[i]->kind, sent[i]->kind);
    EXPECT_EQ(got[i]->origin, sent[i]->origin);
    EXPECT_EQ(got[i]->publish_id, sent[i]->publish_id);
    EXPECT_EQ(got[i]->command, sent[i]->command);
  }
}

TEST(Codec, EachFlippedBitIsSeen) {
  for (const Envelope& envelope : SampleMessages()) {
    const std::string bytes = EncodeEnvelope(envelope);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      EXPECT_TRUE(absl::IsDataLoss(DecodeEnvelope(flipped).status())) << "bit " << bit;
    }
  }
}

TEST(Codec, EachTruncationIsSeen) {
  for (const Envelope& envelope : SampleMessages()) {
    const std::string bytes = EncodeEnvelope(envelope);
    for (size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(DecodeEnvelope(bytes.substr(0, length)).ok()) << length;
    }
  }
}

// Behind a right checksum anything may stand: it is refused or it is a message that encodes.
TEST(Codec, GarbageIsSurvived) {
  base::Random random(1);
  const std::vector<Envelope> samples = SampleMessages();
  for (int round = 0; round < 20'000; ++round) {
    std::string body = EncodeEnvelope(samples[random.Below(samples.size())]).substr(4);
    if (random.Chance(0.2)) {
      body.assign(random.Below(64), '\0');
      for (char& byte : body) byte = static_cast<char>(random.Below(256));
    } else {
      for (uint64_t changes = random.Between(1, 4); changes > 0 && !body.empty(); --changes) {
        body[random.Below(body.size())] = static_cast<char>(random.Below(256));
      }
    }
    const uint32_t crc = base::Crc32c(body);
    std::string bytes(sizeof crc, '\0');
    std::memcpy(bytes.data(), &crc, sizeof crc);
    const absl::StatusOr<Envelope> decoded = DecodeEnvelope(bytes + body);
    if (decoded.ok()) {
      EXPECT_TRUE(DecodeEnvelope(EncodeEnvelope(*decoded)).ok());
    } else {
      EXPECT_TRUE(absl::IsInvalidArgument(decoded.status())) << decoded.status();
    }
  }
}

TEST(Codec, AnEnvelopeNamesItsEndsAndHoldsAMessage) {
  datum::raft::Envelope envelope = SomeEnvelope();
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeEnvelope(Frame(envelope)).status()));  // no message
  envelope.mutable_heartbeat();
  EXPECT_TRUE(DecodeEnvelope(Frame(envelope)).ok());
  envelope.set_to(0);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeEnvelope(Frame(envelope)).status()));
}

TEST(Codec, EntriesThatNoLeaderCanSendAreRefused) {
  const auto refused = [](uint64_t prev_term, std::vector<uint64_t> terms, uint32_t kind) {
    datum::raft::Envelope envelope = SomeEnvelope();
    auto* append = envelope.mutable_append_entries();
    append->mutable_prev_log()->set_term(prev_term);
    append->mutable_prev_log()->set_index(9);
    for (uint64_t term : terms) {
      append->add_entries()->set_term(term);
      append->mutable_entries()->rbegin()->set_kind(kind);
    }
    return !DecodeEnvelope(Frame(envelope)).ok();
  };
  EXPECT_FALSE(refused(2, {2, 3, 5}, 0));
  EXPECT_TRUE(refused(3, {2}, 0));     // a term that falls
  EXPECT_TRUE(refused(2, {3, 2}, 0));  // the same, among the entries
  EXPECT_TRUE(refused(2, {6}, 0));     // ahead of its sender
  EXPECT_TRUE(refused(0, {0}, 0));     // no term
  EXPECT_TRUE(refused(2, {2}, 9));     // a kind that does not exist
}

TEST(Codec, AnIndexNearTheEndOfNumbersIsRefused) {
  datum::raft::Envelope envelope = SomeEnvelope();
  envelope.mutable_append_entries()->mutable_prev_log()->set_index(~uint64_t{0});
  EXPECT_FALSE(DecodeEnvelope(Frame(envelope)).ok());
}

}  // namespace
}  // namespace raft
