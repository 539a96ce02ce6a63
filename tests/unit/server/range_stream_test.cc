// SPDX-License-Identifier: Apache-2.0

#include "server/range_stream.h"

#include "gtest/gtest.h"
#include "server/errors.h"
#include "server/real_parts.h"
#include "tests/unit/server/lone_member.h"

namespace server {
namespace {

// In the place of a handler whose call is over.
class Gone final : public rpc::StreamHandler {
  void OnMessage(std::string) override {}
  void OnHalfClose() override {}
};

class RangeStreamTest : public testing::Test {
 protected:
  RangeStreamTest()
      : state_(replica_.machine()),
        gate_({.cluster_id = 11, .member_id = 22}, &replica_, &clock_),
        streams_(&gate_, &state_, &memory_, 1'000) {
    streams_.Register(&registry_);
    for (int i = 0; i < 30; ++i) {
      etcdserverpb::InternalRaftRequest put;
      put.mutable_put()->set_key("k" + std::to_string(i));
      put.mutable_put()->set_value(std::string(100, 'v'));
      replica_.Publish(put.SerializeAsString(), base::kForever, [](const raft::PublishOutcome&) {});
    }
  }

  std::unique_ptr<rpc::StreamHandler> Begin(const std::shared_ptr<LoneStream>& stream) {
    const auto& open = std::get<rpc::StreamOpener>(*registry_.Find("/etcdserverpb.KV/RangeStream"));
    auto handler = open(stream);
    etcdserverpb::RangeRequest request;
    request.set_key("k");
    request.set_range_end("l");
    handler->OnMessage(request.SerializeAsString());
    return handler;
  }
  static int KeysOf(const LoneStream& stream) {
    int keys = 0;
    for (const std::string& bytes : stream.written) {
      etcdserverpb::RangeStreamResponse response;
      EXPECT_TRUE(response.ParseFromString(bytes));
      keys += response.range_response().kvs_size();
    }
    return keys;
  }

  LoneClock clock_;
  LoneReplica replica_;
  MachineState state_;
  Gate gate_;
  AnswerMemory memory_{1'500, 10};
  RangeStreamService streams_;
  rpc::Registry registry_;
};

TEST_F(RangeStreamTest, AChunkTakesMemoryUntilItHasLeft) {
  const auto slow = std::make_shared<LoneStream>();
  auto slow_handler = Begin(slow);
  const int first = KeysOf(*slow);
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 30);
  EXPECT_GT(memory_.bytes(), 1'000u);
  const auto other = std::make_shared<LoneStream>();
  auto other_handler = Begin(other);
  // Full now: a third has to wait.
  const auto third = std::make_shared<LoneStream>();
  auto third_handler = Begin(third);
  EXPECT_TRUE(third->written.empty());
  // As they are read, they take turns.
  for (int i = 0; i < 30; ++i) {
    slow_handler->OnDrained();
    other_handler->OnDrained();
    third_handler->OnDrained();
    if (slow->finished) slow_handler = std::make_unique<Gone>();
  }
  for (const auto& stream : {slow, other, third}) {
    EXPECT_EQ(KeysOf(*stream), 30);
    ASSERT_TRUE(stream->finished.has_value());
    EXPECT_TRUE(stream->finished->ok()) << *stream->finished;
  }
  other_handler.reset();
  third_handler.reset();
  EXPECT_EQ(memory_.bytes(), 0u);
}

TEST_F(RangeStreamTest, WhoWaitsTooLongForMemoryIsRefused) {
  auto full = memory_.NewClaim();
  ASSERT_TRUE(full->Grow(1'500));
  const auto stream = std::make_shared<LoneStream>();
  const auto handler = Begin(stream);
  memory_.Look(clock_.now);
  EXPECT_FALSE(stream->finished.has_value());
  memory_.Look(clock_.now + gate_.options().request_timeout);
  ASSERT_TRUE(stream->finished.has_value());
  EXPECT_EQ(*stream->finished, ErrorStatus(WireError::kAnswerMemoryFull));
  EXPECT_TRUE(stream->written.empty());
}

}  // namespace
}  // namespace server
