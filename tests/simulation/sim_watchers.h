// SPDX-License-Identifier: Apache-2.0
//
// sim_watchers.h: clients that watch the simulated cluster, over the production hub on each member.
//
// They sit on any member that runs, read when they like, go on elsewhere when theirs crashes, loses
// its state or is seen to differ, and resume from what they were told. What they were told is held
// against all that any member applied (tests/watch). They draw from a source of their own, so that
// a seed means what it meant without them.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "store/kv_machine.h"
#include "store/watch_hub.h"
#include "tests/simulation/checker.h"
#include "tests/watch/watch_checker.h"

namespace simulation {

class SimWatchers {
 public:
  SimWatchers(uint64_t seed, Checker* checker);

  // The hub of one member, while its process runs.
  class Station final : public store::ChangeObserver {
   public:
    Station(SimWatchers* all, store::KvMachine* machine);
    ~Station() override;

    bool wanted() const override { return true; }
    void OnChanges(store::ChangeBatch batch) override;
    void OnInstall(int64_t revision_before, int64_t revision) override;

    // The member's state is lost, or is not what the log says: nobody is told of it.
    void Distrust();
    // Work of the watch thread, and of the clients that sit here.
    void Turn(base::TimePoint now);

    int64_t revision() const { return machine_->revision(); }
    bool trusted() const { return trusted_; }

   private:
    friend class SimWatchers;
    // True if there is more to do.
    bool TurnHub(base::TimePoint now);

    SimWatchers* const all_;
    store::KvMachine* const machine_;
    store::WatchHub hub_;
    bool trusted_ = true;
    // The highest compact revision that its hub has known.
    int64_t compacted_ = 0;
  };

  // At the end, when all is well: everybody reads to the end, and is held against the history.
  void Finish(base::TimePoint now);

 private:
  class Sink;
  struct Client {
    etcdserverpb::WatchCreateRequest request;
    std::unique_ptr<watch_check::WatchChecker> checker;
    Station* at = nullptr;
    std::shared_ptr<Sink> sink;
    std::shared_ptr<store::WatchStream> stream;
  };

  etcdserverpb::WatchCreateRequest SomeRequest();
  void Record(int64_t revision, std::vector<mvccpb::Event> events);
  void Sit(Client* client, Station* station);
  void Leave(Client* client);
  // Up to so many responses.
  void Read(Client* client, size_t responses_max);

  Checker* const checker_;
  base::Random random_;
  std::vector<Client> clients_;
  std::vector<Station*> stations_;
  // Those that were left, to be held against the history too.
  std::vector<std::unique_ptr<watch_check::WatchChecker>> left_;
  watch_check::History history_;
  // What came before its turn.
  std::map<int64_t, std::vector<mvccpb::Event>> early_;
  std::map<int64_t, std::string> recorded_;
  std::map<std::string, mvccpb::KeyValue> newest_;
  int64_t next_revision_ = 2;
};

}  // namespace simulation
