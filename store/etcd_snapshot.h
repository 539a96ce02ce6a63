// SPDX-License-Identifier: Apache-2.0
//
// etcd_snapshot.h: the store at one revision, as the file that etcd's own tools read.
//
// Its bucket `key` is in the order of revisions: first what was live at the compact revision,
// sorted on the disk (keys and sizes alone: values are read when their turn comes), then every
// change since. Memory is bounded whatever the store holds.
// The store goes on meanwhile; what a later compaction may drop is held until this is destroyed.
// Threads: one at a time; any.
// Errors:  what the engine's reads and the spool's disk return.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "store/bolt_writer.h"
#include "store/cluster_record.h"
#include "store/key_space.h"
#include "store/sorted_spool.h"
#include "store/view.h"

namespace store {

class EtcdSnapshot {
 public:
  struct Cluster {
    Membership membership;
    std::vector<Alarm> alarms;
    // "3.7.0".
    std::string version;
  };

  // Makes the layout. `spool_path` names a file for sorting.
  // Requires: the view's backing holds what may be dropped, from before the view was made.
  static absl::StatusOr<std::unique_ptr<EtcdSnapshot>> Plan(std::shared_ptr<const View> view,
                                                            Cluster cluster,
                                                            base::FileSystem* files,
                                                            const std::string& spool_path);
  ~EtcdSnapshot();

  // Of the whole file.
  uint64_t bytes() const { return bytes_; }
  int64_t revision() const { return view_->numbers.revision; }
  // Errors: Cancelled if the sink wanted no more.
  absl::Status Write(const bolt::Sink& sink);

 private:
  EtcdSnapshot(std::shared_ptr<const View> view, Cluster cluster, base::FileSystem* files,
               const std::string& spool_path);

  absl::Status SortLive();
  void AddBuckets();
  bool FillKeys(bolt::TreeWriter* tree, bool planning);
  absl::Status FillLive(bolt::TreeWriter* tree, bool planning);
  absl::Status FillChanges(bolt::TreeWriter* tree, bool planning);
  bool FillLeases(bolt::TreeWriter* tree);
  bool FillAuth(bolt::TreeWriter* tree, const std::string& prefix);
  void AddMeta();

  const std::shared_ptr<const View> view_;
  const Cluster cluster_;
  const KeySpace keys_;
  SortedSpool live_;
  bolt::FileWriter file_;
  uint64_t bytes_ = 0;
  absl::Status failed_;
};

}  // namespace store
