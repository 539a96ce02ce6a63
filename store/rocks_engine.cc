// SPDX-License-Identifier: Apache-2.0

#include "store/rocks_engine.h"

#include <sys/stat.h>

#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "rocksdb/cache.h"
#include "rocksdb/compaction_filter.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/file_checksum.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/write_buffer_manager.h"

namespace store {
namespace {

constexpr int kCheckpointTries = 5;
// Records that may be dropped but lie in files of mixed content go by the filter at this age.
constexpr uint64_t kDropperPeriodSeconds = 6 * 3600;

rocksdb::Slice SliceOf(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ViewOf(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// What the disk does not give back, or gives back other than it was: the state can be built again,
// so that is no reason to end. RocksDB says of an IO error what it was doing by words alone.
bool IsDamage(const rocksdb::Status& status) {
  if (status.IsCorruption()) return true;
  if (!status.IsIOError() || status.IsNoSpace()) return false;
  const std::string text = status.ToString();
  for (const char* reading : {"pread", "While open a file for", "No such file"}) {
    if (text.find(reading) != std::string::npos) return text.find("LOCK") == std::string::npos;
  }
  return false;
}

absl::Status StatusOf(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("RocksDB: ", status.ToString());
  if (IsDamage(status)) return absl::DataLossError(text);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  return absl::InternalError(text);
}

// Where the background work and the writer note damage. Threads: any.
class DamageNote {
 public:
  // Nothing is noted, and nothing is fatal, once the engine has retired.
  void Retire() {
    std::lock_guard<std::mutex> lock(mutex_);
    retired_ = true;
  }
  // An error that is no damage ends the process.
  void Take(const char* what, const rocksdb::Status& error) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (error.ok() || retired_ || error.IsShutdownInProgress() || !damage_.ok()) return;
    if (IsDamage(error)) {
      damage_ = StatusOf(error);
      LOG(ERROR) << what << " has met damage: " << error.ToString();
      return;
    }
    LOG(FATAL) << (error.IsNoSpace() ? "the disk of the state is full: " : "") << what
               << " failed: " << error.ToString();
  }
  absl::Status damage() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return damage_;
  }

 private:
  mutable std::mutex mutex_;
  bool retired_ = false;
  absl::Status damage_;
};

// Rule 6 of the ground: no recovery by RocksDB itself, it has the window of #11148.
class BackgroundListener final : public rocksdb::EventListener {
 public:
  explicit BackgroundListener(std::shared_ptr<DamageNote> note) : note_(std::move(note)) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    note_->Take("RocksDB's background work", *error);
  }

 private:
  const std::shared_ptr<DamageNote> note_;
};

// One family's bounds, set by the engine and read by the filters of running compactions.
class DropBounds {
 public:
  struct Bounds {
    std::string keys_below;
    std::string values_below;
  };

  Bounds Load() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return bounds_;
  }
  void RaiseKeys(std::string_view bound) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bounds_.keys_below < bound) bounds_.keys_below = bound;
  }
  void RaiseValues(std::string_view bound) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bounds_.values_below < bound) bounds_.values_below = bound;
  }

 private:
  mutable std::mutex mutex_;
  Bounds bounds_;
};

class Dropper final : public rocksdb::CompactionFilter {
 public:
  explicit Dropper(DropBounds::Bounds bounds) : bounds_(std::move(bounds)) {}

  bool Filter(int level, const rocksdb::Slice& key, const rocksdb::Slice& value,
              std::string* new_value, bool* value_changed) const override {
    return ViewOf(key) < bounds_.keys_below || ViewOf(value) < bounds_.values_below;
  }
  const char* Name() const override { return "datum.Dropper"; }

 private:
  const DropBounds::Bounds bounds_;
};

class DropperFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit DropperFactory(std::shared_ptr<const DropBounds> bounds) : bounds_(std::move(bounds)) {}

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    DropBounds::Bounds bounds = bounds_->Load();
    if (bounds.keys_below.empty() && bounds.values_below.empty()) return nullptr;
    return std::make_unique<Dropper>(std::move(bounds));
  }
  const char* Name() const override { return "datum.DropperFactory"; }

 private:
  const std::shared_ptr<const DropBounds> bounds_;
};

bool LosesRecords(Family family) {
  return family == Family::kDeleted || family == Family::kRevision || family == Family::kKept;
}

rocksdb::ColumnFamilyOptions FamilyOptions(Family family, const RocksOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           const std::shared_ptr<DropBounds>& bounds) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 16 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Within the cache's budget too, so that memory does not grow with the number of keys.
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::ColumnFamilyOptions family_options;
  family_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family_options.write_buffer_size = options.family_write_buffer_bytes;
  family_options.max_write_buffer_number = 4;
  family_options.level_compaction_dynamic_level_bytes = true;
  family_options.compression = rocksdb::kLZ4Compression;
  family_options.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression,
                                          rocksdb::kLZ4Compression};
  if (family == Family::kDatum || family == Family::kDeleted || family == Family::kPresence) {
    // An absent key is known without a search: 1.0 against 3.5 us.
    family_options.memtable_prefix_bloom_size_ratio = 0.02;
    family_options.memtable_whole_key_filtering = true;
  }
  if (LosesRecords(family)) {
    family_options.compaction_filter_factory = std::make_shared<DropperFactory>(bounds);
    family_options.periodic_compaction_seconds = kDropperPeriodSeconds;
  }
  return family_options;
}

rocksdb::DBOptions DatabaseOptions(const RocksOptions& options,
                                   const std::shared_ptr<DamageNote>& note) {
  rocksdb::DBOptions database_options;
  database_options.create_if_missing = true;
  database_options.create_missing_column_families = true;
  database_options.atomic_flush = true;
  database_options.avoid_flush_during_shutdown = true;
  database_options.max_bgerror_resume_count = 0;
  database_options.listeners = {std::make_shared<BackgroundListener>(note)};
  database_options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  // One writer: 0.43 against 0.64 us a record.
  database_options.allow_concurrent_memtable_write = false;
  database_options.enable_write_thread_adaptive_yield = false;
  database_options.max_open_files = -1;
  database_options.max_background_jobs = options.background_jobs;
  database_options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(options.write_buffers_bytes);
  if (options.compaction_bytes_per_second > 0) {
    database_options.rate_limiter.reset(
        rocksdb::NewGenericRateLimiter(options.compaction_bytes_per_second));
  }
  database_options.bytes_per_sync = 1 << 20;
  database_options.stats_dump_period_sec = 0;
  database_options.stats_persist_period_sec = 0;
  database_options.keep_log_file_num = 3;
  database_options.info_log_level = rocksdb::WARN_LEVEL;
  return database_options;
}

class RocksCursor final : public Cursor {
 public:
  RocksCursor(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle, std::string_view upper_bound,
              const rocksdb::Snapshot* snapshot)
      : upper_bound_(upper_bound), upper_slice_(SliceOf(upper_bound_)) {
    rocksdb::ReadOptions read_options;
    read_options.snapshot = snapshot;
    if (!upper_bound_.empty()) read_options.iterate_upper_bound = &upper_slice_;
    // Who walks a family to its end (a backup, a check) walks it once. Its blocks would take the
    // cache's whole budget, and push out what is read again.
    read_options.fill_cache = !upper_bound_.empty();
    iterator_.reset(db->NewIterator(read_options, handle));
  }

  void Seek(std::string_view target) override { iterator_->Seek(SliceOf(target)); }
  void Next() override { iterator_->Next(); }
  bool Valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return ViewOf(iterator_->key()); }
  std::string_view value() const override { return ViewOf(iterator_->value()); }
  absl::Status status() const override { return StatusOf(iterator_->status()); }

 private:
  const std::string upper_bound_;
  const rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

class RocksEngine::Database {
 public:
  ~Database() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      if (db_ != nullptr) db_->DestroyColumnFamilyHandle(handle);
    }
  }

  static absl::StatusOr<std::shared_ptr<Database>> Open(const RocksOptions& options) {
    auto database = std::make_shared<Database>();
    const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (size_t i = 0; i < kFamilyCount; ++i) {
      const Family family = static_cast<Family>(i);
      database->bounds_[i] = std::make_shared<DropBounds>();
      descriptors.emplace_back(FamilyName(family),
                               FamilyOptions(family, options, cache, database->bounds_[i]));
    }
    // RocksDB insists on it; it stays empty.
    descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status =
        rocksdb::DB::Open(DatabaseOptions(options, database->note_), options.directory, descriptors,
                          &database->handles_, &db);
    database->db_.reset(db);
    if (!status.ok()) {
      // The options never change, so families that do not fit them are the files' fault.
      const bool damage = IsDamage(status) || status.IsInvalidArgument();
      return absl::Status(
          damage ? absl::StatusCode::kDataLoss : StatusOf(status).code(),
          absl::StrCat("cannot open the state in ", options.directory, ": ", status.ToString()));
    }
    return database;
  }

  absl::StatusOr<bool> Get(const rocksdb::ReadOptions& read_options, Family family,
                           std::string_view key, OnValue on_value) const {
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = db_->Get(read_options, handle(family), SliceOf(key), &value);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return StatusOf(status);
    on_value(ViewOf(value));
    return true;
  }

  rocksdb::DB* db() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[FamilyNumber(family)];
  }
  DamageNote& note() const { return *note_; }
  DropBounds& bounds(Family family) { return *bounds_[FamilyNumber(family)]; }

  rocksdb::Status FlushAll() {
    rocksdb::FlushOptions flush_options;
    flush_options.wait = true;
    return db_->Flush(flush_options, handles_);
  }

 private:
  const std::shared_ptr<DamageNote> note_ = std::make_shared<DamageNote>();
  std::unique_ptr<rocksdb::DB> db_;
  // By family number; the default family last.
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::array<std::shared_ptr<DropBounds>, kFamilyCount> bounds_;
};

namespace {

class RocksView final : public Reader {
 public:
  explicit RocksView(std::shared_ptr<RocksEngine::Database> database)
      : database_(std::move(database)), snapshot_(database_->db()->GetSnapshot()) {
    CHECK(snapshot_ != nullptr) << "RocksDB gave no snapshot";
  }
  ~RocksView() override { database_->db()->ReleaseSnapshot(snapshot_); }
  RocksView(const RocksView&) = delete;
  RocksView& operator=(const RocksView&) = delete;

  absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const override {
    rocksdb::ReadOptions read_options;
    read_options.snapshot = snapshot_;
    return database_->Get(read_options, family, key, on_value);
  }
  std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const override {
    return std::make_unique<RocksCursor>(database_->db(), database_->handle(family), upper_bound,
                                         snapshot_);
  }

 private:
  const std::shared_ptr<RocksEngine::Database> database_;
  const rocksdb::Snapshot* const snapshot_;
};

}  // namespace

RocksEngine::RocksEngine(std::shared_ptr<Database> database) : database_(std::move(database)) {}

RocksEngine::~RocksEngine() = default;

absl::StatusOr<std::unique_ptr<Engine>> RocksEngine::Open(const RocksOptions& options) {
  auto database = Database::Open(options);
  if (!database.ok()) return database.status();
  return std::unique_ptr<Engine>(new RocksEngine(*std::move(database)));
}

absl::StatusOr<bool> RocksEngine::Get(Family family, std::string_view key, OnValue on_value) const {
  return database_->Get(rocksdb::ReadOptions(), family, key, on_value);
}

std::unique_ptr<Cursor> RocksEngine::NewCursor(Family family, std::string_view upper_bound) const {
  return std::make_unique<RocksCursor>(database_->db(), database_->handle(family), upper_bound,
                                       nullptr);
}

void RocksEngine::Write(std::span<const WriteOperation> operations) {
  size_t bytes = 0;
  for (const auto& operation : operations) {
    bytes += operation.key.size() + operation.value.size() + 16;
  }
  if (!database_->note().damage().ok()) return;
  rocksdb::WriteBatch batch(bytes);
  rocksdb::Status status;
  for (const WriteOperation& operation : operations) {
    rocksdb::ColumnFamilyHandle* handle = database_->handle(operation.family);
    status = operation.is_delete
                 ? batch.Delete(handle, SliceOf(operation.key))
                 : batch.Put(handle, SliceOf(operation.key), SliceOf(operation.value));
    if (!status.ok()) LOG(FATAL) << "cannot build a batch for the state: " << status.ToString();
  }
  rocksdb::WriteOptions write_options;
  write_options.disableWAL = true;
  status = database_->db()->Write(write_options, &batch);
  database_->note().Take("a write to the state", status);
}

std::shared_ptr<const Reader> RocksEngine::NewView() const {
  return std::make_shared<RocksView>(database_);
}

void RocksEngine::Flush() { database_->note().Take("a flush of the state", database_->FlushAll()); }

absl::Status RocksEngine::damage() const { return database_->note().damage(); }

// A range over a file that was cut below a running RocksDB 7.8.3 has been seen to end early and
// without an error.
absl::Status RocksEngine::CheckFiles() const {
  std::vector<rocksdb::LiveFileMetaData> files;
  database_->db()->GetLiveFilesMetaData(&files);
  for (const rocksdb::LiveFileMetaData& file : files) {
    const std::string path = file.db_path + file.name;
    struct stat found = {};
    // One that is gone was dropped by a compaction since it was listed; a read that needs it says
    // so.
    if (stat(path.c_str(), &found) != 0) continue;
    if (static_cast<uint64_t>(found.st_size) >= file.size) continue;
    return absl::DataLossError(
        absl::StrCat(path, " has ", found.st_size, " of its ", file.size, " bytes"));
  }
  return absl::OkStatus();
}

void RocksEngine::Retire() {
  database_->note().Retire();
  rocksdb::CancelAllBackgroundWork(database_->db(), /*wait=*/true);
}

absl::StatusOr<bool> RocksEngine::GetPersisted(Family family, std::string_view key,
                                               OnValue on_value) const {
  rocksdb::ReadOptions read_options;
  read_options.read_tier = rocksdb::kPersistedTier;
  return database_->Get(read_options, family, key, on_value);
}

void RocksEngine::DropKeysBelow(Family family, std::string_view bound) {
  CHECK(LosesRecords(family)) << FamilyName(family);
  database_->bounds(family).RaiseKeys(bound);
  const rocksdb::Slice end = SliceOf(bound);
  const rocksdb::Status status = rocksdb::DeleteFilesInRange(
      database_->db(), database_->handle(family), nullptr, &end, /*include_end=*/false);
  // Only space is lost by it, and the filter gets that back.
  if (!status.ok()) LOG(ERROR) << "cannot drop old files of the state: " << status.ToString();
}

void RocksEngine::DropValuesBelow(Family family, std::string_view bound) {
  CHECK(LosesRecords(family)) << FamilyName(family);
  database_->bounds(family).RaiseValues(bound);
}

absl::Status RocksEngine::Checkpoint(const std::string& directory) {
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(database_->db(), &made);
  if (!status.ok()) return StatusOf(status);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  for (int tries = 0; tries < kCheckpointTries; ++tries) {
    Flush();
    if (!damage().ok()) return damage();
    // So large a log size keeps it from flushing by itself (#11148); a MANIFEST that went away
    // meanwhile is a reason to try again (#12882).
    status = checkpoint->CreateCheckpoint(directory, UINT64_MAX);
    if (status.ok() || status.IsInvalidArgument()) break;
  }
  return StatusOf(status);
}

uint64_t RocksEngine::PhysicalBytes() const {
  uint64_t bytes = 0;
  for (const char* property : {"rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables"}) {
    uint64_t part = 0;
    if (database_->db()->GetAggregatedIntProperty(property, &part)) bytes += part;
  }
  return bytes;
}

}  // namespace store
