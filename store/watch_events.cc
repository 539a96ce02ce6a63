// SPDX-License-Identifier: Apache-2.0

#include "store/watch_events.h"

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "proto/etcd/rpc.pb.h"
#include "store/key_value.h"

namespace store {
namespace {

// A response whose only field is this event is the event as a field of any response: protobuf's
// fields may be strung together.
std::string EncodeAsField(etcdserverpb::WatchResponse* response) {
  std::string bytes;
  CHECK(response->SerializeToString(&bytes));
  return bytes;
}

mvccpb::Event* AddEvent(Revision revision, const Change& change,
                        etcdserverpb::WatchResponse* response) {
  mvccpb::Event* event = response->add_events();
  if (change.kind == ChangeKind::kPut) {
    event->set_type(mvccpb::Event::PUT);
    FillKeyValue(change.key, change.datum, event->mutable_kv());
  } else {
    event->set_type(mvccpb::Event::DELETE);
    event->mutable_kv()->set_key(change.key.data(), change.key.size());
    event->mutable_kv()->set_mod_revision(revision.main);
  }
  return event;
}

}  // namespace

uint32_t WatchEvents::Add(Revision revision, const Change& change) {
  events_.push_back({revision, change, {}, {}});
  return static_cast<uint32_t>(events_.size() - 1);
}

absl::StatusOr<std::string_view> WatchEvents::Encoded(uint32_t event, bool previous) {
  Item& item = events_[event];
  std::string& bytes = previous ? item.with_previous : item.plain;
  if (!bytes.empty()) return bytes;
  etcdserverpb::WatchResponse response;
  mvccpb::Event* encoded = AddEvent(item.revision, item.change, &response);
  if (previous && !base::Planted("watch-previous-left-out")) {
    RETURN_IF_ERROR(reader_
                        ->ReadPrevious(item.revision, item.change,
                                       [&](const Datum& datum) {
                                         FillKeyValue(item.change.key, datum,
                                                      encoded->mutable_prev_kv());
                                       })
                        .status());
  }
  bytes = EncodeAsField(&response);
  return bytes;
}

}  // namespace store
