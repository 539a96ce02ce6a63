// SPDX-License-Identifier: Apache-2.0
//
// fake_streams.h: a gRPC server in this process whose streams follow a script, for the clients that
// keep one open.

#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "proto/etcd/rpc.grpc.pb.h"
#include "proto/etcd/v3election.grpc.pb.h"
#include "proto/etcd/v3lock.grpc.pb.h"

namespace client {

using WatchStream =
    grpc::ServerReaderWriter<etcdserverpb::WatchResponse, etcdserverpb::WatchRequest>;
// One stream: what it was created with, and what it says until it ends.
using WatchScript =
    std::function<grpc::Status(const etcdserverpb::WatchCreateRequest& request, WatchStream*)>;

class FakeWatches final : public etcdserverpb::Watch::Service {
 public:
  // The n-th stream follows the n-th script; one beyond them is refused as NotFound, which no
  // client repeats.
  explicit FakeWatches(std::vector<WatchScript> scripts) : scripts_(std::move(scripts)) {}

  // What the streams were created with so far.
  std::vector<etcdserverpb::WatchCreateRequest> requests() const {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

  grpc::Status Watch(grpc::ServerContext* context, WatchStream* stream) override {
    const auto& metadata = context->client_metadata();
    if (metadata.find("hasleader") == metadata.end()) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no hasleader");
    }
    etcdserverpb::WatchRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    WatchScript script;
    {
      absl::MutexLock lock(&mutex_);
      if (requests_.size() < scripts_.size()) script = scripts_[requests_.size()];
      requests_.push_back(request.create_request());
    }
    if (!script) return grpc::Status(grpc::StatusCode::NOT_FOUND, "the play is over");
    return script(request.create_request(), stream);
  }

 private:
  const std::vector<WatchScript> scripts_;
  mutable absl::Mutex mutex_;
  std::vector<etcdserverpb::WatchCreateRequest> requests_;
};

class FakeLeases final : public etcdserverpb::Lease::Service {
 public:
  // The answers to keep-alives, one after another; the last one is repeated.
  explicit FakeLeases(std::vector<int64_t> ttls) : ttls_(std::move(ttls)) {}

  int revoked() const {
    absl::MutexLock lock(&mutex_);
    return revoked_;
  }

  grpc::Status LeaseGrant(grpc::ServerContext* /*context*/,
                          const etcdserverpb::LeaseGrantRequest* request,
                          etcdserverpb::LeaseGrantResponse* response) override {
    response->set_id(77);
    response->set_ttl(request->ttl());
    return grpc::Status::OK;
  }

  grpc::Status LeaseRevoke(grpc::ServerContext* /*context*/,
                           const etcdserverpb::LeaseRevokeRequest* request,
                           etcdserverpb::LeaseRevokeResponse* /*response*/) override {
    CHECK_EQ(request->id(), 77);
    absl::MutexLock lock(&mutex_);
    ++revoked_;
    return grpc::Status::OK;
  }

  grpc::Status LeaseKeepAlive(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<etcdserverpb::LeaseKeepAliveResponse,
                               etcdserverpb::LeaseKeepAliveRequest>* stream) override {
    etcdserverpb::LeaseKeepAliveRequest request;
    while (stream->Read(&request)) {
      etcdserverpb::LeaseKeepAliveResponse response;
      response.set_id(request.id());
      {
        absl::MutexLock lock(&mutex_);
        response.set_ttl(ttls_[std::min(asked_, ttls_.size() - 1)]);
        ++asked_;
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  const std::vector<int64_t> ttls_;
  mutable absl::Mutex mutex_;
  size_t asked_ = 0;
  int revoked_ = 0;
};

// Grants every lock and every leadership at once.
class FakeLocks final : public v3lockpb::Lock::Service {
 public:
  grpc::Status Lock(grpc::ServerContext* /*context*/, const v3lockpb::LockRequest* request,
                    v3lockpb::LockResponse* response) override {
    response->set_key(request->name() + "/" + std::to_string(request->lease()));
    response->mutable_header()->set_revision(12);
    return grpc::Status::OK;
  }
};

// Every key is there, and was created at revision 9; or none is.
class FakeKeys final : public etcdserverpb::KV::Service {
 public:
  explicit FakeKeys(bool there) : there_(there) {}

  grpc::Status Range(grpc::ServerContext* /*context*/, const etcdserverpb::RangeRequest* request,
                     etcdserverpb::RangeResponse* response) override {
    if (!there_) return grpc::Status::OK;
    response->add_kvs()->set_key(request->key());
    response->mutable_kvs(0)->set_create_revision(9);
    return grpc::Status::OK;
  }

 private:
  const bool there_;
};

class FakeElections final : public v3electionpb::Election::Service {
 public:
  grpc::Status Campaign(grpc::ServerContext* /*context*/,
                        const v3electionpb::CampaignRequest* request,
                        v3electionpb::CampaignResponse* response) override {
    response->mutable_leader()->set_name(request->name());
    response->mutable_leader()->set_lease(request->lease());
    return grpc::Status::OK;
  }

  // Each stream says all that was said before, the newest last, and breaks.
  grpc::Status Observe(grpc::ServerContext* /*context*/,
                       const v3electionpb::LeaderRequest* /*request*/,
                       grpc::ServerWriter<v3electionpb::LeaderResponse>* stream) override {
    ++streams_;
    for (int64_t revision = 1; revision <= streams_; ++revision) {
      v3electionpb::LeaderResponse response;
      response.mutable_kv()->set_mod_revision(revision);
      stream->Write(response);
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "goes away");
  }

 private:
  int64_t streams_ = 0;  // one stream at a time
};

// Serves one of the above at an endpoint of its own.
class FakeHost {
 public:
  explicit FakeHost(std::vector<grpc::Service*> services) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    CHECK(server_ != nullptr);
    endpoint_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeHost() { server_->Shutdown(); }

  const std::string& endpoint() const { return endpoint_; }

 private:
  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace client
