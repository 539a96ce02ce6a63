// SPDX-License-Identifier: Apache-2.0
//
// Two transports on loopback, on ports that the kernel picks.

#include "server/peer_transport.h"

#include <atomic>
#include <future>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "rpc/grpc_server.h"
#include "server/membership.h"

namespace server {
namespace {

class PeerTransportTest : public testing::Test {
 protected:
  // A receiver that is member 2 of cluster 9.
  void SetUp() override {
    receiver_ = std::make_unique<PeerTransport>(
        PeerIdentity{9, 2, "uuid2", {"http://h:2"}}, &clock_,
        PeerTransport::Hooks{
            .check = [this](uint64_t from, const std::string& uuid) -> absl::Status {
              if (!removed_) return CheckPeer(membership_, from, uuid);
              return absl::FailedPreconditionError(kRemovedText);
            },
            .learn = [this](uint64_t from, const PeerPlace& place) { learned_[from] = place; }});
    receiver_->Register(&registry_, [this](std::string bytes) {
      received_.push_back(std::move(bytes));
      if (received_.back() == "last" && !there_.exchange(true)) done_.set_value();
    });
    rpc::GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    auto server = rpc::GrpcServer::Start(options, &registry_, &clock_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    url_ = absl::StrCat("http://127.0.0.1:", server_->ports()[0]);
    Member& known = membership_.members[7];
    known.id = 7;
    known.data_dir_uuid = "uuid7";
    membership_.removed = {8};
  }

  void TearDown() override { server_->Stop(base::Duration::zero()); }

  // Until the receiver has the last one.
  void SendUntilThere(PeerTransport* sender) {
    auto done = done_.get_future();
    int sent = 0;
    // What is sent before the connection stands is dropped, so the first one is sent until it is
    // there; a Raft node does no less.
    while (done.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      sender->Send(raft::NodeId(2), std::to_string(sent++));
      sender->Send(raft::NodeId(2), sent == 20 ? "last" : "x");
      if (sent >= 20) sent = 0;
    }
  }

  base::SystemClock clock_;
  rpc::Registry registry_;
  Membership membership_;
  std::atomic<bool> removed_ = false;
  std::map<uint64_t, PeerPlace> learned_;
  std::unique_ptr<PeerTransport> receiver_;
  std::vector<std::string> received_;
  std::atomic<bool> there_ = false;
  std::promise<void> done_;
  std::unique_ptr<rpc::GrpcServer> server_;
  std::string url_;
};

TEST_F(PeerTransportTest, CarriesMessagesToAPeerThatCameLater) {
  PeerTransport sender(PeerIdentity{9, 1, "uuid1", {"http://h:1"}}, &clock_, {});
  sender.Send(raft::NodeId(2), "nobody is known yet");
  EXPECT_FALSE(sender.ConnectedSince(2).has_value());
  sender.SetPeers({{2, {"b", {url_}}}});
  SendUntilThere(&sender);
  EXPECT_TRUE(sender.ConnectedSince(2).has_value());
  EXPECT_EQ("http://" + sender.AddressOf(2), url_);
  EXPECT_EQ(learned_[1].peer_urls[0], "http://h:1");
  EXPECT_EQ(receiver_->IncomingUuid(1), "uuid1");
  sender.SetPeers({});
  sender.Send(raft::NodeId(2), "gone");
  EXPECT_FALSE(sender.ConnectedSince(2).has_value());
  EXPECT_EQ(received_.back(), "last");
}

TEST_F(PeerTransportTest, AMemberThatIsRemovedIsCutOffAndToldWhy) {
  std::promise<std::string> told;
  std::atomic<bool> was_told = false;
  PeerTransport sender(PeerIdentity{9, 1, "uuid1", {"http://h:1"}}, &clock_,
                       {.refused = [&](uint64_t peer, const std::string& why) {
                         if (peer == 2 && why == kRemovedText && !was_told.exchange(true))
                           told.set_value(why);
                       }});
  sender.SetPeers({{2, {"b", {url_}}}});
  SendUntilThere(&sender);
  removed_ = true;
  receiver_->SetPeers({});
  EXPECT_EQ(told.get_future().get(), kRemovedText);
}

TEST_F(PeerTransportTest, WhoLivesInAnotherDirectoryThanTheOneMeantDoesNotListen) {
  std::promise<std::string> told;
  std::atomic<bool> was_told = false;
  PeerTransport sender(PeerIdentity{9, 1, "uuid1", {"http://h:1"}}, &clock_,
                       {.uuid_of = [](uint64_t) { return std::string("the old one"); },
                        .refused =
                            [&](uint64_t, const std::string& why) {
                              if (!was_told.exchange(true)) told.set_value(why);
                            }});
  sender.SetPeers({{2, {"b", {url_}}}});
  EXPECT_EQ(told.get_future().get(),
            "member 2 was started with another data directory than the one that is meant");
}

TEST_F(PeerTransportTest, AnotherClustersMemberIsRefused) {
  rpc::SendStreamOptions options;
  options.address = url_.substr(std::string("http://").size());
  options.method = "/datum.Peer/Messages";
  const auto reason = [&](const std::string& cluster, const std::string& from,
                          const std::string& to) {
    options.metadata = {
        {"datum-cluster", cluster}, {"datum-from", from}, {"datum-to", to}, {"datum-uuid", "00"}};
    auto refused = std::make_shared<std::promise<std::string>>();
    auto told = std::make_shared<bool>(false);
    rpc::SendStream stream(options, [refused, told](bool connected, const std::string& why) {
      EXPECT_FALSE(connected) << "it was never taken";
      if (*told) return;
      *told = true;
      refused->set_value(why);
    });
    return refused->get_future().get();
  };
  EXPECT_EQ(reason("8", "1", "2"), "etcdserver: cluster ID mismatch");
  EXPECT_EQ(reason("9", "1", "3"), "this is member 2, not 3");
  EXPECT_EQ(reason("9", "2", "2"), "the sender is not another member");
  EXPECT_EQ(reason("9", "7", "2"),
            "member 7 was started with another data directory than the one it belongs to");
  EXPECT_EQ(reason("9", "8", "2"), kRemovedText);
  EXPECT_TRUE(received_.empty());
}

}  // namespace
}  // namespace server
