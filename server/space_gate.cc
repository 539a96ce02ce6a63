// SPDX-License-Identifier: Apache-2.0

#include "server/space_gate.h"

#include <utility>

#include "server/errors.h"

namespace server {

void SpaceGate::Publish(const rpc::Call& call, const etcdserverpb::InternalRaftRequest& request,
                        rpc::UnaryDone done) const {
  // It would be refused when it is applied; until then it would take space in the log.
  if (state_->no_space()) return done(ErrorStatus(WireError::kNoSpace), "");
  if (quota_->Admits(request.ByteSizeLong())) return gate_->Publish(call, request, std::move(done));
  etcdserverpb::InternalRaftRequest alarm;
  alarm.mutable_alarm()->set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.mutable_alarm()->set_memberid(gate_->options().member_id);
  alarm.mutable_alarm()->set_alarm(etcdserverpb::NOSPACE);
  gate_->Publish(call, alarm, [done = std::move(done)](const absl::Status& status, std::string) {
    done(status.ok() ? ErrorStatus(WireError::kNoSpace) : status, "");
  });
}

}  // namespace server
