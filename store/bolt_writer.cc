// SPDX-License-Identifier: Apache-2.0

#include "store/bolt_writer.h"

#include <utility>

#include "glog/logging.h"
#include "store/bolt_file.h"

namespace store::bolt {
namespace {

// Pages 0 and 1 are the metas.
constexpr uint64_t kFirstPage = 2;
constexpr size_t kElementsMax = 65'535;

uint64_t PagesFor(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

std::string PageHead(uint64_t page, uint16_t flags, size_t count, uint64_t pages) {
  std::string head;
  bolt::Append<uint64_t>(&head, page);
  bolt::Append<uint16_t>(&head, flags);
  bolt::Append<uint16_t>(&head, static_cast<uint16_t>(count));
  bolt::Append<uint32_t>(&head, static_cast<uint32_t>(pages - 1));
  return head;
}

}  // namespace

bool TreeWriter::Add(std::string_view key, size_t value_bytes, std::string_view value,
                     uint32_t flags) {
  Element element;
  element.key = key;
  element.flags = flags;
  element.value_bytes = value_bytes;
  if (sink_ != nullptr) {
    CHECK_EQ(value.size(), value_bytes);
    element.value = value;
  }
  Append(0, std::move(element));
  return wanted_;
}

void TreeWriter::Append(size_t level, Element element) {
  if (levels_.size() == level) levels_.emplace_back();
  const size_t bytes = kElementBytes + element.key.size() + element.value_bytes;
  // By index: closing a page may add a level.
  if (!levels_[level].elements.empty() && (levels_[level].bytes + bytes > kPageBytes ||
                                           levels_[level].elements.size() == kElementsMax)) {
    Close(level);
  }
  levels_[level].bytes += bytes;
  levels_[level].elements.push_back(std::move(element));
}

void TreeWriter::Close(size_t level) {
  Level closing = std::exchange(levels_[level], Level{.pages = levels_[level].pages + 1});
  const uint64_t page = *next_page_;
  const uint64_t pages = PagesFor(closing.bytes);
  *next_page_ += pages;
  if (sink_ != nullptr) Emit(closing, level == 0, page, pages);
  Element above;
  if (!closing.elements.empty()) above.key = std::move(closing.elements.front().key);
  above.child = page;
  Append(level + 1, std::move(above));
}

void TreeWriter::Emit(const Level& level, bool leaf, uint64_t page, uint64_t pages) const {
  if (!wanted_) return;
  const size_t count = level.elements.size();
  std::string bytes = PageHead(page, leaf ? kLeafPage : kBranchPage, count, pages);
  size_t data_at = kPageHeadBytes + count * kElementBytes;
  for (size_t i = 0; i < count; ++i) {
    const Element& element = level.elements[i];
    const size_t own_at = kPageHeadBytes + i * kElementBytes;
    if (leaf) bolt::Append<uint32_t>(&bytes, element.flags);
    bolt::Append<uint32_t>(&bytes, static_cast<uint32_t>(data_at - own_at));
    bolt::Append<uint32_t>(&bytes, static_cast<uint32_t>(element.key.size()));
    if (leaf) {
      bolt::Append<uint32_t>(&bytes, static_cast<uint32_t>(element.value_bytes));
    } else {
      bolt::Append<uint64_t>(&bytes, element.child);
    }
    data_at += element.key.size() + element.value_bytes;
  }
  for (const Element& element : level.elements) {
    bytes.append(element.key);
    bytes.append(element.value);
  }
  CHECK_EQ(bytes.size(), level.bytes);
  bytes.resize(pages * kPageBytes);
  wanted_ = (*sink_)(bytes);
}

uint64_t TreeWriter::Finish() {
  if (levels_[0].elements.empty() && levels_[0].pages == 0) {
    // An empty bucket is an empty leaf.
    Close(0);
  }
  for (size_t level = 0;; ++level) {
    const Level& top = levels_[level];
    // The page that is alone on its level is the root.
    const bool alone =
        level > 0 && level + 1 == levels_.size() && top.pages == 0 && top.elements.size() == 1;
    if (alone) return top.elements.front().child;
    if (!top.elements.empty()) Close(level);
  }
}

uint64_t FileWriter::Plan() {
  uint64_t next_page = kFirstPage;
  for (auto& [name, bucket] : buckets_) {
    TreeWriter tree(&next_page, nullptr);
    bucket.fill(&tree, /*planning=*/true);
    bucket.root = tree.Finish();
  }
  root_ = WriteRoot(nullptr, &next_page);
  pages_ = next_page;
  return pages_ * kPageBytes;
}

bool FileWriter::Write(const Sink& sink) {
  if (!sink(Meta(0)) || !sink(Meta(1))) return false;
  uint64_t next_page = kFirstPage;
  for (auto& [name, bucket] : buckets_) {
    TreeWriter tree(&next_page, &sink);
    if (!bucket.fill(&tree, /*planning=*/false)) return false;
    CHECK_EQ(tree.Finish(), bucket.root) << "bucket " << name << " is not as it was planned";
  }
  bool wanted = true;
  const Sink last = [&](std::string_view bytes) { return wanted = sink(bytes); };
  CHECK_EQ(WriteRoot(&last, &next_page), root_);
  return wanted;
}

uint64_t FileWriter::WriteRoot(const Sink* sink, uint64_t* next_page) const {
  TreeWriter tree(next_page, sink);
  for (const auto& [name, bucket] : buckets_) {
    std::string value;
    bolt::Append<uint64_t>(&value, bucket.root);
    bolt::Append<uint64_t>(&value, 0);
    tree.Add(name, value.size(), value, kIsBucket);
  }
  return tree.Finish();
}

std::string FileWriter::Meta(uint64_t page) const {
  std::string bytes = PageHead(page, kMetaPage, 0, 1);
  std::string body;
  bolt::Append<uint32_t>(&body, kMagic);
  bolt::Append<uint32_t>(&body, kVersion);
  bolt::Append<uint32_t>(&body, kPageBytes);
  bolt::Append<uint32_t>(&body, 0);
  bolt::Append<uint64_t>(&body, root_);
  bolt::Append<uint64_t>(&body, 0);
  bolt::Append<uint64_t>(&body, kNoFreelist);
  bolt::Append<uint64_t>(&body, pages_);
  bolt::Append<uint64_t>(&body, page);
  bolt::Append<uint64_t>(&body, Fnv1a(body));
  bytes += body;
  bytes.resize(kPageBytes);
  return bytes;
}

}  // namespace store::bolt
