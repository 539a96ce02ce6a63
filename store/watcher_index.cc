// SPDX-License-Identifier: Apache-2.0

#include "store/watcher_index.h"

#include <utility>

#include "glog/logging.h"
#include "store/keys.h"

namespace store {
namespace {

// Spreads the bits of a counter, so that the treap's shape has no pattern (splitmix64's finisher).
uint64_t Spread(uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

template <typename Watchers>
void Enter(Watchers* all, Watcher* watcher) {
  watcher->place = all->size();
  all->push_back(watcher);
}

template <typename Watchers>
void Leave(Watchers* all, Watcher* watcher) {
  CHECK((*all)[watcher->place] == watcher);
  (*all)[watcher->place] = all->back();
  (*all)[watcher->place]->place = watcher->place;
  all->pop_back();
}

}  // namespace

// One range and all who watch it.
struct WatcherIndex::Node {
  Node(const KeyRange& range, uint64_t at) : begin(range.begin), end(range.end), priority(at) {}

  // An empty end is no end.
  static bool EndsBefore(std::string_view a, std::string_view b) {
    if (a.empty()) return false;
    return b.empty() || a < b;
  }
  int Compare(const KeyRange& other) const {
    const int order = std::string_view(begin).compare(other.begin);
    return order != 0 ? order : std::string_view(end).compare(other.end);
  }
  void Update() {
    last_end = end;
    for (const Tree* child : {&left, &right}) {
      if (*child != nullptr && EndsBefore(last_end, (*child)->last_end)) {
        last_end = (*child)->last_end;
      }
    }
  }

  const std::string begin;
  const std::string end;
  const uint64_t priority;
  std::vector<Watcher*> watchers;
  // The latest end in this subtree; a view of some node's own.
  std::string_view last_end;
  Tree left;
  Tree right;
};

WatcherIndex::WatcherIndex() = default;
WatcherIndex::~WatcherIndex() = default;

void WatcherIndex::Add(Watcher* watcher) {
  if (!watcher->single()) return Insert(&ranges_, watcher);
  const auto found = by_key_.find(watcher->key);
  if (found != by_key_.end()) return Enter(&found->second->watchers, watcher);
  auto single = std::make_unique<Single>();
  single->key = watcher->key;
  Enter(&single->watchers, watcher);
  const std::string_view key = single->key;
  by_key_.emplace(key, std::move(single));
}

void WatcherIndex::Remove(Watcher* watcher) {
  if (!watcher->single()) return Erase(&ranges_, watcher);
  const auto found = by_key_.find(watcher->key);
  CHECK(found != by_key_.end());
  Leave(&found->second->watchers, watcher);
  if (!found->second->watchers.empty()) return;
  // Its key is the map's: it goes last.
  const std::unique_ptr<Single> gone = std::move(found->second);
  by_key_.erase(found);
}

void WatcherIndex::Match(std::string_view key, Visit visit) const {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    for (Watcher* watcher : found->second->watchers) visit(watcher);
  }
  Stab(ranges_, key, visit);
}

void WatcherIndex::Insert(Tree* tree, Watcher* watcher) {
  if (*tree == nullptr) {
    const KeyRange range = KeyRangeOf(watcher->key, watcher->range_end);
    *tree = std::make_unique<Node>(range, Spread(++nodes_made_));
    Enter(&(*tree)->watchers, watcher);
    (*tree)->Update();
    return;
  }
  Node& node = **tree;
  const int order = node.Compare(KeyRangeOf(watcher->key, watcher->range_end));
  if (order == 0) {
    Enter(&node.watchers, watcher);
    return;
  }
  Tree Node::*const side = order > 0 ? &Node::left : &Node::right;
  Tree Node::*const other = order > 0 ? &Node::right : &Node::left;
  Insert(&(node.*side), watcher);
  if ((node.*side)->priority > node.priority) {
    // The child rises; what lies between the two changes its parent.
    Tree child = std::move(node.*side);
    node.*side = std::move((*child).*other);
    node.Update();
    (*child).*other = std::move(*tree);
    *tree = std::move(child);
  }
  (*tree)->Update();
}

void WatcherIndex::Erase(Tree* tree, Watcher* watcher) {
  CHECK(*tree != nullptr) << "a watcher that was never added";
  Node& node = **tree;
  const int order = node.Compare(KeyRangeOf(watcher->key, watcher->range_end));
  if (order != 0) {
    Erase(order > 0 ? &node.left : &node.right, watcher);
    node.Update();
    return;
  }
  Leave(&node.watchers, watcher);
  if (!node.watchers.empty()) return;
  // Its two subtrees become one: the root with the higher priority stays above.
  const auto join = [](auto& self, Tree low, Tree high) -> Tree {
    if (low == nullptr) return high;
    if (high == nullptr) return low;
    if (low->priority > high->priority) {
      low->right = self(self, std::move(low->right), std::move(high));
      low->Update();
      return low;
    }
    high->left = self(self, std::move(low), std::move(high->left));
    high->Update();
    return high;
  };
  *tree = join(join, std::move(node.left), std::move(node.right));
}

void WatcherIndex::Stab(const Tree& tree, std::string_view key, Visit visit) {
  if (tree == nullptr) return;
  const Node& node = *tree;
  if (!node.last_end.empty() && node.last_end <= key) return;
  Stab(node.left, key, visit);
  // What is to the right begins even later.
  if (key < node.begin) return;
  if (node.end.empty() || key < node.end) {
    for (Watcher* watcher : node.watchers) visit(watcher);
  }
  Stab(node.right, key, visit);
}

}  // namespace store
