// SPDX-License-Identifier: Apache-2.0

#include "store/rocks_meta.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace store {
namespace {

class RocksMeta final : public MetaStore {
 public:
  RocksMeta(std::unique_ptr<rocksdb::DB> db, std::string directory)
      : db_(std::move(db)), directory_(std::move(directory)) {}

  absl::StatusOr<std::optional<std::string>> Get(const std::string& name) override {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), name, &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) {
      return absl::DataLossError(
          absl::StrCat("meta: read ", name, " in ", directory_, ": ", status.ToString()));
    }
    return value;
  }

  void PutDurably(const std::string& name, const std::string& value) override {
    rocksdb::WriteOptions durable;
    durable.sync = true;
    const rocksdb::Status status = db_->Put(durable, name, value);
    if (!status.ok()) {
      LOG(FATAL) << "meta: the disk refuses to write " << name << " in " << directory_ << ": "
                 << status.ToString();
    }
  }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
  const std::string directory_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetaStore>> OpenRocksMeta(const std::string& directory) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.max_bgerror_resume_count = 0;
  options.write_buffer_size = 1 << 20;
  options.keep_log_file_num = 2;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory, &db);
  if (!status.ok()) {
    const std::string text = absl::StrCat("meta: open ", directory, ": ", status.ToString());
    return status.IsCorruption() ? absl::DataLossError(text) : absl::InternalError(text);
  }
  return std::make_unique<RocksMeta>(std::unique_ptr<rocksdb::DB>(db), directory);
}

}  // namespace store
