// SPDX-License-Identifier: Apache-2.0
//
// lock_service.h: v3lockpb.Lock: a lock is the first place in a queue (turns.h).

#pragma once

#include "proto/etcd/v3lock.pb.h"
#include "rpc/handler.h"
#include "server/turns.h"

namespace server {

class LockService {
 public:
  // `turns` must outlive the registry's transport.
  explicit LockService(const Turns* turns) : turns_(turns) {}

  void Register(rpc::Registry* registry) const;

 private:
  void Lock(const rpc::Call& call, const v3lockpb::LockRequest& request, rpc::UnaryDone done) const;
  // It was this place's turn; is it still?
  void Confirm(const rpc::Call& call, Turns::Place place, rpc::UnaryDone done) const;
  void Unlock(const rpc::Call& call, const v3lockpb::UnlockRequest& request,
              rpc::UnaryDone done) const;

  const Turns* const turns_;
};

}  // namespace server
