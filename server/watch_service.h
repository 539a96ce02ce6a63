// SPDX-License-Identifier: Apache-2.0
//
// watch_service.h: etcdserverpb.Watch, streams of requests and responses over the watch hub.
//
// Threads: Register before the transport starts; Look on the watch thread.

#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "rpc/handler.h"
#include "server/gate.h"
#include "store/watch_hub.h"

namespace server {

class WatchService {
 public:
  // Both must outlive it and all of its streams.
  WatchService(const Gate* gate, store::WatchHub* hub) : gate_(gate), hub_(hub) {}

  void Register(rpc::Registry* registry);

  // Ends the streams of clients that asked for it ("hasleader") when there has been no leader for
  // three election timeouts.
  void Look(base::TimePoint now);

 private:
  std::unique_ptr<rpc::StreamHandler> Open(std::shared_ptr<rpc::Stream> stream);

  const Gate* const gate_;
  store::WatchHub* const hub_;
  std::mutex mutex_;
  // Those that want a leader; some may have ended. Guarded by mutex_.
  std::vector<std::weak_ptr<rpc::Stream>> want_leader_;
};

}  // namespace server
