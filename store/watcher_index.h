// SPDX-License-Identifier: Apache-2.0
//
// watcher_index.h: who watches a key.
//
// Watchers of single keys are found by hash; those of ranges by a tree that is ordered by where
// ranges begin and knows of each subtree where its ranges end at the latest (an interval tree, on a
// treap). So a change costs the watchers that it has, and the logarithm of the ranges.
// Threads: one.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "store/watcher.h"

namespace store {

class WatcherIndex {
 public:
  using Visit = absl::FunctionRef<void(Watcher*)>;

  WatcherIndex();
  ~WatcherIndex();

  // Key and range_end must not change until Remove.
  void Add(Watcher* watcher);
  void Remove(Watcher* watcher);
  // Those who watch `key`. `visit` must not add or remove.
  void Match(std::string_view key, Visit visit) const;

 private:
  struct Node;
  using Tree = std::unique_ptr<Node>;

  void Insert(Tree* tree, Watcher* watcher);
  static void Erase(Tree* tree, Watcher* watcher);
  static void Stab(const Tree& tree, std::string_view key, Visit visit);

  // One key and all who watch just it.
  struct Single {
    std::string key;
    absl::InlinedVector<Watcher*, 1> watchers;
  };

  // The keys are the Singles' own.
  absl::flat_hash_map<std::string_view, std::unique_ptr<Single>> by_key_;
  Tree ranges_;
  // What the next node's priority is made from.
  uint64_t nodes_made_ = 0;
};

}  // namespace store
