// SPDX-License-Identifier: Apache-2.0
//
// introducer.h: the start with an empty data directory: asks the others who this member is, and
// answers those who ask the same, until it is decided (introduction.h).
//
// Threads: Run blocks its own; answers come from the transport's.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "proto/peer.pb.h"
#include "raft/core/types.h"
#include "rpc/grpc_unary.h"
#include "server/config.h"
#include "server/introduction.h"
#include "server/peer_book.h"

namespace server {

inline constexpr char kIntroduceMethod[] = "/datum.Peer/Introduce";

// Who this member turned out to be.
struct Introduced {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  // Of a cluster that begins; empty for one that lives.
  std::vector<Member> founders;
  // Where to find the others.
  std::map<uint64_t, PeerPlace> known;
  raft::HardState hard_state;
};

class Introducer {
 public:
  Introducer(const Config& config, const InitialCluster& initial, std::string data_dir_uuid,
             const base::Clock* clock);

  // `heard_living` is called once, when a cluster that lives is heard: none may be founded then.
  // Errors: Cancelled if `stop_asked` says so, what the listening address says, FailedPrecondition
  //         if nobody can be asked.
  absl::StatusOr<Introduced> Run(bool may_found, const std::function<void()>& heard_living,
                                 const std::function<bool()>& stop_asked);

 private:
  struct Answered {
    uint64_t member;  // as the flags have it
    std::string address;
    absl::StatusOr<datum::peer::IntroduceResponse> response;
  };

  struct Other {
    uint64_t member;
    std::string address;  // "host:port"
    std::unique_ptr<rpc::UnaryClient> client;
  };

  std::vector<Other> Others() const;
  datum::peer::IntroduceRequest Request() const;
  std::vector<Answered> Ask(const std::vector<Other>& others) const;
  datum::peer::IntroduceResponse Answer(const datum::peer::IntroduceRequest& request) const;
  Introduced Found(const std::vector<datum::peer::IntroduceResponse>& answers) const;
  Introduced Join(const datum::peer::IntroduceResponse& answer) const;
  void LogWaiting(bool may_found, const std::vector<Answered>& answers);

  const Config& config_;
  const InitialCluster& initial_;
  const std::string uuid_;
  const base::Clock* const clock_;
  // A cluster that lives was heard, which this member may not found another beside.
  std::atomic<bool> heard_living_{false};
  base::TimePoint log_due_ = base::TimePoint::min();
};

}  // namespace server
