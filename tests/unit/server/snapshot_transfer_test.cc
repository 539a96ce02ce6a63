// SPDX-License-Identifier: Apache-2.0
//
// A sender and a receiver over real connections on loopback, with directories for states.

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proto/snapshot_transfer.pb.h"
#include "rpc/grpc_server.h"
#include "rpc/grpc_unary_caller.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"

namespace server {
namespace {

using raft::Index;
using raft::LogPosition;
using raft::NodeId;
using raft::Term;

class SnapshotTransferTest : public testing::Test {
 protected:
  SnapshotTransferTest() : root_(testing::TempDir() + "/snapshot_transfer") {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    receiver_ = std::make_unique<SnapshotReceiver>(
        root_ + "/incoming", &receivers_time_,
        [](const rpc::Call& call) {
          return call.Metadata("who") == "me" ? absl::OkStatus()
                                              : absl::FailedPreconditionError("who are you");
        },
        [this](const std::string&) -> absl::StatusOr<LogPosition> {
          if (!is_state_) return absl::DataLossError("this is no state");
          return LogPosition{Term(3), Index(77)};
        },
        [this](raft::SnapshotArrived arrived) { arrived_.push_back(arrived); });
    receiver_->Register(&registry_);
    rpc::GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    options.receive_bytes_max = 4 << 20;
    auto started = rpc::GrpcServer::Start(options, &registry_, &clock_);
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    sender_ = std::make_unique<SnapshotSender>(
        SnapshotSenderOptions{root_, 0},
        [this](const std::string& directory) { return Checkpoint(directory); },
        [this](NodeId peer) -> absl::StatusOr<PeerAddress> {
          if (peer != NodeId(2)) return absl::NotFoundError("no such member");
          return PeerAddress{absl::StrCat("127.0.0.1:", server_->ports()[0]), {{"who", who_}}};
        },
        [](uint64_t) {});
    receiver_thread_ = std::thread([this] { receiver_->Run(); });
    sender_thread_ = std::thread([this] { sender_->Run(); });
  }
  ~SnapshotTransferTest() override {
    sender_->Stop();
    sender_thread_.join();
    receiver_->Stop();
    receiver_thread_.join();
    server_->Stop(base::Duration::zero());
  }

  absl::Status Checkpoint(const std::string& directory) {
    std::filesystem::create_directory(directory);
    std::ofstream(directory + "/1.sst") << std::string(2'500'000, 'x');
    std::ofstream(directory + "/CURRENT") << "MANIFEST-1\n";
    std::ofstream(directory + "/empty");
    return absl::OkStatus();
  }

  absl::StatusOr<LogPosition> Send(NodeId peer = NodeId(2)) {
    std::promise<absl::StatusOr<LogPosition>> ended;
    sender_->SendSnapshot(
        peer, Term(5), [&ended](absl::StatusOr<LogPosition> outcome) { ended.set_value(outcome); });
    return ended.get_future().get();
  }

  // What a sender asks that then says no more.
  absl::StatusOr<std::string> Begin(uint64_t leader_term) {
    rpc::UnaryCaller caller(absl::StrCat("127.0.0.1:", server_->ports()[0]));
    datum::snapshot::BeginRequest begin;
    begin.add_files()->set_name("CURRENT");
    begin.set_leader_term(leader_term);
    return caller.Call("/datum.Peer/SnapshotBegin", {{"who", who_}}, begin.SerializeAsString(),
                       std::chrono::seconds(30));
  }

  // Moved by hand.
  class Time final : public base::Clock {
   public:
    base::TimePoint Now() const override { return now; }
    base::TimePoint now = base::TimePoint(std::chrono::hours(1));
  };

  const std::string root_;
  const base::SystemClock clock_;
  Time receivers_time_;
  std::string who_ = "me";
  bool is_state_ = true;
  std::vector<raft::SnapshotArrived> arrived_;
  rpc::Registry registry_;
  std::unique_ptr<rpc::GrpcServer> server_;
  std::unique_ptr<SnapshotReceiver> receiver_;
  std::unique_ptr<SnapshotSender> sender_;
  std::thread receiver_thread_;
  std::thread sender_thread_;
};

TEST_F(SnapshotTransferTest, AStateArrivesWholeAndIsTakenOnce) {
  const auto sent = Send();
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(sent->index, Index(77));
  ASSERT_EQ(arrived_.size(), 1u);
  EXPECT_EQ(arrived_[0].position, (LogPosition{Term(3), Index(77)}));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/outgoing"));

  const auto taken = receiver_->Take(arrived_[0].staged);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_TRUE(Begin(5).ok()) << "the next one, elsewhere";
  EXPECT_EQ(std::filesystem::file_size(*taken + "/1.sst"), 2'500'000u);
  EXPECT_EQ(std::filesystem::file_size(*taken + "/empty"), 0u);
  EXPECT_TRUE(std::filesystem::exists(*taken + "/CURRENT"));
  EXPECT_FALSE(receiver_->Take(arrived_[0].staged).ok());
}

TEST_F(SnapshotTransferTest, OneThatIsCompleteIsNotOverwrittenBeforeItIsDecidedOn) {
  ASSERT_TRUE(Send().ok());
  EXPECT_TRUE(absl::IsUnavailable(Send().status()));
  receiver_->Discard(arrived_[0].staged + 1);  // another one's name
  EXPECT_FALSE(Send().ok());
  receiver_->Discard(arrived_[0].staged);
  EXPECT_TRUE(Send().ok());
}

// The sender of a state was killed: who leads next need not wait for long, and itself not at all.
TEST_F(SnapshotTransferTest, ASilentOneGivesWay) {
  using std::chrono::seconds;
  ASSERT_TRUE(Begin(5).ok());
  ASSERT_TRUE(Begin(5).ok()) << "of the same leader: its last one is over";
  EXPECT_TRUE(absl::IsUnavailable(Begin(6).status())) << "it may go on";
  receivers_time_.now += seconds(2);
  ASSERT_TRUE(Begin(6).ok());
  receivers_time_.now += seconds(9);
  EXPECT_TRUE(absl::IsUnavailable(Begin(5).status())) << "of a leader that is none any more";
  receivers_time_.now += seconds(1);
  EXPECT_TRUE(Send().ok());
}

TEST_F(SnapshotTransferTest, WhatIsNoStateIsThrownAway) {
  is_state_ = false;
  const auto sent = Send();
  EXPECT_TRUE(absl::IsDataLoss(sent.status())) << sent.status();
  EXPECT_TRUE(arrived_.empty());
  is_state_ = true;
  EXPECT_TRUE(Send().ok());
}

TEST_F(SnapshotTransferTest, AStrangerIsRefusedAndAMemberThatIsNoneNotFound) {
  who_ = "somebody else";
  EXPECT_TRUE(absl::IsFailedPrecondition(Send().status()));
  EXPECT_TRUE(absl::IsNotFound(Send(NodeId(9)).status()));
}

TEST_F(SnapshotTransferTest, ASecondOneToTheSamePeerIsRefusedAtOnce) {
  std::promise<void> go_on;
  std::promise<absl::StatusOr<LogPosition>> first;
  auto slow = std::make_unique<SnapshotSender>(
      SnapshotSenderOptions{root_ + "/slow", 0},
      [&](const std::string&) {
        go_on.get_future().wait();
        return absl::InternalError("no checkpoint");
      },
      [](NodeId) {
        return PeerAddress{"127.0.0.1:1", {}};
      },
      [](uint64_t) {});
  std::thread thread([&] { slow->Run(); });
  slow->SendSnapshot(NodeId(2), Term(5), [&](auto outcome) { first.set_value(outcome); });
  bool refused = false;
  slow->SendSnapshot(NodeId(2), Term(5), [&](auto outcome) { refused = !outcome.ok(); });
  EXPECT_TRUE(refused);
  go_on.set_value();
  EXPECT_FALSE(first.get_future().get().ok());
  slow->Stop();
  thread.join();
}

}  // namespace
}  // namespace server
