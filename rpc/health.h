// SPDX-License-Identifier: Apache-2.0
//
// health.h: grpc.health.v1, on any transport.
//
// Threads: any. "" stands for the server as a whole; services are known by name once set.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rpc/handler.h"

namespace rpc {

class HealthService {
 public:
  // Knows "" as not serving.
  HealthService();

  // `this` must outlive the registry's transport.
  void Register(Registry* registry);

  // Tells all who watch.
  void SetServing(const std::string& service, bool serving);

  // Ends the streams of all who watch, so that the transport can stop.
  void Stop();

 private:
  struct Watcher {
    std::shared_ptr<Stream> stream;
    std::string service;
  };

  void Check(std::string request, const UnaryDone& done);
  void Watch(std::shared_ptr<Stream> stream, std::string request);

  std::mutex mutex_;
  std::map<std::string, bool> serving_;
  std::vector<Watcher> watchers_;
  bool stopped_ = false;
};

}  // namespace rpc
