// SPDX-License-Identifier: Apache-2.0

#include "rpc/health.h"

#include <optional>
#include <utility>

#include "proto/grpc/health.pb.h"
#include "rpc/typed.h"

namespace rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

std::string Encoded(std::optional<bool> serving) {
  HealthCheckResponse response;
  if (!serving.has_value()) {
    response.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
  } else {
    response.set_status(*serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  return response.SerializeAsString();
}

}  // namespace

HealthService::HealthService() { serving_[""] = false; }

void HealthService::Register(Registry* registry) {
  registry->AddUnary("/grpc.health.v1.Health/Check",
                     [this](const Call&, std::string request, const UnaryDone& done) {
                       Check(std::move(request), done);
                     });
  registry->AddServerStream("/grpc.health.v1.Health/Watch",
                            [this](std::shared_ptr<Stream> stream, std::string request) {
                              Watch(std::move(stream), std::move(request));
                            });
}

void HealthService::Check(std::string request, const UnaryDone& done) {
  const auto decoded = Decode<HealthCheckRequest>(request);
  if (!decoded.ok()) return done(decoded.status(), "");
  std::optional<bool> serving;
  {
    std::lock_guard lock(mutex_);
    const auto found = serving_.find(decoded->service());
    if (found != serving_.end()) serving = found->second;
  }
  if (!serving.has_value()) return done(absl::NotFoundError("unknown service"), "");
  done(absl::OkStatus(), Encoded(serving));
}

void HealthService::Watch(std::shared_ptr<Stream> stream, std::string request) {
  const auto decoded = Decode<HealthCheckRequest>(request);
  if (!decoded.ok()) return stream->Finish(decoded.status());
  std::lock_guard lock(mutex_);
  if (stopped_) return stream->Finish(absl::UnavailableError("the server stops"));
  std::optional<bool> serving;
  const auto found = serving_.find(decoded->service());
  if (found != serving_.end()) serving = found->second;
  // Those who left are forgotten here too: the state may never change again.
  std::erase_if(watchers_, [](const Watcher& watcher) { return watcher.stream->cancelled(); });
  stream->Write(Encoded(serving));
  watchers_.push_back({std::move(stream), decoded->service()});
}

void HealthService::SetServing(const std::string& service, bool serving) {
  std::lock_guard lock(mutex_);
  const auto [entry, added] = serving_.emplace(service, serving);
  if (!added && entry->second == serving) return;
  entry->second = serving;
  std::erase_if(watchers_, [](const Watcher& watcher) { return watcher.stream->cancelled(); });
  for (const Watcher& watcher : watchers_) {
    if (watcher.service == service) watcher.stream->Write(Encoded(serving));
  }
}

void HealthService::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const Watcher& watcher : watchers_) {
    watcher.stream->Finish(absl::UnavailableError("the server stops"));
  }
  watchers_.clear();
}

}  // namespace rpc
