// SPDX-License-Identifier: Apache-2.0

#include "store/etcd_snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "glog/logging.h"
#include "proto/etcd/kv.pb.h"
#include "proto/etcd/rpc.pb.h"
#include "proto/etcd_snapshot.pb.h"
#include "store/auth_record.h"
#include "store/range.h"

namespace store {
namespace {

using bolt::TreeWriter;

// A bucket that is small, by its keys.
using SmallBucket = std::map<std::string, std::string>;

bolt::FileWriter::Fill FillWith(SmallBucket bucket) {
  return [bucket = std::move(bucket)](TreeWriter* tree, bool) {
    return std::all_of(bucket.begin(), bucket.end(), [&](const auto& record) {
      return tree->Add(record.first, record.second.size(), record.second);
    });
  };
}

// A revision as a key of the bucket `key`.
std::string BucketKey(Revision revision, bool tombstone) {
  std::string key;
  AppendFixed64(&key, static_cast<uint64_t>(revision.main));
  key.push_back('_');
  AppendFixed64(&key, static_cast<uint64_t>(revision.sub));
  if (tombstone) key.push_back('t');
  return key;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<uint8_t>(c) < 0x20) {
      absl::StrAppend(&quoted, "\\u00", absl::Hex(static_cast<int>(c), absl::kZeroPad2));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

template <typename Texts>
std::string QuotedList(const Texts& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(Quoted(text));
  return absl::StrCat("[", absl::StrJoin(quoted, ","), "]");
}

std::string MemberAsJson(const Member& member) {
  std::string json =
      absl::StrCat("{\"id\":", member.id(), ",\"peerURLs\":", QuotedList(member.peer_urls()));
  if (member.is_learner()) json += ",\"isLearner\":true";
  absl::StrAppend(&json, ",\"name\":", Quoted(member.name()),
                  ",\"clientURLs\":", QuotedList(member.client_urls()), "}");
  return json;
}

std::string HexOf(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

std::string Fixed64(uint64_t number) {
  std::string bytes;
  AppendFixed64(&bytes, number);
  return bytes;
}

}  // namespace

EtcdSnapshot::EtcdSnapshot(std::shared_ptr<const View> view, Cluster cluster,
                           base::FileSystem* files, const std::string& spool_path)
    : view_(std::move(view)),
      cluster_(std::move(cluster)),
      keys_(view_->reader.get(),
            {view_->backing->engine.get(), view_->backing->compaction.dropped_to()}),
      live_(files, spool_path) {}

EtcdSnapshot::~EtcdSnapshot() { view_->backing->compaction.Release(); }

absl::StatusOr<std::unique_ptr<EtcdSnapshot>> EtcdSnapshot::Plan(std::shared_ptr<const View> view,
                                                                 Cluster cluster,
                                                                 base::FileSystem* files,
                                                                 const std::string& spool_path) {
  std::unique_ptr<EtcdSnapshot> snapshot(
      new EtcdSnapshot(std::move(view), std::move(cluster), files, spool_path));
  RETURN_IF_ERROR(snapshot->SortLive());
  snapshot->AddBuckets();
  snapshot->bytes_ = snapshot->file_.Plan();
  RETURN_IF_ERROR(snapshot->failed_);
  return snapshot;
}

absl::Status EtcdSnapshot::Write(const bolt::Sink& sink) {
  const bool whole = file_.Write(sink);
  RETURN_IF_ERROR(failed_);
  return whole ? absl::OkStatus() : absl::CancelledError("the snapshot is wanted no more");
}

absl::Status EtcdSnapshot::SortLive() {
  const int64_t compact_revision = view_->numbers.compact_revision;
  if (compact_revision <= 0) return live_.Finish();
  const std::string from(1, '\0');
  absl::Status added;
  RETURN_IF_ERROR(keys_.Scan(
      KeyRangeOf(from, from), compact_revision, [&](std::string_view key, const Datum& datum) {
        mvccpb::KeyValue kv;
        FillKeyValue(key, datum, &kv);
        added = live_.Add(
            {datum.mod_revision, static_cast<uint32_t>(kv.ByteSizeLong()), std::string(key)});
        return added.ok();
      }));
  RETURN_IF_ERROR(added);
  return live_.Finish();
}

void EtcdSnapshot::AddBuckets() {
  file_.AddBucket("key",
                  [this](TreeWriter* tree, bool planning) { return FillKeys(tree, planning); });
  file_.AddBucket("lease", [this](TreeWriter* tree, bool) { return FillLeases(tree); });
  SmallBucket alarms;
  for (const Alarm& alarm : cluster_.alarms) {
    etcdserverpb::AlarmMember member;
    member.set_memberid(alarm.member_id);
    member.set_alarm(static_cast<etcdserverpb::AlarmType>(alarm.kind));
    alarms[member.SerializeAsString()] = "";
  }
  file_.AddBucket("alarm", FillWith(std::move(alarms)));
  SmallBucket members, removed;
  for (const Member& member : cluster_.membership.members) {
    members[HexOf(member.id())] = MemberAsJson(member);
  }
  for (const uint64_t id : cluster_.membership.removed) removed[HexOf(id)] = "removed";
  file_.AddBucket("members", FillWith(std::move(members)));
  file_.AddBucket("members_removed", FillWith(std::move(removed)));
  file_.AddBucket("cluster", FillWith({{"clusterVersion", cluster_.version}}));
  file_.AddBucket("authUsers", [this](TreeWriter* tree, bool) {
    return FillAuth(tree, std::string(kAuthUserPrefix));
  });
  file_.AddBucket("authRoles", [this](TreeWriter* tree, bool) {
    return FillAuth(tree, std::string(kAuthRolePrefix));
  });
  AddMeta();
}

void EtcdSnapshot::AddMeta() {
  SmallBucket auth = {{"authEnabled", std::string(1, '\0')}, {"authRevision", Fixed64(1)}};
  for (auto& [name, value] : auth) {
    const auto read =
        view_->reader->Get(Family::kAuth, name, [&](std::string_view bytes) { value = bytes; });
    if (!read.ok()) failed_ = read.status();
  }
  file_.AddBucket("auth", FillWith(std::move(auth)));
  const AppliedRecord& numbers = view_->numbers;
  std::vector<std::string> voters;
  for (const raft::NodeId id : cluster_.membership.configuration.voters()) {
    voters.push_back(absl::StrCat(id.value()));
  }
  SmallBucket meta = {
      {"consistent_index", Fixed64(numbers.applied.index.value())},
      {"term", Fixed64(numbers.applied.term.value())},
      {"confState",
       absl::StrCat("{\"voters\":[", absl::StrJoin(voters, ","), "],\"auto_leave\":false}")},
      {"storageVersion", cluster_.version},
  };
  if (numbers.compact_revision > 0) {
    const std::string compacted = BucketKey({numbers.compact_revision, 0}, false);
    meta["scheduledCompactRev"] = compacted;
    meta["finishedCompactRev"] = compacted;
  }
  file_.AddBucket("meta", FillWith(std::move(meta)));
}

bool EtcdSnapshot::FillKeys(TreeWriter* tree, bool planning) {
  absl::Status filled = FillLive(tree, planning);
  if (filled.ok()) filled = FillChanges(tree, planning);
  if (!filled.ok() && !absl::IsCancelled(filled)) failed_ = filled;
  return filled.ok();
}

absl::Status EtcdSnapshot::FillLive(TreeWriter* tree, bool planning) {
  bool wanted = true;
  RETURN_IF_ERROR(live_.ForEach([&](const SortedSpool::Item& item) -> absl::StatusOr<bool> {
    const std::string key = BucketKey(item.revision, false);
    if (planning) return tree->Add(key, item.value_bytes, {});
    std::string value;
    ASSIGN_OR_RETURN(const bool found,
                     keys_.Get(item.key, view_->numbers.compact_revision, [&](const Datum& datum) {
                       mvccpb::KeyValue kv;
                       FillKeyValue(item.key, datum, &kv);
                       value = kv.SerializeAsString();
                     }));
    if (!found || value.size() != item.value_bytes) {
      return absl::DataLossError("a key that was live at the compact revision is so no more");
    }
    wanted = tree->Add(key, value.size(), value);
    return wanted;
  }));
  return wanted ? absl::OkStatus() : absl::CancelledError();
}

absl::Status EtcdSnapshot::FillChanges(TreeWriter* tree, bool planning) {
  const int64_t after = std::max<int64_t>(view_->numbers.compact_revision, 0);
  const std::unique_ptr<Cursor> cursor = view_->reader->NewCursor(Family::kRevision, {});
  mvccpb::KeyValue kv;
  std::string value;
  for (cursor->Seek(RevisionKey({after + 1, 0})); cursor->Valid(); cursor->Next()) {
    if (cursor->key().size() != kRevisionBytes) {
      return absl::DataLossError("a change's key has a wrong length");
    }
    ASSIGN_OR_RETURN(const Change change, DecodeChange(cursor->value()));
    kv.Clear();
    const bool tombstone = change.kind == ChangeKind::kDelete;
    if (tombstone) {
      kv.set_key(change.key.data(), change.key.size());
    } else {
      FillKeyValue(change.key, change.datum, &kv);
    }
    const size_t bytes = kv.ByteSizeLong();
    if (!planning) value = kv.SerializeAsString();
    const Revision revision = DecodeRevision(cursor->key().data());
    if (!tree->Add(BucketKey(revision, tombstone), bytes, value)) return absl::CancelledError();
  }
  return cursor->status();
}

bool EtcdSnapshot::FillLeases(TreeWriter* tree) {
  const std::unique_ptr<Cursor> cursor = view_->reader->NewCursor(Family::kLease, {});
  for (cursor->Seek({}); cursor->Valid(); cursor->Next()) {
    if (cursor->key().size() != kLeaseBytes || cursor->value().size() < 8) {
      failed_ = absl::DataLossError("a lease's record has a wrong length");
      return false;
    }
    datum::etcd_snapshot::Lease lease;
    lease.set_id(DecodeLease(cursor->key().data()));
    lease.set_ttl(static_cast<int64_t>(DecodeFixed64(cursor->value().data())));
    const std::string value = lease.SerializeAsString();
    if (!tree->Add(cursor->key(), value.size(), value)) return false;
  }
  if (!cursor->status().ok()) failed_ = cursor->status();
  return cursor->status().ok();
}

bool EtcdSnapshot::FillAuth(TreeWriter* tree, const std::string& prefix) {
  const std::unique_ptr<Cursor> cursor = view_->reader->NewCursor(Family::kAuth, {});
  for (cursor->Seek(prefix); cursor->Valid(); cursor->Next()) {
    if (!cursor->key().starts_with(prefix)) break;
    const std::string_view name = cursor->key().substr(prefix.size());
    if (!tree->Add(name, cursor->value().size(), cursor->value())) return false;
  }
  if (!cursor->status().ok()) failed_ = cursor->status();
  return cursor->status().ok();
}

}  // namespace store
