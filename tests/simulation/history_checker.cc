// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/history_checker.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace simulation {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;

// What is known to have happened to one key, ascending.
struct KeyEvent {
  int64_t revision;
  const Operation* operation;
  bool is_delete() const { return operation->kind == Kind::kDelete; }
};

class HistoryChecker {
 public:
  explicit HistoryChecker(const History& history) : history_(history) {}

  std::string Check() {
    PlaceKnownWrites();
    PlaceSeenWrites();
    BuildModel();
    CheckGaps();
    for (const Operation& operation : history_) {
      if (operation.outcome == Outcome::kOk) CheckAnswer(operation);
    }
    CheckRealTime();
    return violation_;
  }

 private:
  void Fail(const std::string& what, const Operation& operation) {
    if (violation_.empty()) violation_ = "linearizability: " + what + ": " + Describe(operation);
  }

  void Place(int64_t revision, const Operation* operation) {
    const auto [placed, is_new] = at_revision_.emplace(revision, operation);
    if (!is_new && placed->second != operation) {
      Fail("two writes at one revision, the other is " + Describe(*placed->second), *operation);
    }
  }

  void PlaceKnownWrites() {
    for (const Operation& operation : history_) {
      if (operation.puts()) written_[operation.value] = &operation;
      if (operation.outcome != Outcome::kOk) continue;
      revision_max_ = std::max(revision_max_, operation.revision);
      if (operation.changed) Place(operation.revision, &operation);
    }
  }

  // A value that was read tells when its write happened, whatever its writer was told.
  void PlaceSeenWrites() {
    for (const Operation& operation : history_) {
      if (operation.outcome != Outcome::kOk) continue;
      for (const SeenDatum& datum : operation.seen) {
        const auto found = written_.find(datum.value);
        if (found == written_.end()) return Fail("a value that nobody wrote", operation);
        const Operation* write = found->second;
        if (write->key != datum.key) return Fail("a value of another key", operation);
        if (write->outcome == Outcome::kFail ||
            (write->outcome == Outcome::kOk &&
             (!write->changed || write->revision != datum.mod_revision))) {
          return Fail("a value that its write did not leave there, " + Describe(*write), operation);
        }
        if (write->outcome != Outcome::kUnknown) continue;
        const auto [placed, is_new] = seen_at_.emplace(write, datum.mod_revision);
        if (!is_new && placed->second != datum.mod_revision) {
          return Fail("one write at two revisions", operation);
        }
        Place(datum.mod_revision, write);
        revision_max_ = std::max(revision_max_, datum.mod_revision);
      }
    }
  }

  void BuildModel() {
    for (const auto& [revision, operation] : at_revision_) {
      events_[operation->key].push_back({revision, operation});
    }
    for (const Operation& operation : history_) {
      if (!operation.writes() || operation.outcome != Outcome::kUnknown) continue;
      if (seen_at_.count(&operation) == 0) unplaced_.push_back(&operation);
    }
    // Revision 1 is that of the empty store.
    for (int64_t revision = 2; revision <= revision_max_; ++revision) {
      if (at_revision_.count(revision) == 0) gaps_.push_back(revision);
    }
  }

  // Each revision that nobody claims was made by a write whose outcome is unknown, and that was
  // called before anybody saw the revision.
  void CheckGaps() {
    std::vector<const Operation*> answers;
    for (const Operation& operation : history_) {
      if (operation.outcome == Outcome::kOk) answers.push_back(&operation);
    }
    std::sort(answers.begin(), answers.end(),
              [](const Operation* a, const Operation* b) { return a->revision > b->revision; });
    std::sort(unplaced_.begin(), unplaced_.end(),
              [](const Operation* a, const Operation* b) { return a->call < b->call; });
    // From the highest gap down: the time by which it was seen at the latest.
    std::vector<base::TimePoint> seen_by(gaps_.size());
    base::TimePoint earliest = base::kForever;
    size_t answer = 0;
    for (size_t i = gaps_.size(); i-- > 0;) {
      while (answer < answers.size() && answers[answer]->revision >= gaps_[i]) {
        earliest = std::min(earliest, answers[answer++]->end);
      }
      seen_by[i] = earliest;
    }
    for (size_t i = 0; i < gaps_.size(); ++i) {
      if (i >= unplaced_.size() || unplaced_[i]->call > seen_by[i]) {
        violation_ = violation_.empty() ? "linearizability: revision " + std::to_string(gaps_[i]) +
                                              " was made by no write that anybody asked for"
                                        : violation_;
        return;
      }
    }
  }

  // Gaps in (from, to).
  int64_t GapsBetween(int64_t from, int64_t to) const {
    if (to <= from + 1) return 0;
    return std::lower_bound(gaps_.begin(), gaps_.end(), to) -
           std::upper_bound(gaps_.begin(), gaps_.end(), from);
  }

  // The last event of the key at or before the revision; null if there is none.
  const KeyEvent* LastEvent(const std::string& key, int64_t revision) const {
    const auto found = events_.find(key);
    if (found == events_.end()) return nullptr;
    const auto after =
        std::upper_bound(found->second.begin(), found->second.end(), revision,
                         [](int64_t at, const KeyEvent& event) { return at < event.revision; });
    return after == found->second.begin() ? nullptr : &*std::prev(after);
  }

  bool MayBeUnplaced(const std::string& key, bool is_delete, base::TimePoint before) const {
    return std::any_of(unplaced_.begin(), unplaced_.end(), [&](const Operation* operation) {
      return operation->key == key && (operation->kind == Kind::kDelete) == is_delete &&
             operation->call < before;
    });
  }

  void CheckPresent(const Operation& operation, const SeenDatum& datum, int64_t at) {
    const KeyEvent* last = LastEvent(datum.key, at);
    if (last == nullptr || last->revision != datum.mod_revision || last->is_delete()) {
      return Fail("a value that was replaced, by " +
                      (last ? Describe(*last->operation) : std::string("nothing")),
                  operation);
    }
    int64_t puts = 0;
    for (const KeyEvent& event : events_.at(datum.key)) {
      if (event.revision < datum.create_revision || event.revision > datum.mod_revision) continue;
      if (event.is_delete()) return Fail("a key that was deleted since it was created", operation);
      ++puts;
    }
    const int64_t gaps = GapsBetween(datum.create_revision - 1, datum.mod_revision);
    if (datum.version < puts || datum.version > puts + gaps) {
      return Fail("a version that counts " + std::to_string(puts) + " to " +
                      std::to_string(puts + gaps) + " writes",
                  operation);
    }
    const KeyEvent* before = LastEvent(datum.key, datum.create_revision - 1);
    if (before != nullptr && !before->is_delete() &&
        GapsBetween(before->revision, datum.create_revision) == 0) {
      Fail("a key created though it was there", operation);
    }
  }

  void CheckAbsent(const Operation& operation, const std::string& key, int64_t at) {
    const KeyEvent* last = LastEvent(key, at);
    if (last == nullptr || last->is_delete()) return;
    if (GapsBetween(last->revision, at + 1) > 0 && MayBeUnplaced(key, true, operation.end)) return;
    Fail(key + " is missing, after " + Describe(*last->operation), operation);
  }

  void CheckState(const Operation& operation, int64_t at) {
    std::set<std::string> keys = {operation.key};
    if (operation.kind == Kind::kRange) {
      keys.clear();
      for (const auto& [key, events] : events_) keys.insert(key);
    }
    for (const SeenDatum& datum : operation.seen) {
      keys.erase(datum.key);
      CheckPresent(operation, datum, at);
    }
    for (const std::string& key : keys) CheckAbsent(operation, key, at);
  }

  // What a write found when it came: its key's state right before its revision.
  void CheckWrite(const Operation& operation) {
    const KeyEvent* last = LastEvent(operation.key, operation.revision - 1);
    const bool present = last != nullptr && !last->is_delete();
    const int64_t gaps = GapsBetween(last == nullptr ? 1 : last->revision, operation.revision);
    if (operation.kind == Kind::kDelete && !present &&
        (gaps == 0 || !MayBeUnplaced(operation.key, false, operation.end))) {
      return Fail("it deleted a key that was not there", operation);
    }
    if (operation.kind != Kind::kTxn) return;
    if (present && last->operation->value == operation.expected) return;
    const auto expected = written_.find(operation.expected);
    const bool may_be = gaps > 0 && expected != written_.end() &&
                        expected->second->outcome == Outcome::kUnknown &&
                        seen_at_.count(expected->second) == 0;
    if (!may_be) Fail("its comparison held though the value was another", operation);
  }

  void CheckAnswer(const Operation& operation) {
    if (operation.kind == Kind::kCompact) return;
    if (operation.shown_revision > operation.revision) {
      return Fail("it shows the future", operation);
    }
    if (operation.writes() && operation.changed) return CheckWrite(operation);
    CheckState(operation, operation.shown_revision);
    if (operation.kind == Kind::kTxn && !operation.seen.empty() &&
        operation.seen.front().value == operation.expected) {
      Fail("its comparison failed though the value was the same", operation);
    }
  }

  // Whoever asks after an answer was given gets no older revision.
  void CheckRealTime() {
    struct Point {
      const Operation* operation;
      int64_t revision;
    };
    std::vector<Point> by_call;
    std::vector<Point> by_end;
    for (const Operation& operation : history_) {
      if (operation.outcome == Outcome::kOk && operation.kind != Kind::kCompact) {
        if (!operation.serializable) by_call.push_back({&operation, operation.revision});
        by_end.push_back({&operation, operation.revision});
      }
    }
    for (const auto& [operation, revision] : seen_at_) by_call.push_back({operation, revision});
    std::sort(by_call.begin(), by_call.end(),
              [](const Point& a, const Point& b) { return a.operation->call < b.operation->call; });
    std::sort(by_end.begin(), by_end.end(),
              [](const Point& a, const Point& b) { return a.operation->end < b.operation->end; });
    int64_t floor = 0;
    const Operation* floor_from = nullptr;
    size_t ended = 0;
    for (const Point& point : by_call) {
      for (; ended < by_end.size() && by_end[ended].operation->end < point.operation->call;
           ++ended) {
        if (by_end[ended].revision <= floor) continue;
        floor = by_end[ended].revision;
        floor_from = by_end[ended].operation;
      }
      const bool made = point.operation->writes() &&
                        (point.operation->changed || point.operation->outcome != Outcome::kOk);
      if (point.revision < floor || (made && point.revision == floor)) {
        return Fail("older than what was answered before it was asked, " + Describe(*floor_from),
                    *point.operation);
      }
    }
  }

  const History& history_;
  std::string violation_;
  int64_t revision_max_ = 1;
  std::map<std::string, const Operation*> written_;
  std::map<int64_t, const Operation*> at_revision_;
  // Writes of unknown outcome that a read has shown.
  std::map<const Operation*, int64_t> seen_at_;
  std::map<std::string, std::vector<KeyEvent>> events_;
  std::vector<const Operation*> unplaced_;
  std::vector<int64_t> gaps_;
};

}  // namespace

std::string CheckHistory(const History& history) { return HistoryChecker(history).Check(); }

}  // namespace simulation
