// SPDX-License-Identifier: Apache-2.0
//
// bolt_reader.h: reads a bbolt file, whoever wrote it; trusts nothing in it.
//
// Threads: one at a time.
// Errors:  DataLoss, with the page, for what cannot be; the system's word for a file that cannot be
//          read.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace store::bolt {

class FileReader {
 public:
  // Looks at the first `file_bytes` of the file; all of it if 0.
  static absl::StatusOr<std::unique_ptr<FileReader>> Open(const std::string& path,
                                                          uint64_t file_bytes);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  // The views live as long as the reader. What `visit` returns ends the walk unless it is OK.
  using Visit = absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)>;

  // The names of all buckets, ascending.
  absl::StatusOr<std::vector<std::string>> Buckets() const;

  // All of a bucket in the order of its keys; nothing if there is no such bucket.
  absl::Status ForEach(std::string_view bucket, Visit visit) const;

 private:
  struct Page;

  FileReader(std::string path, const char* bytes, uint64_t file_bytes);

  absl::Status ReadMeta();
  absl::StatusOr<Page> PageAt(uint64_t number) const;
  absl::StatusOr<Page> PageOf(std::string_view bytes, uint64_t number) const;
  absl::Status Walk(const Page& page, int depth, std::string* last_key, bool buckets,
                    Visit visit) const;
  absl::Status WalkLeaf(const Page& page, std::string* last_key, bool buckets, Visit visit) const;
  absl::Status Bad(uint64_t page, std::string_view why) const;

  const std::string path_;
  // Mapped.
  const char* const bytes_;
  const uint64_t file_bytes_;
  uint64_t page_bytes_ = 0;
  uint64_t root_ = 0;
};

}  // namespace store::bolt
