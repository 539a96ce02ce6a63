// SPDX-License-Identifier: Apache-2.0

#include "store/bolt_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/bolt_file.h"

namespace store::bolt {
namespace {

// Deeper than any tree that fits on a disk, shallower than a loop.
constexpr int kDepthMax = 24;

}  // namespace

struct FileReader::Page {
  uint64_t number = 0;
  uint16_t flags = 0;
  uint16_t count = 0;
  // From the page's head on.
  std::string_view bytes;
};

absl::StatusOr<std::unique_ptr<FileReader>> FileReader::Open(const std::string& path,
                                                             uint64_t file_bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  struct stat found = {};
  fstat(fd, &found);
  const auto size = static_cast<uint64_t>(found.st_size);
  if (file_bytes == 0) file_bytes = size;
  void* mapped = MAP_FAILED;
  if (file_bytes <= size && file_bytes >= 2 * kPageHeadBytes) {
    mapped = mmap(nullptr, file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  close(fd);
  if (mapped == MAP_FAILED) {
    return absl::DataLossError(absl::StrCat(path, " is too short for a snapshot"));
  }
  std::unique_ptr<FileReader> reader(
      new FileReader(path, static_cast<const char*>(mapped), file_bytes));
  RETURN_IF_ERROR(reader->ReadMeta());
  return reader;
}

FileReader::FileReader(std::string path, const char* bytes, uint64_t file_bytes)
    : path_(std::move(path)), bytes_(bytes), file_bytes_(file_bytes) {}

FileReader::~FileReader() { munmap(const_cast<char*>(bytes_), file_bytes_); }

absl::Status FileReader::Bad(uint64_t page, std::string_view why) const {
  return absl::DataLossError(
      absl::StrCat(path_, " is damaged at page ", page, ": ", std::string(why)));
}

// Of the two metas the valid one with the higher transaction counts.
absl::Status FileReader::ReadMeta() {
  std::optional<uint64_t> newest;
  // The second stands behind a page whose size only the first one says; pages are powers of two.
  for (uint64_t at = 0; at + kPageHeadBytes + kMetaBytes <= file_bytes_ && at <= (64 << 10);
       at = at == 0 ? 1024 : at * 2) {
    const std::string_view meta(bytes_ + at + kPageHeadBytes, kMetaBytes);
    if (Load<uint32_t>(meta.data()) != kMagic) continue;
    if (Load<uint32_t>(meta.data() + 4) != kVersion) continue;
    if (Load<uint64_t>(meta.data() + 56) != Fnv1a(meta.substr(0, 56))) continue;
    const auto txid = Load<uint64_t>(meta.data() + 48);
    if (newest.has_value() && *newest >= txid) continue;
    newest = txid;
    page_bytes_ = Load<uint32_t>(meta.data() + 8);
    root_ = Load<uint64_t>(meta.data() + 16);
  }
  if (!newest.has_value()) {
    return absl::DataLossError(absl::StrCat(path_, " is no snapshot: it has no valid first page"));
  }
  if (page_bytes_ < 1024 || page_bytes_ > (64 << 10)) return Bad(0, "its pages have no such size");
  return absl::OkStatus();
}

absl::StatusOr<FileReader::Page> FileReader::PageAt(uint64_t number) const {
  if (number < 2 || number >= file_bytes_ / page_bytes_) return Bad(number, "it is not there");
  const char* const at = bytes_ + number * page_bytes_;
  const uint64_t pages = uint64_t{1} + Load<uint32_t>(at + 12);
  if (pages > file_bytes_ / page_bytes_ - number) return Bad(number, "it reaches past the end");
  if (Load<uint64_t>(at) != number) return Bad(number, "it says it is another");
  return PageOf({at, pages * page_bytes_}, number);
}

absl::StatusOr<FileReader::Page> FileReader::PageOf(std::string_view bytes, uint64_t number) const {
  if (bytes.size() < kPageHeadBytes) return Bad(number, "it is cut");
  Page page;
  page.number = number;
  page.flags = Load<uint16_t>(bytes.data() + 8);
  page.count = Load<uint16_t>(bytes.data() + 10);
  page.bytes = bytes;
  if (page.flags != kLeafPage && page.flags != kBranchPage) return Bad(number, "it is no tree's");
  if (kPageHeadBytes + page.count * kElementBytes > bytes.size()) {
    return Bad(number, "it has more elements than room");
  }
  return page;
}

absl::Status FileReader::Walk(const Page& page, int depth, std::string* last_key, bool buckets,
                              Visit visit) const {
  if (page.flags == kLeafPage) return WalkLeaf(page, last_key, buckets, visit);
  if (depth == kDepthMax) return Bad(page.number, "its tree has no end");
  for (uint16_t i = 0; i < page.count; ++i) {
    const char* const element = page.bytes.data() + kPageHeadBytes + i * kElementBytes;
    ASSIGN_OR_RETURN(const Page child, PageAt(Load<uint64_t>(element + 8)));
    RETURN_IF_ERROR(Walk(child, depth + 1, last_key, buckets, visit));
  }
  return absl::OkStatus();
}

absl::Status FileReader::WalkLeaf(const Page& page, std::string* last_key, bool buckets,
                                  Visit visit) const {
  for (uint16_t i = 0; i < page.count; ++i) {
    const size_t own_at = kPageHeadBytes + i * kElementBytes;
    const char* const element = page.bytes.data() + own_at;
    const bool is_bucket = (Load<uint32_t>(element) & kIsBucket) != 0;
    const uint64_t key_at = own_at + Load<uint32_t>(element + 4);
    const uint64_t key_bytes = Load<uint32_t>(element + 8);
    const uint64_t value_bytes = Load<uint32_t>(element + 12);
    if (key_at + key_bytes + value_bytes > page.bytes.size()) {
      return Bad(page.number, "an element reaches past it");
    }
    if (is_bucket != buckets) return Bad(page.number, "a bucket lies where none should");
    const std::string_view key = page.bytes.substr(key_at, key_bytes);
    if (!last_key->empty() && key <= *last_key) return Bad(page.number, "keys are out of order");
    *last_key = key;
    RETURN_IF_ERROR(visit(key, page.bytes.substr(key_at + key_bytes, value_bytes)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FileReader::Buckets() const {
  std::vector<std::string> names;
  std::string last_key;
  ASSIGN_OR_RETURN(const Page root, PageAt(root_));
  // The root's tree holds nothing but buckets.
  RETURN_IF_ERROR(Walk(root, 0, &last_key, true, [&](std::string_view name, std::string_view) {
    names.emplace_back(name);
    return absl::OkStatus();
  }));
  return names;
}

absl::Status FileReader::ForEach(std::string_view bucket, Visit visit) const {
  std::optional<std::string_view> found;
  std::string last_bucket;
  ASSIGN_OR_RETURN(const Page root, PageAt(root_));
  RETURN_IF_ERROR(
      Walk(root, 0, &last_bucket, true, [&](std::string_view name, std::string_view value) {
        if (name == bucket) found = value;
        return absl::OkStatus();
      }));
  if (!found.has_value()) return absl::OkStatus();
  if (found->size() < kBucketBytes) return Bad(root_, "a bucket's record is too short");
  const auto tree = Load<uint64_t>(found->data());
  std::string last_key;
  if (tree == 0) {
    ASSIGN_OR_RETURN(const Page inline_page, PageOf(found->substr(kBucketBytes), root_));
    return Walk(inline_page, 0, &last_key, false, visit);
  }
  ASSIGN_OR_RETURN(const Page page, PageAt(tree));
  return Walk(page, 0, &last_key, false, visit);
}

}  // namespace store::bolt
