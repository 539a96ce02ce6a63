// SPDX-License-Identifier: Apache-2.0
//
// change_batch.h: changes in the order of their revisions, with their bytes, on the way to those
// who watch.
//
// Threads: one at a time; nothing changes once it is handed on.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "store/datum.h"
#include "store/keys.h"

namespace store {

// Whole revisions only, those in (`after`, `through`] that changed something.
class ChangeBatch {
 public:
  explicit ChangeBatch(int64_t after = 0) : after_(after), through_(after) {}

  // Requires: `revision` is above all that was added.
  void Add(Revision revision, std::string_view encoded_change) {
    places_.push_back({revision, bytes_.size(), encoded_change.size()});
    bytes_.append(encoded_change);
  }
  void set_through(int64_t through) { through_ = through; }
  int64_t after() const { return after_; }
  int64_t through() const { return through_; }
  size_t size() const { return places_.size(); }
  // What it takes in memory, about.
  size_t bytes() const { return bytes_.size() + places_.size() * sizeof(Place) + sizeof(*this); }

  Revision revision(size_t i) const { return places_[i].revision; }
  // The views live as long as the batch. Errors: DataLoss.
  absl::StatusOr<Change> Decode(size_t i) const {
    return DecodeChange(std::string_view(bytes_).substr(places_[i].begin, places_[i].bytes));
  }

 private:
  struct Place {
    Revision revision;
    size_t begin = 0;
    size_t bytes = 0;
  };

  int64_t after_ = 0;
  int64_t through_ = 0;
  std::string bytes_;
  std::vector<Place> places_;
};

// Where those who watch read what they have missed. Threads: any.
class ChangeReader {
 public:
  virtual ~ChangeReader() = default;

  virtual int64_t revision() const = 0;
  virtual int64_t compact_revision() const = 0;

  // The changes from revision `from` on and up to `through`, whole revisions, until they take
  // `bytes_max`; one revision at least.
  // Errors: kCompacted if `from` is below the compact revision; Unavailable if `through` is above
  //         revision(), which may go back (ChangeObserver::OnInstall); as the engine's reads.
  virtual absl::StatusOr<ChangeBatch> ReadChanges(int64_t from, int64_t through,
                                                  size_t bytes_max) const = 0;

  // The datum that `change`, made at `revision`, replaced or deleted. False if there was none, or a
  // compaction has passed it. Errors: as the engine's reads.
  virtual absl::StatusOr<bool> ReadPrevious(
      Revision revision, const Change& change,
      absl::FunctionRef<void(const Datum&)> on_datum) const = 0;
};

// Hears of each change once it can be read. Threads: the apply thread; must not block.
class ChangeObserver {
 public:
  virtual ~ChangeObserver() = default;
  // Whether anybody wants to know: what is not wanted is not copied.
  virtual bool wanted() const = 0;
  virtual void OnChanges(ChangeBatch batch) = 0;
  // A state at `revision` has taken the place of one at `revision_before`. One that is older took
  // the place of a state that was lost.
  virtual void OnInstall(int64_t revision_before, int64_t revision) = 0;
};

}  // namespace store
