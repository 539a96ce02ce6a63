// SPDX-License-Identifier: Apache-2.0
//
// datumctl_print.h: answers as text, byte for byte etcdctl 3.7's. What etcdctl has no table for is
// printed as in simple.
//
// Threads: one.

#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "client/datumctl_arguments.h"
#include "proto/etcd/rpc.pb.h"

namespace client {

struct EndpointHealth {
  std::string endpoint;
  bool healthy = false;
  std::string took;
  std::string error;
};

struct EndpointStatus {
  std::string endpoint;
  etcdserverpb::StatusResponse status;
};

struct EndpointHash {
  std::string endpoint;
  etcdserverpb::HashKVResponse hash;
};

// What is known of a snapshot file, as etcdutl shows it.
struct SnapshotCells {
  uint32_t hash = 0;
  int64_t revision = 0;
  uint64_t total_keys = 0;
  uint64_t bytes = 0;
  std::string version;
};

class Printer {
 public:
  virtual ~Printer() = default;
  virtual void Get(const etcdserverpb::RangeResponse& response) = 0;
  virtual void Put(const etcdserverpb::PutResponse& response) = 0;
  virtual void Delete(const etcdserverpb::DeleteRangeResponse& response) = 0;
  virtual void Txn(const etcdserverpb::TxnResponse& response) = 0;
  virtual void Members(const etcdserverpb::MemberListResponse& response) = 0;
  // A change of the members: the sentence, or the answer for programs.
  virtual void Changed(const std::string& sentence, const google::protobuf::Message& response) = 0;
  virtual void Health(const std::vector<EndpointHealth>& healths) = 0;
  virtual void Status(const std::vector<EndpointStatus>& statuses) = 0;
  virtual void LeaseGranted(const etcdserverpb::LeaseGrantResponse& response) = 0;
  virtual void LeaseRevoked(int64_t id, const etcdserverpb::LeaseRevokeResponse& response) = 0;
  virtual void LeaseKept(const etcdserverpb::LeaseKeepAliveResponse& response) = 0;
  virtual void LeaseTime(const etcdserverpb::LeaseTimeToLiveResponse& response, bool with_keys) = 0;
  virtual void Leases(const etcdserverpb::LeaseLeasesResponse& response) = 0;
  virtual void Watch(const etcdserverpb::WatchResponse& response) = 0;
  virtual void Alarms(const etcdserverpb::AlarmResponse& response) = 0;
  virtual void Hashes(const std::vector<EndpointHash>& hashes) = 0;
  virtual void Snapshot(const SnapshotCells& snapshot) = 0;
};

struct PrintOptions {
  OutputFormat format = OutputFormat::kSimple;
  bool hex = false;
  bool value_only = false;
};

// Writes answers to *out and what is wrong to *err; both outlive the printer.
std::unique_ptr<Printer> MakePrinter(const PrintOptions& options, std::ostream* out,
                                     std::ostream* err);

}  // namespace client
