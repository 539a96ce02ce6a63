// SPDX-License-Identifier: Apache-2.0
//
// bolt_writer.h: writes a bbolt file from its first byte to its last, from sorted data.
//
// The first pages name the place of the last ones. So the data is gone through twice: first only
// its sizes, which give the layout, then the data itself. One open page a level is all the memory
// that it takes.
// Threads: one.
// Errors:  data that differs between the two rounds is a bug (CHECK).

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace store::bolt {

// Where bytes go. False: nobody wants any more.
using Sink = std::function<bool(std::string_view)>;

// One bucket's tree, page by page. What is planned has no values and goes nowhere.
class TreeWriter {
 public:
  // `*next_page` is the number of the next page of the file. A null sink plans.
  TreeWriter(uint64_t* next_page, const Sink* sink) : next_page_(next_page), sink_(sink) {}

  // Keys ascend. `value` counts only by its size when planning. False once the sink wants no more.
  bool Add(std::string_view key, size_t value_bytes, std::string_view value, uint32_t flags = 0);
  // Writes what is open. Returns the page of the root.
  uint64_t Finish();

 private:
  struct Element {
    std::string key;
    uint32_t flags = 0;
    // Of a branch.
    uint64_t child = 0;
    size_t value_bytes = 0;
    std::string value;
  };
  struct Level {
    std::vector<Element> elements;
    // Of the page with them.
    size_t bytes = kFirstBytes;
    uint64_t pages = 0;
  };
  static constexpr size_t kFirstBytes = 16;

  void Append(size_t level, Element element);
  // Writes the open page of that level and names it one level up.
  void Close(size_t level);
  void Emit(const Level& level, bool leaf, uint64_t page, uint64_t pages) const;

  uint64_t* const next_page_;
  const Sink* const sink_;
  mutable bool wanted_ = true;
  std::vector<Level> levels_{1};
};

class FileWriter {
 public:
  // Puts a bucket's data into a tree; must do the same each time. False: the tree wants no more.
  using Fill = std::function<bool(TreeWriter*, bool planning)>;

  // Requires: before Plan; each name once.
  void AddBucket(std::string name, Fill fill) { buckets_[std::move(name)].fill = std::move(fill); }

  // The first round. Returns the bytes of the file.
  uint64_t Plan();
  // The second. False if the sink wanted no more, or a Fill gave up.
  bool Write(const Sink& sink);

 private:
  struct Bucket {
    Fill fill;
    uint64_t root = 0;
  };

  uint64_t WriteRoot(const Sink* sink, uint64_t* next_page) const;
  std::string Meta(uint64_t page) const;

  // Ordered by name, as the root's leaf is.
  std::map<std::string, Bucket> buckets_;
  uint64_t root_ = 0;
  uint64_t pages_ = 0;
};

}  // namespace store::bolt
