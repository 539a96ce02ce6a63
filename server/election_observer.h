// SPDX-License-Identifier: Apache-2.0
//
// election_observer.h: one Observe call: tells who leads, and each value that is proclaimed.
//
// It reads when something changed, and reads back what it missed since; a client that does not
// read holds nothing up and is told the rest when it does.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "proto/etcd/v3election.pb.h"
#include "rpc/handler.h"
#include "server/turns.h"

namespace server {

class ElectionObserver final : public rpc::StreamHandler {
 public:
  // `turns` must outlive the stream.
  ElectionObserver(const Turns* turns, std::shared_ptr<rpc::Stream> stream);

  void OnMessage(std::string message) override;
  void OnHalfClose() override;
  void OnDrained() override;
  void OnDone() override;

 private:
  class Observation;

  const std::shared_ptr<Observation> observation_;
};

}  // namespace server
