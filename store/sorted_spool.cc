// SPDX-License-Identifier: Apache-2.0

#include "store/sorted_spool.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "base/status.h"

namespace store {
namespace {

constexpr size_t kItemOverhead = sizeof(SortedSpool::Item);
constexpr size_t kHeadBytes = kRevisionBytes + 8;
// All readers of runs together.
constexpr size_t kBuffersBytes = 16 << 20;
constexpr size_t kBufferBytesMin = 4 << 10;
constexpr size_t kBufferBytesMax = 256 << 10;

bool Earlier(const SortedSpool::Item& a, const SortedSpool::Item& b) {
  return a.revision < b.revision;
}

}  // namespace

// One run, from its beginning.
class SortedSpool::RunReader {
 public:
  RunReader(const base::File* file, Run run, size_t buffer_bytes)
      : file_(file), at_(run.begin), end_(run.end), buffer_bytes_(buffer_bytes) {}

  // False at the end.
  absl::StatusOr<bool> Next() {
    if (used_ == buffer_.size() && at_ == end_) return false;
    RETURN_IF_ERROR(Have(kHeadBytes));
    const char* const head = buffer_.data() + used_;
    item_.revision = DecodeRevision(head);
    item_.value_bytes = DecodeFixed32(head + kRevisionBytes);
    const size_t key_bytes = DecodeFixed32(head + kRevisionBytes + 4);
    used_ += kHeadBytes;
    RETURN_IF_ERROR(Have(key_bytes));
    item_.key.assign(buffer_, used_, key_bytes);
    used_ += key_bytes;
    return true;
  }
  const Item& item() const { return item_; }

 private:
  absl::Status Have(size_t bytes) {
    if (buffer_.size() - used_ >= bytes) return absl::OkStatus();
    buffer_.erase(0, used_);
    used_ = 0;
    const uint64_t wanted = std::max(bytes - buffer_.size(), buffer_bytes_);
    ASSIGN_OR_RETURN(const std::string more,
                     file_->ReadAt(at_, static_cast<size_t>(std::min(wanted, end_ - at_))));
    at_ += more.size();
    buffer_ += more;
    if (buffer_.size() < bytes) return absl::DataLossError("a file for sorting was cut");
    return absl::OkStatus();
  }

  const base::File* const file_;
  uint64_t at_;
  const uint64_t end_;
  const size_t buffer_bytes_;
  std::string buffer_;
  size_t used_ = 0;
  Item item_;
};

absl::Status SortedSpool::Add(Item item) {
  items_bytes_ += kItemOverhead + item.key.size();
  items_.push_back(std::move(item));
  return items_bytes_ < run_bytes_ ? absl::OkStatus() : Spill();
}

absl::Status SortedSpool::Finish() {
  // What fits in memory stays there.
  if (!runs_.empty()) return Spill();
  std::sort(items_.begin(), items_.end(), Earlier);
  return absl::OkStatus();
}

absl::Status SortedSpool::Spill() {
  if (items_.empty()) return absl::OkStatus();
  if (file_ == nullptr) {
    ASSIGN_OR_RETURN(file_, files_->Open(path_, /*create=*/true));
    RETURN_IF_ERROR(files_->Remove(path_));
  }
  std::sort(items_.begin(), items_.end(), Earlier);
  std::string bytes;
  bytes.reserve(items_bytes_);
  for (const Item& item : items_) {
    bytes += RevisionKey(item.revision);
    AppendFixed32(&bytes, item.value_bytes);
    AppendFixed32(&bytes, static_cast<uint32_t>(item.key.size()));
    bytes += item.key;
  }
  RETURN_IF_ERROR(file_->WriteAt(written_, bytes));
  runs_.push_back({written_, written_ + bytes.size()});
  written_ += bytes.size();
  items_.clear();
  items_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status SortedSpool::ForEach(Visit visit) const {
  if (runs_.empty()) {
    for (const Item& item : items_) {
      ASSIGN_OR_RETURN(const bool go_on, visit(item));
      if (!go_on) break;
    }
    return absl::OkStatus();
  }
  const size_t buffer_bytes =
      std::clamp(kBuffersBytes / runs_.size(), kBufferBytesMin, kBufferBytesMax);
  const auto later = [](const RunReader* a, const RunReader* b) {
    return Earlier(b->item(), a->item());
  };
  std::vector<std::unique_ptr<RunReader>> readers;
  std::priority_queue<RunReader*, std::vector<RunReader*>, decltype(later)> next(later);
  for (const Run& run : runs_) {
    readers.push_back(std::make_unique<RunReader>(file_.get(), run, buffer_bytes));
    ASSIGN_OR_RETURN(const bool any, readers.back()->Next());
    if (any) next.push(readers.back().get());
  }
  while (!next.empty()) {
    RunReader* const reader = next.top();
    next.pop();
    ASSIGN_OR_RETURN(const bool go_on, visit(reader->item()));
    if (!go_on) break;
    ASSIGN_OR_RETURN(const bool more, reader->Next());
    if (more) next.push(reader);
  }
  return absl::OkStatus();
}

}  // namespace store
