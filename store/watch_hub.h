// SPDX-License-Identifier: Apache-2.0
//
// watch_hub.h: who watches on this member, and how what is applied comes to them.
//
// The apply thread hands each batch of changes over once it can be read; the watch thread, which
// calls Turn, does the rest, so that no watcher slows a writer. A watcher hears live, or it catches
// up: because it began in the past, because its client does not read, because changes came faster
// than they went, or because a whole state was installed. All of these are the same to it.
//
// Nothing is sent twice or left out: a round goes to those who stand exactly before it, and whoever
// is left out of a round stands before it until a read from the `revision` family serves it.
//
// Memory: changes and requests on their way, and what is sent and not yet read by clients, are
//         bounded in bytes; watchers in number.
// Threads: Turn and Wait on one, the watch thread; the rest on any, and none of it blocks.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/batch_queue.h"
#include "base/random.h"
#include "base/time.h"
#include "proto/etcd/rpc.pb.h"
#include "store/change_batch.h"
#include "store/watch_catchup.h"
#include "store/watch_fanout.h"
#include "store/watcher.h"

namespace store {

struct WatchHubOptions {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  size_t watchers_max = 1'000'000;
  // Changes that wait for the watch thread; beyond it watchers catch up from the disk.
  size_t change_bytes_max = 64 << 20;
  // Requests that wait for it, of one stream and of all.
  size_t stream_request_bytes_max = 4 << 20;
  size_t request_bytes_max = 64 << 20;
  // What was sent on one stream and not yet read; its watchers get no events beyond it. Of all
  // streams together; beyond it a stream's own bound is `stream_bytes_min`.
  size_t stream_bytes_max = 4 << 20;
  size_t stream_bytes_min = 64 << 10;
  size_t sent_bytes_max = 256 << 20;
  // About where a response is cut into several (WatchFanout), and how much goes out in one round.
  size_t response_bytes = 1 << 20;
  size_t part_bytes = 1 << 20;
  base::Duration progress_interval = std::chrono::minutes(10);
  // Of the jitter that is added to it, a tenth at most.
  uint64_t random_seed = 0;
};

class WatchHub final : public ChangeObserver {
 public:
  using RaftTerm = std::function<uint64_t()>;

  // `reader` must outlive it, and be at its state's newest revision.
  WatchHub(const WatchHubOptions& options, const ChangeReader* reader, RaftTerm raft_term);

  // A new stream, without watchers. Close it when its far end has gone.
  std::shared_ptr<WatchStream> Open(std::shared_ptr<WatchSink> sink);
  // Answered through the sink, in order. Errors: ResourceExhausted if too much waits already;
  // the request is not taken then.
  absl::Status Request(const std::shared_ptr<WatchStream>& stream,
                       etcdserverpb::WatchRequest request);
  // All that was sent on it has left.
  void Drained(const std::shared_ptr<WatchStream>& stream);
  void Close(const std::shared_ptr<WatchStream>& stream);
  // Ends every stream that is there.
  void EndAll(absl::Status why);

  bool wanted() const override { return open_streams_.load() > 0; }
  void OnChanges(ChangeBatch batch) override;
  void OnInstall(int64_t revision_before, int64_t revision) override;

  // Does what is due. True if there is more to do at once.
  bool Turn(base::TimePoint now);
  // Returns when there is something to do, or at `until` at the latest.
  void Wait(base::TimePoint until) { inbox_.Wait(std::min(until, next_due())); }
  // When the next progress notification is due.
  base::TimePoint next_due() const { return next_due_; }
  // Wait returns at once from now on.
  void Stop() { inbox_.Close(); }
  bool stopped() const { return inbox_.closed(); }

  // For whoever looks on. Threads: any.
  size_t watchers() const { return watchers_.load(std::memory_order_relaxed); }

 private:
  struct Item {
    enum class Kind : uint8_t { kChanges, kRequest, kDrained, kClosed, kEndAll, kInstalled };
    Kind kind = Kind::kChanges;
    // Of kChanges. One in which nothing lies between its ends says that it is not known here.
    ChangeBatch changes;
    std::shared_ptr<WatchStream> stream;
    std::unique_ptr<etcdserverpb::WatchRequest> request;
    absl::Status why;
    // Of kInstalled.
    int64_t revision = 0;
    bool went_back = false;
  };

  void Handle(Item* item, base::TimePoint now);
  void Live(std::vector<ChangeBatch> batches);
  // Everything up to `revision` counts as passed; who has not heard of it catches up.
  void SkipTo(int64_t revision);
  void CatchUp();

  void Serve(WatchStream* stream, const etcdserverpb::WatchRequest& request, base::TimePoint now);
  void Create(WatchStream* stream, const etcdserverpb::WatchCreateRequest& request,
              base::TimePoint now);
  // Why there can be no such watcher; empty if there can.
  std::string Refusal(const WatchStream& stream,
                      const etcdserverpb::WatchCreateRequest& request) const;
  void Cancel(WatchStream* stream, int64_t watch_id);
  void TellProgress(WatchStream* stream);
  void NotifyProgress(base::TimePoint now);
  void ArmProgress(WatchStream* stream, base::TimePoint now);

  void SendEvents(WatchStream* stream, std::string response);
  void SendControl(WatchStream* stream, etcdserverpb::WatchResponse response);
  void Count(WatchStream* stream, size_t queued);
  // What was found to be full in the round that is over.
  void SettleFull();
  void SetFull(WatchStream* stream, bool full);
  // From now on it catches up, from `next_revision` on.
  void FallBack(Watcher* watcher, int64_t next_revision);
  void Remove(Watcher* watcher);
  void End(WatchStream* stream, const absl::Status& why);
  void EndEach(const absl::Status& why);
  void FillHeader(int64_t revision, etcdserverpb::ResponseHeader* header) const;

  const WatchHubOptions options_;
  const ChangeReader* const reader_;
  const RaftTerm raft_term_;
  base::BatchQueue<Item> inbox_;
  std::atomic<size_t> change_bytes_{0};
  std::atomic<size_t> request_bytes_{0};
  std::atomic<size_t> open_streams_{0};
  std::atomic<size_t> watchers_{0};

  // Of the watch thread.
  base::Random random_;
  WatchFanout fanout_;
  WatchCatchup catchup_;
  // Those who are synced have heard of everything up to here.
  int64_t live_revision_;
  std::set<std::shared_ptr<WatchStream>> streams_;
  std::set<std::pair<base::TimePoint, WatchStream*>> progress_;
  size_t sent_bytes_ = 0;
  std::vector<WatchStream*> filled_;
  base::TimePoint next_due_ = base::kForever;
};

}  // namespace store
