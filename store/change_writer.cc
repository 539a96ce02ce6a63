// SPDX-License-Identifier: Apache-2.0

#include "store/change_writer.h"

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"

namespace store {

absl::Status ChangeWriter::ReadPrior(std::string_view key, bool want_value, Prior* prior) const {
  absl::Status decoded;
  auto found = pending_->Get(Family::kDatum, key, [&](std::string_view bytes) {
    auto datum = DecodeDatum(bytes);
    decoded = datum.status();
    if (!datum.ok()) return;
    if (!want_value && datum->mod_revision.main > numbers_->compact_revision) {
      bytes = bytes.substr(0, kDatumHeadBytes);
    }
    prior->bytes.assign(bytes);
    prior->datum = *datum;
    prior->datum.value = std::string_view(prior->bytes).substr(kDatumHeadBytes);
    prior->value_bytes = datum->value.size();
  });
  if (!found.ok()) return found.status();
  RETURN_IF_ERROR(decoded);
  prior->exists = *found;
  return absl::OkStatus();
}

void ChangeWriter::End() {
  if (changes_ > 0) ++numbers_->revision;
  changes_ = 0;
}

absl::Status ChangeWriter::Put(std::string_view key, std::string_view value, int64_t lease,
                               const Prior& prior) {
  Change change;
  change.kind = ChangeKind::kPut;
  change.written = numbers_->written_bytes;
  if (prior.exists) {
    change.previous = prior.datum.mod_revision;
  } else {
    ASSIGN_OR_RETURN(change.previous, TakeTombstone(key));
  }
  const Revision revision = NextRevision();
  change.key = key;
  change.datum.create_revision = prior.exists ? prior.datum.create_revision : revision.main;
  change.datum.mod_revision = revision;
  change.datum.timestamp = prior.exists ? prior.datum.timestamp + 1 : 1;
  change.datum.lease = lease;
  change.datum.value = value;
  const std::string_view encoded = Record(revision, change, prior);
  const std::string_view datum_bytes = DatumBytesOf(change, encoded);
  // The key's bytes within the encoded change, right before the datum.
  const std::string_view own_key(datum_bytes.data() - key.size(), key.size());
  pending_->Put(Family::kDatum, own_key, datum_bytes);
  if (!prior.exists) pending_->Put(Family::kPresence, own_key, {});
  MoveLease(key, prior.exists ? prior.datum.lease : 0, lease);
  numbers_->live_bytes += static_cast<int64_t>(key.size() + value.size());
  if (prior.exists) numbers_->live_bytes -= static_cast<int64_t>(key.size() + prior.value_bytes);
  return absl::OkStatus();
}

void ChangeWriter::Delete(std::string_view key, const Prior& prior) {
  CHECK(prior.exists);
  Change change;
  change.kind = ChangeKind::kDelete;
  change.written = numbers_->written_bytes;
  change.previous = prior.datum.mod_revision;
  change.key = key;
  const Revision revision = NextRevision();
  const std::string_view encoded = Record(revision, change, prior);
  const std::string_view own_key = encoded.substr(encoded.size() - key.size());
  char* const tombstone = pending_->Allocate(kRevisionBytes);
  EncodeRevision(tombstone, revision);
  pending_->Delete(Family::kDatum, own_key);
  pending_->Delete(Family::kPresence, own_key);
  pending_->Put(Family::kDeleted, own_key, {tombstone, kRevisionBytes});
  MoveLease(key, prior.datum.lease, 0);
  numbers_->live_bytes -= static_cast<int64_t>(key.size() + prior.value_bytes);
}

absl::StatusOr<Revision> ChangeWriter::TakeTombstone(std::string_view key) {
  Revision tombstone;
  ASSIGN_OR_RETURN(const bool found,
                   pending_->Get(Family::kDeleted, key, [&](std::string_view bytes) {
                     if (bytes.size() == kRevisionBytes) tombstone = DecodeRevision(bytes.data());
                   }));
  if (!found) return Revision{};
  pending_->Delete(Family::kDeleted, pending_->Copy(key));
  // At or below the compact revision it counts as absent, dropped or not: members must not differ
  // by how far their background work has come.
  if (base::Planted("tombstone-by-own-progress")) return tombstone;
  if (tombstone.main <= numbers_->compact_revision) return Revision{};
  return tombstone;
}

std::string_view ChangeWriter::Record(Revision revision, const Change& change, const Prior& prior) {
  char* const revision_key = pending_->Allocate(kRevisionBytes);
  EncodeRevision(revision_key, revision);
  const std::string_view own_revision(revision_key, kRevisionBytes);
  const size_t bytes = EncodedChangeBytes(change);
  char* const encoded = pending_->Allocate(bytes);
  EncodeChange(encoded, change);
  numbers_->written_bytes += static_cast<int64_t>(bytes);
  pending_->Put(Family::kRevision, own_revision, {encoded, bytes});
  const bool keeps = !base::Planted("replaced-version-not-kept");
  if (keeps && prior.exists && prior.datum.mod_revision.main <= numbers_->compact_revision) {
    pending_->Put(Family::kKept, own_revision, pending_->Copy(prior.bytes));
  }
  return {encoded, bytes};
}

absl::Status ChangeWriter::CountCompaction(int64_t revision) {
  int64_t written = numbers_->written_bytes;
  const std::unique_ptr<Cursor> after = pending_->NewCursor(Family::kRevision, {});
  after->Seek(RevisionKey({revision + 1, 0}));
  RETURN_IF_ERROR(after->status());
  if (after->Valid()) {
    ASSIGN_OR_RETURN(const Change change, DecodeChange(after->value()));
    if (change.written != kWrittenUnknown) written = change.written;
  }
  numbers_->size_offset = numbers_->live_bytes - written;
  return absl::OkStatus();
}

void ChangeWriter::MoveLease(std::string_view key, int64_t from, int64_t to) {
  if (from == to) return;
  if (from != 0) pending_->Delete(Family::kLeaseKey, pending_->Copy(LeaseUserKey(from, key)));
  if (to != 0) pending_->Put(Family::kLeaseKey, pending_->Copy(LeaseUserKey(to, key)), {});
}

}  // namespace store
