// SPDX-License-Identifier: Apache-2.0
//
// fake_server.h: a gRPC server in this process that answers as a test says and counts what came.

#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "glog/logging.h"
#include "proto/etcd/rpc.grpc.pb.h"

namespace client {

class FakeServer final : public etcdserverpb::KV::Service {
 public:
  FakeServer() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    CHECK(server_ != nullptr);
    endpoint_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeServer() override { Stop(); }

  // From now on nothing listens at the endpoint.
  void Stop() {
    released_once_.exchange(true) ? void() : release_.Notify();
    server_->Shutdown();
    server_->Wait();
  }

  const std::string& endpoint() const { return endpoint_; }
  int puts() const { return puts_; }
  int ranges() const { return ranges_; }
  int txns() const { return txns_; }

  // What every call is answered with. Set before the first call.
  grpc::Status answer = grpc::Status::OK;
  // Calls are taken and never answered, until the server stops.
  bool silent = false;

  grpc::Status Put(grpc::ServerContext* /*context*/, const etcdserverpb::PutRequest* /*request*/,
                   etcdserverpb::PutResponse* response) override {
    ++puts_;
    return Answer(response->mutable_header());
  }

  grpc::Status Range(grpc::ServerContext* /*context*/,
                     const etcdserverpb::RangeRequest* /*request*/,
                     etcdserverpb::RangeResponse* response) override {
    ++ranges_;
    return Answer(response->mutable_header());
  }

  grpc::Status Txn(grpc::ServerContext* /*context*/, const etcdserverpb::TxnRequest* /*request*/,
                   etcdserverpb::TxnResponse* response) override {
    ++txns_;
    return Answer(response->mutable_header());
  }

 private:
  grpc::Status Answer(etcdserverpb::ResponseHeader* header) {
    if (silent) release_.WaitForNotification();
    header->set_revision(7);
    return answer;
  }

  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
  absl::Notification release_;
  std::atomic<bool> released_once_{false};
  std::atomic<int> puts_{0};
  std::atomic<int> ranges_{0};
  std::atomic<int> txns_{0};
};

}  // namespace client
