// SPDX-License-Identifier: Apache-2.0
//
// Two transports on loopback, on ports that the kernel picks.

#include "server/peer_transport.h"

#include <future>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "rpc/grpc_server.h"

namespace server {
namespace {

class PeerTransportTest : public testing::Test {
 protected:
  // A receiver that is member 2 of cluster 9, of members 1 and 2.
  void SetUp() override {
    cluster_ = {.cluster_id = 9, .self = 2, .members = {{1, "a", {}}, {2, "b", {}}}};
    receiver_ = std::make_unique<PeerTransport>(cluster_);
    receiver_->Register(&registry_, [this](std::string bytes) {
      received_.push_back(std::move(bytes));
      if (received_.back() == "last") done_.set_value();
    });
    rpc::GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    auto server = rpc::GrpcServer::Start(options, &registry_, &clock_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    url_ = absl::StrCat("http://127.0.0.1:", server_->ports()[0]);
  }

  InitialCluster Sender(uint64_t cluster_id) {
    return {.cluster_id = cluster_id, .self = 1, .members = {{1, "a", {}}, {2, "b", {url_}}}};
  }

  base::SystemClock clock_;
  InitialCluster cluster_;
  rpc::Registry registry_;
  std::unique_ptr<PeerTransport> receiver_;
  std::vector<std::string> received_;
  std::promise<void> done_;
  std::unique_ptr<rpc::GrpcServer> server_;
  std::string url_;
};

TEST_F(PeerTransportTest, CarriesMessagesInOrder) {
  PeerTransport sender(Sender(9));
  sender.Connect();
  // What is sent before the connection stands is dropped, so the first one is sent until it is
  // there; a Raft node does no less.
  auto done = done_.get_future();
  int sent = 0;
  while (done.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    sender.Send(raft::NodeId(2), std::to_string(sent++));
    sender.Send(raft::NodeId(2), sent == 20 ? "last" : "x");
    if (sent >= 20) sent = 0;
  }
  sender.Disconnect();
  ASSERT_FALSE(received_.empty());
  EXPECT_EQ(received_.back(), "last");
}

TEST_F(PeerTransportTest, AnotherClustersMemberIsRefused) {
  rpc::SendStreamOptions options;
  options.address = url_.substr(std::string("http://").size());
  options.method = "/datum.Peer/Messages";
  const auto reason = [&](const std::string& cluster, const std::string& from,
                          const std::string& to) {
    options.metadata = {{"datum-cluster", cluster}, {"datum-from", from}, {"datum-to", to}};
    auto refused = std::make_shared<std::promise<std::string>>();
    auto told = std::make_shared<bool>(false);
    rpc::SendStream stream(options, [refused, told](bool connected, const std::string& why) {
      if (connected || *told) return;
      *told = true;
      refused->set_value(why);
    });
    return refused->get_future().get();
  };
  EXPECT_EQ(reason("8", "1", "2"), "etcdserver: cluster ID mismatch");
  EXPECT_EQ(reason("9", "1", "3"), "this is member 2, not 3");
  EXPECT_EQ(reason("9", "7", "2"), "member 7 is not of this cluster");
  EXPECT_TRUE(received_.empty());
}

}  // namespace
}  // namespace server
