// SPDX-License-Identifier: Apache-2.0
//
// connections.h: the endpoints of a Client: which one is asked, and when the next one is.
//
// Threads: Connections: any, all at once. StreamRoad: one, and Stop() from any.
// Errors:  as client.h says.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/time.h"
#include "client/client.h"
#include "grpcpp/grpcpp.h"
#include "proto/etcd/rpc.grpc.pb.h"
#include "proto/etcd/v3election.grpc.pb.h"
#include "proto/etcd/v3lock.grpc.pb.h"

namespace client {

enum class Repeat {
  kFreely,      // reads
  kOnlyUnsent,  // writes
  // What waits for others and does no harm when it is sent again: an attempt has all the time
  // there is, and rounds are not counted.
  kPatiently,
};

struct Endpoint {
  std::string name;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Cluster::Stub> cluster;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  std::unique_ptr<v3lockpb::Lock::Stub> lock;
  std::unique_ptr<v3electionpb::Election::Stub> election;
};

// One attempt on one endpoint.
using Attempt = std::function<grpc::Status(const Endpoint&, grpc::ClientContext*)>;

// A service of an endpoint, as &Endpoint::kv, and a unary method of its stub.
template <typename Stub>
using ServiceOf = std::unique_ptr<Stub> Endpoint::*;
template <typename Stub, typename Request, typename Response>
using MethodOf = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

absl::Status StatusOf(const grpc::Status& status);

class Connections {
 public:
  explicit Connections(Options options);

  absl::Status Open();

  // Runs `attempt` on endpoints until one answers, as far as `repeat` allows.
  absl::Status Run(Repeat repeat, const Attempt& attempt) {
    return Run(repeat, options_.call_timeout, attempt);
  }
  absl::Status Run(Repeat repeat, absl::Duration timeout, const Attempt& attempt);

  // The same on this endpoint alone, once.
  absl::Status RunOn(std::string_view name, const Attempt& attempt) {
    return RunOn(name, options_.call_timeout, attempt);
  }
  absl::Status RunOn(std::string_view name, absl::Duration timeout, const Attempt& attempt);

  // Runs the one call that asks `request` of `method`, and returns what it answers.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Ask(Repeat repeat, ServiceOf<Stub> service,
                               MethodOf<Stub, Request, Response> method, const Request& request) {
    return Ask(repeat, options_.call_timeout, service, method, request);
  }
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Ask(Repeat repeat, absl::Duration timeout, ServiceOf<Stub> service,
                               MethodOf<Stub, Request, Response> method, const Request& request) {
    Response response;
    const absl::Status status = Run(repeat, timeout, CallOf(service, method, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // The same on this endpoint alone, once.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> AskOn(std::string_view name, ServiceOf<Stub> service,
                                 MethodOf<Stub, Request, Response> method, const Request& request) {
    Response response;
    const absl::Status status = RunOn(name, CallOf(service, method, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // Returns once the endpoint's connection stands, so that a failure before it is proof that
  // nothing was sent.
  absl::Status Connect(const Endpoint& endpoint, base::TimePoint deadline) const;

  // A random half to the whole of the pause before this round of attempts, the first being 1.
  absl::Duration PauseOfRound(int round);

  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  const Options& options() const { return options_; }
  // Where the next call begins.
  size_t preferred() const { return preferred_.load(std::memory_order_relaxed); }

 private:
  // `request` and *response must outlive it.
  template <typename Stub, typename Request, typename Response>
  static Attempt CallOf(ServiceOf<Stub> service, MethodOf<Stub, Request, Response> method,
                        const Request& request, Response* response) {
    return [=, &request](const Endpoint& endpoint, grpc::ClientContext* context) {
      return ((*(endpoint.*service)).*method)(context, request, response);
    };
  }

  // *elsewhere: nobody can have run it, or running it again does no harm, so that the next
  // endpoint may be tried.
  absl::Status TryOne(const Endpoint& endpoint, Repeat repeat, base::TimePoint deadline,
                      const Attempt& attempt, bool* elsewhere);
  // False if the deadline would pass in the pause.
  bool PauseBefore(int round, base::TimePoint deadline);
  base::TimePoint DeadlineAfter(absl::Duration timeout) const;

  const Options options_;
  const base::SystemClock clock_;
  // Fixed after Open(); stubs and channels may be used by any thread.
  std::vector<Endpoint> endpoints_;
  // The endpoint that answered last.
  std::atomic<size_t> preferred_{0};
  absl::Mutex random_mutex_;
  base::Random random_ ABSL_GUARDED_BY(random_mutex_);
};

// One stream after another, each on the next endpoint that can be reached, with a pause whenever
// all have failed.
class StreamRoad {
 public:
  // *connections outlives the road.
  explicit StreamRoad(Connections* connections)
      : connections_(*connections), place_(connections->preferred()) {}

  // The endpoint of the next stream. Waits until there is one. Stop() cancels the call of *context.
  // Errors: Cancelled once Stop() was called.
  absl::StatusOr<const Endpoint*> Next(std::shared_ptr<grpc::ClientContext> context);

  // The stream has brought something: should it break, the next is tried at once.
  void Arrived() { failures_ = 0; }

  void Stop();
  bool stopped() const;

 private:
  Connections& connections_;
  const base::SystemClock clock_;
  size_t place_;
  // Streams and connections since something arrived.
  size_t failures_ = 0;

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace client
