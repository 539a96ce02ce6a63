// SPDX-License-Identifier: Apache-2.0

#include "server/transfers.h"

#include "gtest/gtest.h"
#include "server/errors.h"

namespace server {
namespace {

TEST(TransfersTest, AWishEndsWhenItIsFulfilledOrLate) {
  Transfers transfers;
  const base::TimePoint start{std::chrono::seconds(1)};
  std::vector<absl::Status> ended;
  const auto note = [&](absl::Status status) { ended.push_back(std::move(status)); };
  raft::NodeStatus status;
  status.self = status.leader = raft::NodeId(1);
  status.term = raft::Term(4);
  transfers.Add(raft::NodeId(2), status, start + std::chrono::seconds(5), note);
  transfers.Add(raft::kNobody, status, start + std::chrono::seconds(9), note);
  transfers.Look(status, start);
  EXPECT_TRUE(ended.empty());
  transfers.Look(status, start + std::chrono::seconds(5));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0], ErrorStatus(WireError::kTransferTimeout));
  status.leader = raft::kNobody;
  transfers.Look(status, start + std::chrono::seconds(6));
  EXPECT_EQ(ended.size(), 1u) << "nobody leads yet";
  status.leader = raft::NodeId(3);
  transfers.Look(status, start + std::chrono::seconds(6));
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_TRUE(ended[1].ok());
  status.leader = raft::NodeId(1);
  transfers.Add(raft::NodeId(2), status, start + std::chrono::seconds(99), note);
  status.leader = raft::kNobody;
  status.term = raft::Term(5);
  transfers.Look(status, start + std::chrono::seconds(7));
  EXPECT_EQ(ended.size(), 2u) << "it stands, perhaps";
  status.term = raft::Term(6);
  status.leader = raft::NodeId(1);
  transfers.Look(status, start + std::chrono::seconds(7));
  ASSERT_EQ(ended.size(), 3u) << "it was not elected, and nobody has to wait for the deadline";
  EXPECT_EQ(ended[2], ErrorStatus(WireError::kTransferTimeout));
}

}  // namespace
}  // namespace server
