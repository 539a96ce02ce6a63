// SPDX-License-Identifier: Apache-2.0
//
// client.h: a client of a Datum (or etcd) cluster.
//
// One Client for a program is enough; it keeps a connection to each endpoint it needs. A call goes
// to the endpoint that answered last and moves on when that one cannot be reached. Every call ends
// by its deadline.
//
// What is sent twice: reads (Range, Status, MemberList, Alarms and a Txn of reads alone) go to the
// next endpoint when one is Unavailable or silent. A write is sent at most once: it moves on only
// while no connection could be made, or when a learner turned it away, which are the two cases in
// which nobody can have run it. After any other failure the outcome may be unknown, and only the
// caller can tell whether to look or to send it again.
//
// Threads: any, all at once.
// Errors:  the server's code and text unchanged (OutOfRange "etcdserver: mvcc: required revision
//          has been compacted"). DeadlineExceeded, and Unavailable if no endpoint could be reached.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/request.h"
#include "proto/etcd/rpc.pb.h"
#include "proto/etcd/v3election.pb.h"
#include "proto/etcd/v3lock.pb.h"

namespace client {

struct Options {
  // host:port, http://host:port or unix:/path. At least one.
  std::vector<std::string> endpoints = {"127.0.0.1:2379"};
  // For one call with all its attempts; also the time in which a write must be answered.
  absl::Duration call_timeout = absl::Seconds(5);
  // A connection that takes longer counts as failed.
  absl::Duration dial_timeout = absl::Seconds(2);
  // A read that one endpoint leaves unanswered so long goes to the next. Without a next one it
  // waits for the call's deadline.
  absl::Duration read_attempt_timeout = absl::Seconds(2);
  // Once no endpoint could serve, all are tried again after a pause: the first, doubled each
  // round up to the longest, and of each a random half to the whole.
  absl::Duration pause_first = absl::Milliseconds(20);
  absl::Duration pause_longest = absl::Seconds(1);
  // Rounds over all endpoints before the last error is returned.
  int rounds_max = 8;
  // A silent connection is pinged, and dropped if it does not answer. Zero: never.
  absl::Duration keepalive_time = absl::ZeroDuration();
  absl::Duration keepalive_timeout = absl::Seconds(6);
  // Larger messages are refused on this side.
  size_t request_bytes_max = size_t{2} << 20;
  size_t response_bytes_max = (size_t{1} << 31) - 1;
};

class Connections;

class Client {
 public:
  // Connects when the first call is made, not here.
  // Errors: InvalidArgument names the endpoint or field that cannot be used.
  static absl::StatusOr<std::unique_ptr<Client>> Create(Options options);
  ~Client();

  // Reads one key at the newest revision. NotFound if there is none.
  absl::StatusOr<mvccpb::KeyValue> Get(std::string_view key) const;

  // Reads with every option of RangeRequest; client/request.h makes the usual ones.
  absl::StatusOr<etcdserverpb::RangeResponse> Range(
      const etcdserverpb::RangeRequest& request) const;

  // Returns once the write is durable on a quorum and readable.
  absl::StatusOr<etcdserverpb::PutResponse> Put(std::string_view key, std::string_view value) const;
  absl::StatusOr<etcdserverpb::PutResponse> Put(const etcdserverpb::PutRequest& request) const;

  // Deletes a key, or a range under one revision.
  absl::StatusOr<etcdserverpb::DeleteRangeResponse> DeleteRange(
      const etcdserverpb::DeleteRangeRequest& request) const;

  // Runs one branch as one step; see Transaction in client/request.h.
  absl::StatusOr<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request) const;

  // Gives up the history before `revision`. With `physical`, returns when the space is free.
  absl::StatusOr<etcdserverpb::CompactionResponse> Compact(int64_t revision,
                                                           bool physical = false) const;

  // `id` 0 lets the server pick one.
  absl::StatusOr<etcdserverpb::LeaseGrantResponse> LeaseGrant(int64_t ttl_seconds,
                                                              int64_t id = 0) const;
  absl::StatusOr<etcdserverpb::LeaseRevokeResponse> LeaseRevoke(int64_t id) const;
  // Once; client/lease.h does it for as long as it is needed. A TTL of 0 in the answer: there is
  // no such lease. `timeout` 0: the options'.
  absl::StatusOr<etcdserverpb::LeaseKeepAliveResponse> LeaseKeepAlive(
      int64_t id, absl::Duration timeout = absl::ZeroDuration()) const;
  // A TTL of -1 in the answer: there is no such lease.
  absl::StatusOr<etcdserverpb::LeaseTimeToLiveResponse> LeaseTimeToLive(int64_t id,
                                                                        bool keys = false) const;
  absl::StatusOr<etcdserverpb::LeaseLeasesResponse> Leases() const;

  // Waits until the lock of that name is the lease's, and returns the key that exists while it is.
  // client/lease.h has the usual way.
  absl::StatusOr<v3lockpb::LockResponse> Lock(std::string_view name, int64_t lease,
                                              absl::Duration timeout) const;
  absl::StatusOr<v3lockpb::UnlockResponse> Unlock(std::string_view key) const;

  // Waits until the lease leads the election of that name; it then says `value`.
  absl::StatusOr<v3electionpb::CampaignResponse> Campaign(std::string_view name, int64_t lease,
                                                          std::string_view value,
                                                          absl::Duration timeout) const;
  absl::StatusOr<v3electionpb::ProclaimResponse> Proclaim(const v3electionpb::LeaderKey& leader,
                                                          std::string_view value) const;
  absl::StatusOr<v3electionpb::LeaderResponse> Leader(std::string_view name) const;
  absl::StatusOr<v3electionpb::ResignResponse> Resign(const v3electionpb::LeaderKey& leader) const;

  // The members as the cluster knows them; not linearizable: as one member knows them.
  absl::StatusOr<etcdserverpb::MemberListResponse> MemberList(bool linearizable = true) const;

  // Changes of the members; each returns once it is made, with the members as they are then.
  absl::StatusOr<etcdserverpb::MemberAddResponse> MemberAdd(
      const std::vector<std::string>& peer_urls, bool is_learner = false) const;
  absl::StatusOr<etcdserverpb::MemberRemoveResponse> MemberRemove(uint64_t id) const;
  absl::StatusOr<etcdserverpb::MemberUpdateResponse> MemberUpdate(
      uint64_t id, const std::vector<std::string>& peer_urls) const;
  // A learner votes from now on.
  absl::StatusOr<etcdserverpb::MemberPromoteResponse> MemberPromote(uint64_t id) const;

  // The leader, which this endpoint must be, hands over to that member.
  absl::Status MoveLeader(std::string_view endpoint, uint64_t to) const;

  // The alarms that are on.
  absl::StatusOr<etcdserverpb::AlarmResponse> Alarms() const;
  // Member 0 is every member.
  absl::StatusOr<etcdserverpb::AlarmResponse> AlarmDisarm(uint64_t member,
                                                          etcdserverpb::AlarmType type) const;

  // What this one endpoint says of itself; it is not asked of another.
  // Errors: InvalidArgument if it is not one of the options' endpoints.
  absl::StatusOr<etcdserverpb::StatusResponse> Status(std::string_view endpoint) const;
  // The same of these. HashKV: of the history up to `revision`, 0 for all of it.
  absl::StatusOr<etcdserverpb::HashKVResponse> HashKV(std::string_view endpoint,
                                                      int64_t revision = 0) const;
  absl::Status Defragment(std::string_view endpoint) const;

  // The endpoint's whole state as a file that etcd's tools read, in pieces. What `sink` returns
  // ends it. `timeout` for all of it; absl::InfiniteDuration() is none.
  using SnapshotSink = std::function<absl::Status(const etcdserverpb::SnapshotResponse& piece)>;
  absl::Status Snapshot(std::string_view endpoint, absl::Duration timeout,
                        const SnapshotSink& sink) const;

  const std::vector<std::string>& endpoints() const;

 private:
  friend class Watcher;
  friend class ElectionWatcher;
  explicit Client(std::unique_ptr<Connections> connections);

  std::unique_ptr<Connections> connections_;
};

}  // namespace client
