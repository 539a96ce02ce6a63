// SPDX-License-Identifier: Apache-2.0

#include "store/snapshot_import.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "proto/etcd/kv.pb.h"
#include "proto/etcd_snapshot.pb.h"
#include "store/applied_record.h"
#include "store/auth_record.h"
#include "store/change_writer.h"
#include "store/lease.h"
#include "store/pending_writes.h"

namespace store {
namespace {

constexpr size_t kBucketKeyBytes = 17;
// What is written at a time, and how often progress is told.
constexpr size_t kBatchOperations = 20'000;
constexpr size_t kBatchBytes = 8 << 20;
constexpr uint64_t kProgressChanges = 10'000;

struct BucketKey {
  Revision revision;
  bool tombstone = false;
};

absl::StatusOr<BucketKey> DecodeBucketKey(std::string_view key) {
  const bool tombstone = key.size() == kBucketKeyBytes + 1 && key.back() == 't';
  if (key.size() < kBucketKeyBytes || key[8] != '_' ||
      (key.size() != kBucketKeyBytes && !tombstone)) {
    return absl::DataLossError("the snapshot has a key that is no revision");
  }
  const auto main = static_cast<int64_t>(DecodeFixed64(key.data()));
  const uint64_t sub = DecodeFixed64(key.data() + 9);
  if (main <= 0 || sub > INT32_MAX) {
    return absl::DataLossError("the snapshot has a revision that cannot be");
  }
  return BucketKey{{main, static_cast<int32_t>(sub)}, tombstone};
}

// The compact revision that the bucket `meta` names; kNeverCompacted if none.
absl::StatusOr<int64_t> ReadCompactRevision(const bolt::FileReader& file) {
  int64_t compact_revision = kNeverCompacted;
  RETURN_IF_ERROR(
      file.ForEach("meta", [&](std::string_view name, std::string_view value) -> absl::Status {
        if (name != "scheduledCompactRev" && name != "finishedCompactRev") return absl::OkStatus();
        ASSIGN_OR_RETURN(const BucketKey compacted, DecodeBucketKey(value));
        compact_revision = std::max(compact_revision, compacted.revision.main);
        return absl::OkStatus();
      }));
  return compact_revision;
}

class Importer {
 public:
  Importer(const bolt::FileReader& file, const ImportOptions& options, Engine* engine)
      : file_(file),
        options_(options),
        engine_(engine),
        pending_(engine),
        writer_(&pending_, &numbers_) {}

  absl::StatusOr<Imported> Run() {
    ASSIGN_OR_RETURN(numbers_.compact_revision, ReadCompactRevision(file_));
    numbers_.compacted_at = std::max<int64_t>(numbers_.compact_revision, 0);
    RETURN_IF_ERROR(TakeAuth());
    RETURN_IF_ERROR(TakeLeases());
    RETURN_IF_ERROR(file_.ForEach("key", [this](std::string_view key, std::string_view value) {
      return TakeChange(key, value);
    }));
    EndRevision();
    EndBase();
    FinishRevisions();
    TakeCluster();
    Write();
    engine_->Flush();
    RETURN_IF_ERROR(engine_->damage());
    imported_.revision = numbers_.revision;
    imported_.compact_revision = numbers_.compact_revision;
    return imported_;
  }

 private:
  absl::Status TakeAuth() {
    bool enabled = false;
    RETURN_IF_ERROR(file_.ForEach("auth", [&](std::string_view name, std::string_view value) {
      if (name == kAuthEnabledName) enabled = !value.empty() && value[0] != 0;
      if (name == kAuthRevisionName) Put(Family::kAuth, std::string(name), value);
      return absl::OkStatus();
    }));
    if (enabled && !options_.accept_auth_off) {
      return absl::FailedPreconditionError(
          "authentication is on in this snapshot, and this version does not serve it: whoever "
          "reaches the restored cluster could read and write all of it. --accept-auth-off restores "
          "it all the same, with its users and roles, and authentication off");
    }
    const auto take = [&](const char* bucket, std::string_view prefix, uint64_t* count) {
      return file_.ForEach(bucket, [&](std::string_view name, std::string_view value) {
        Put(Family::kAuth, absl::StrCat(std::string(prefix), std::string(name)), value);
        ++*count;
        return absl::OkStatus();
      });
    };
    RETURN_IF_ERROR(take("authUsers", kAuthUserPrefix, &imported_.users));
    return take("authRoles", kAuthRolePrefix, &imported_.roles);
  }

  absl::Status TakeLeases() {
    return file_.ForEach("lease", [&](std::string_view, std::string_view value) -> absl::Status {
      datum::etcd_snapshot::Lease lease;
      if (!lease.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
        return absl::DataLossError("the snapshot has a lease that cannot be read");
      }
      ++imported_.leases;
      return leases_.Grant(lease.id(), lease.ttl(), &pending_);
    });
  }

  absl::Status TakeChange(std::string_view bucket_key, std::string_view value) {
    ASSIGN_OR_RETURN(const BucketKey at, DecodeBucketKey(bucket_key));
    mvccpb::KeyValue kv;
    if (!kv.ParseFromArray(value.data(), static_cast<int>(value.size())) || kv.key().empty()) {
      return absl::DataLossError(
          absl::StrCat("the snapshot's change at revision ", at.revision.main, " cannot be read"));
    }
    if (++imported_.changes % kProgressChanges == 0 && options_.on_progress) {
      options_.on_progress(imported_.changes);
    }
    if (open_revision_ != at.revision.main) {
      EndRevision();
      if (pending_bytes_ >= kBatchBytes || pending_.operations().size() >= kBatchOperations) {
        Write();
      }
    }
    pending_bytes_ += value.size();
    if (at.revision.main <= numbers_.compact_revision) return TakeBase(at, kv);
    EndBase();
    return TakeLater(at, kv);
  }

  // At or below the compact revision: what is last there is what was live then.
  absl::Status TakeBase(const BucketKey& at, const mvccpb::KeyValue& kv) {
    numbers_.revision = at.revision.main;
    Prior prior;
    RETURN_IF_ERROR(writer_.ReadPrior(kv.key(), /*want_value=*/false, &prior));
    if (prior.exists) {
      numbers_.live_bytes -= static_cast<int64_t>(kv.key().size() + prior.value_bytes);
      if (prior.datum.lease != 0) {
        Delete(Family::kLeaseKey, LeaseUserKey(prior.datum.lease, kv.key()));
      }
    }
    Change change;
    change.kind = at.tombstone ? ChangeKind::kDelete : ChangeKind::kPut;
    change.written = 0;
    change.key = kv.key();
    change.datum = {kv.create_revision(), at.revision, kv.version(), kv.lease(), kv.value()};
    std::string encoded(EncodedChangeBytes(change), '\0');
    EncodeChange(encoded.data(), change);
    // Watchers may begin at the compact revision.
    if (at.revision.main == numbers_.compact_revision) {
      Put(Family::kRevision, RevisionKey(at.revision), encoded);
    }
    if (at.tombstone) {
      Delete(Family::kDatum, kv.key());
      Delete(Family::kPresence, kv.key());
      return absl::OkStatus();
    }
    Put(Family::kDatum, kv.key(), DatumBytesOf(change, encoded));
    Put(Family::kPresence, kv.key(), {});
    if (kv.lease() != 0) Put(Family::kLeaseKey, LeaseUserKey(kv.lease(), kv.key()), {});
    numbers_.live_bytes += static_cast<int64_t>(kv.key().size() + kv.value().size());
    return absl::OkStatus();
  }

  absl::Status TakeLater(const BucketKey& at, const mvccpb::KeyValue& kv) {
    const auto wrong = [&](std::string_view why) {
      return absl::DataLossError(absl::StrCat("the snapshot's change of revision ",
                                              at.revision.main, ".", at.revision.sub, ": ",
                                              std::string(why)));
    };
    if (open_revision_ != at.revision.main) {
      numbers_.revision = at.revision.main - 1;
      writer_.Begin();
      open_revision_ = at.revision.main;
      next_sub_ = 0;
    }
    if (at.revision.sub != next_sub_++) return wrong("changes before it are missing");
    Prior prior;
    RETURN_IF_ERROR(writer_.ReadPrior(kv.key(), /*want_value=*/false, &prior));
    if (at.tombstone) {
      if (!prior.exists) return wrong("it deletes a key that is not there");
      writer_.Delete(kv.key(), prior);
      return absl::OkStatus();
    }
    const int64_t version = prior.exists ? prior.datum.timestamp + 1 : 1;
    const int64_t created = prior.exists ? prior.datum.create_revision : at.revision.main;
    if (kv.version() != version || kv.create_revision() != created ||
        kv.mod_revision() != at.revision.main) {
      return wrong("what it says of its key's past is not what the snapshot holds of it");
    }
    return writer_.Put(kv.key(), kv.value(), kv.lease(), prior);
  }

  void EndRevision() {
    if (open_revision_ != 0) writer_.End();
    open_revision_ = 0;
  }

  // Once: from here on what is written counts towards the size.
  void EndBase() {
    if (std::exchange(base_ended_, true)) return;
    if (numbers_.compact_revision > 0) {
      // The newest changes may have been deletes that the compaction took away.
      numbers_.revision = std::max(numbers_.revision, numbers_.compact_revision);
      numbers_.size_offset = numbers_.live_bytes;
    }
  }

  void FinishRevisions() {
    numbers_.revision += options_.bump_revision;
    if (!options_.mark_compacted) return;
    numbers_.compact_revision = numbers_.revision;
    numbers_.compacted_at = numbers_.revision;
    numbers_.size_offset = numbers_.live_bytes - numbers_.written_bytes;
  }

  void TakeCluster() {
    ClusterRecord cluster;
    cluster.SetConfiguration(options_.configuration, options_.position.index, &pending_);
    for (const Member& member : options_.members) cluster.SetMember(member, &pending_);
    numbers_.applied = options_.position;
    Put(Family::kApplied, std::string(kPositionName), EncodeAppliedRecord(numbers_));
  }

  void Put(Family family, std::string_view key, std::string_view value) {
    pending_.Put(family, pending_.Copy(key), pending_.Copy(value));
  }
  void Delete(Family family, std::string_view key) { pending_.Delete(family, pending_.Copy(key)); }

  void Write() {
    engine_->Write(pending_.operations());
    pending_.Clear();
    pending_bytes_ = 0;
  }

  const bolt::FileReader& file_;
  const ImportOptions& options_;
  Engine* const engine_;
  AppliedRecord numbers_;
  PendingWrites pending_;
  ChangeWriter writer_;
  LeaseTable leases_;
  Imported imported_;
  // The revision above the compact one whose changes are being written; 0 for none.
  int64_t open_revision_ = 0;
  int32_t next_sub_ = 0;
  bool base_ended_ = false;
  size_t pending_bytes_ = 0;
};

}  // namespace

absl::StatusOr<Imported> ImportSnapshot(const bolt::FileReader& file, const ImportOptions& options,
                                        Engine* engine) {
  return Importer(file, options, engine).Run();
}

absl::StatusOr<SnapshotSummary> SummarizeSnapshot(const bolt::FileReader& file) {
  SnapshotSummary summary;
  summary.version = "3.5";  // what does not say so is no newer
  std::set<std::string> live;
  ASSIGN_OR_RETURN(const std::vector<std::string> buckets, file.Buckets());
  for (const std::string& bucket : buckets) {
    summary.hash = base::Crc32c(bucket, summary.hash);
    const bool is_keys = bucket == "key";
    RETURN_IF_ERROR(
        file.ForEach(bucket, [&](std::string_view key, std::string_view value) -> absl::Status {
          summary.hash = base::Crc32c(key, summary.hash);
          summary.hash = base::Crc32c(value, summary.hash);
          if (bucket == "meta" && key == "storageVersion") summary.version = value;
          if (!is_keys) return absl::OkStatus();
          ASSIGN_OR_RETURN(const BucketKey at, DecodeBucketKey(key));
          summary.revision = at.revision.main;
          mvccpb::KeyValue kv;
          if (!kv.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
            return absl::DataLossError("the snapshot has a change that cannot be read");
          }
          if (at.tombstone) {
            live.erase(kv.key());
          } else {
            live.insert(kv.key());
          }
          return absl::OkStatus();
        }));
  }
  summary.total_keys = live.size();
  return summary;
}

}  // namespace store
