// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_print.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/datumctl_json.h"
#include "client/datumctl_text.h"

namespace client {
namespace {

using Rows = std::vector<std::vector<std::string>>;

const char* Bool(bool value) { return value ? "true" : "false"; }

Rows MemberRows(const etcdserverpb::MemberListResponse& response) {
  Rows rows;
  for (const etcdserverpb::Member& member : response.members()) {
    rows.push_back({absl::StrFormat("%x", member.id()),
                    member.name().empty() ? "unstarted" : "started", member.name(),
                    absl::StrJoin(member.peerurls(), ","), absl::StrJoin(member.clienturls(), ","),
                    Bool(member.islearner())});
  }
  return rows;
}

Rows StatusRows(const std::vector<EndpointStatus>& statuses) {
  Rows rows;
  for (const auto& [endpoint, status] : statuses) {
    const int64_t unused_percent =
        status.dbsize() > 0 ? 100 - status.dbsizeinuse() * 100 / status.dbsize() : 0;
    rows.push_back(
        {endpoint, absl::StrFormat("%x", status.header().member_id()), status.version(),
         status.storageversion(), HumanBytes(static_cast<uint64_t>(status.dbsize())),
         HumanBytes(static_cast<uint64_t>(status.dbsizeinuse())), absl::StrCat(unused_percent, "%"),
         HumanBytes(static_cast<uint64_t>(status.dbsizequota())),
         Bool(status.leader() == status.header().member_id()), Bool(status.islearner()),
         absl::StrCat(status.raftterm()), absl::StrCat(status.raftindex()),
         absl::StrCat(status.raftappliedindex()), absl::StrJoin(status.errors(), ", "),
         status.downgradeinfo().targetversion(), Bool(status.downgradeinfo().enabled())});
  }
  return rows;
}

Rows HashRows(const std::vector<EndpointHash>& hashes) {
  Rows rows;
  for (const auto& [endpoint, hash] : hashes) {
    rows.push_back({endpoint, absl::StrCat(hash.hash()), absl::StrCat(hash.hash_revision())});
  }
  return rows;
}

Rows SnapshotRows(const SnapshotCells& snapshot) {
  return {{absl::StrFormat("%x", snapshot.hash), absl::StrCat(snapshot.revision),
           absl::StrCat(snapshot.total_keys), HumanBytes(snapshot.bytes), snapshot.version}};
}

const char* TypeOf(const mvccpb::Event& event) {
  return event.type() == mvccpb::Event::DELETE ? "DELETE" : "PUT";
}

class SimplePrinter : public Printer {
 public:
  SimplePrinter(const PrintOptions& options, std::ostream* out, std::ostream* err)
      : options_(options), out_(*out), err_(*err) {}

  void Get(const etcdserverpb::RangeResponse& response) override {
    for (const mvccpb::KeyValue& datum : response.kvs()) Datum(datum);
  }

  void Put(const etcdserverpb::PutResponse& response) override {
    out_ << "OK\n";
    if (response.has_prev_kv()) Datum(response.prev_kv());
  }

  void Delete(const etcdserverpb::DeleteRangeResponse& response) override {
    out_ << response.deleted() << "\n";
    for (const mvccpb::KeyValue& datum : response.prev_kvs()) Datum(datum);
  }

  void Txn(const etcdserverpb::TxnResponse& response) override {
    out_ << (response.succeeded() ? "SUCCESS\n" : "FAILURE\n");
    for (const etcdserverpb::ResponseOp& op : response.responses()) {
      out_ << "\n";
      if (op.has_response_delete_range()) Delete(op.response_delete_range());
      if (op.has_response_put()) Put(op.response_put());
      if (op.has_response_range()) Get(op.response_range());
    }
  }

  void Members(const etcdserverpb::MemberListResponse& response) override {
    Lines(MemberRows(response));
  }

  void Changed(const std::string& sentence, const google::protobuf::Message&) override {
    out_ << sentence << "\n";
  }

  void Health(const std::vector<EndpointHealth>& healths) override {
    for (const EndpointHealth& health : healths) {
      if (health.healthy) {
        out_ << health.endpoint
             << " is healthy: successfully committed proposal: took = " << health.took << "\n";
      } else {
        err_ << health.endpoint << " is unhealthy: failed to commit proposal: " << health.error
             << "\n";
      }
    }
  }

  void Status(const std::vector<EndpointStatus>& statuses) override { Lines(StatusRows(statuses)); }

  void LeaseGranted(const etcdserverpb::LeaseGrantResponse& response) override {
    out_ << absl::StrFormat("lease %016x granted with TTL(%ds)\n", response.id(), response.ttl());
  }

  void LeaseRevoked(int64_t id, const etcdserverpb::LeaseRevokeResponse& /*response*/) override {
    out_ << absl::StrFormat("lease %016x revoked\n", id);
  }

  void LeaseKept(const etcdserverpb::LeaseKeepAliveResponse& response) override {
    out_ << absl::StrFormat("lease %016x keepalived with TTL(%d)\n", response.id(), response.ttl());
  }

  void LeaseTime(const etcdserverpb::LeaseTimeToLiveResponse& response, bool with_keys) override {
    if (response.grantedttl() == 0 && response.ttl() == -1) {
      out_ << absl::StrFormat("lease %016x already expired\n", response.id());
      return;
    }
    out_ << absl::StrFormat("lease %016x granted with TTL(%ds), remaining(%ds)", response.id(),
                            response.grantedttl(), response.ttl());
    if (with_keys) out_ << ", attached keys([" << absl::StrJoin(response.keys(), " ") << "])";
    out_ << "\n";
  }

  void Leases(const etcdserverpb::LeaseLeasesResponse& response) override {
    out_ << "found " << response.leases_size() << " leases\n";
    for (const etcdserverpb::LeaseStatus& lease : response.leases()) {
      out_ << absl::StrFormat("%016x\n", lease.id());
    }
  }

  void Watch(const etcdserverpb::WatchResponse& response) override {
    for (const mvccpb::Event& event : response.events()) {
      out_ << TypeOf(event) << "\n";
      if (event.has_prev_kv()) Datum(event.prev_kv());
      Datum(event.kv());
    }
    out_.flush();
  }

  void Alarms(const etcdserverpb::AlarmResponse& response) override {
    for (const etcdserverpb::AlarmMember& alarm : response.alarms()) {
      std::vector<std::string> fields;
      if (alarm.memberid() != 0) fields.push_back(absl::StrCat("memberID:", alarm.memberid()));
      if (alarm.alarm() != etcdserverpb::NONE) {
        fields.push_back(absl::StrCat("alarm:", etcdserverpb::AlarmType_Name(alarm.alarm())));
      }
      out_ << absl::StrJoin(fields, " ") << "\n";
    }
  }

  void Hashes(const std::vector<EndpointHash>& hashes) override { Lines(HashRows(hashes)); }

  void Snapshot(const SnapshotCells& snapshot) override { Lines(SnapshotRows(snapshot)); }

 protected:
  std::ostream& out() { return out_; }

 private:
  void Datum(const mvccpb::KeyValue& datum) {
    if (!options_.value_only) {
      out_ << (options_.hex ? HexEscaped(datum.key()) : datum.key()) << "\n";
    }
    out_ << (options_.hex ? HexEscaped(datum.value()) : datum.value()) << "\n";
  }

  void Lines(const Rows& rows) {
    for (const std::vector<std::string>& row : rows) out_ << absl::StrJoin(row, ", ") << "\n";
  }

  const PrintOptions options_;
  std::ostream& out_;
  std::ostream& err_;
};

class JsonPrinter : public Printer {
 public:
  JsonPrinter(const PrintOptions& options, std::ostream* out) : options_(options), out_(*out) {}

  void Get(const etcdserverpb::RangeResponse& response) override { Line(GoJson(response)); }
  void Put(const etcdserverpb::PutResponse& response) override { Line(GoJson(response)); }
  void Delete(const etcdserverpb::DeleteRangeResponse& response) override {
    Line(GoJson(response));
  }
  void Txn(const etcdserverpb::TxnResponse& response) override { Line(GoJson(response)); }
  void Members(const etcdserverpb::MemberListResponse& response) override {
    Line(GoJson(response, options_.hex));
  }

  void Changed(const std::string&, const google::protobuf::Message& response) override {
    Line(GoJson(response, options_.hex));
  }

  void Health(const std::vector<EndpointHealth>& healths) override {
    std::vector<std::string> all;
    for (const EndpointHealth& health : healths) {
      all.push_back(absl::StrCat(
          "{\"endpoint\":", GoJsonString(health.endpoint), ",\"health\":", Bool(health.healthy),
          ",\"took\":", GoJsonString(health.took), health.error.empty() ? "" : ",\"error\":",
          health.error.empty() ? "" : GoJsonString(health.error), "}"));
    }
    List(all);
  }

  void Status(const std::vector<EndpointStatus>& statuses) override {
    std::vector<std::string> all;
    for (const auto& [endpoint, status] : statuses) {
      all.push_back(absl::StrCat("{\"Endpoint\":", GoJsonString(endpoint),
                                 ",\"Status\":", GoJson(status), "}"));
    }
    List(all);
  }

  void LeaseGranted(const etcdserverpb::LeaseGrantResponse& response) override {
    Line(absl::StrCat("{", HeaderFields(response.header()), "\"ID\":", response.id(), ",\"TTL\":",
                      response.ttl(), ",\"Error\":", GoJsonString(response.error()), "}"));
  }
  void LeaseRevoked(int64_t /*id*/, const etcdserverpb::LeaseRevokeResponse& response) override {
    Line(GoJson(response));
  }

  void LeaseKept(const etcdserverpb::LeaseKeepAliveResponse& response) override {
    Line(absl::StrCat("{", HeaderFields(response.header()), "\"ID\":", response.id(),
                      ",\"TTL\":", response.ttl(), "}"));
  }

  void LeaseTime(const etcdserverpb::LeaseTimeToLiveResponse& response,
                 bool /*with_keys*/) override {
    std::vector<std::string> keys;
    for (const std::string& key : response.keys()) {
      keys.push_back(absl::StrCat("\"", absl::Base64Escape(key), "\""));
    }
    Line(absl::StrCat("{", HeaderFields(response.header()), "\"id\":", response.id(),
                      ",\"ttl\":", response.ttl(), ",\"granted-ttl\":", response.grantedttl(),
                      ",\"keys\":", ListOf(keys), "}"));
  }

  void Leases(const etcdserverpb::LeaseLeasesResponse& response) override {
    std::vector<std::string> leases;
    for (const etcdserverpb::LeaseStatus& lease : response.leases()) {
      leases.push_back(absl::StrCat("{\"id\":", lease.id(), "}"));
    }
    Line(absl::StrCat("{", HeaderFields(response.header()), "\"leases\":[",
                      absl::StrJoin(leases, ","), "]}"));
  }

  void Watch(const etcdserverpb::WatchResponse& response) override {
    std::vector<std::string> events;
    for (const mvccpb::Event& event : response.events()) events.push_back(GoJson(event));
    Line(absl::StrCat(
        "{\"Header\":", GoJson(response.header()), ",\"Events\":[", absl::StrJoin(events, ","),
        "],\"CompactRevision\":", response.compact_revision(),
        ",\"Canceled\":", Bool(response.canceled()), ",\"Created\":", Bool(response.created()),
        ",\"CancelReason\":", GoJsonString(response.cancel_reason()), "}"));
    out_.flush();
  }

  void Alarms(const etcdserverpb::AlarmResponse& response) override { Line(GoJson(response)); }

  void Hashes(const std::vector<EndpointHash>& hashes) override {
    std::vector<std::string> all;
    for (const auto& [endpoint, hash] : hashes) {
      all.push_back(absl::StrCat("{\"Endpoint\":", GoJsonString(endpoint),
                                 ",\"HashKV\":", GoJson(hash), "}"));
    }
    List(all);
  }

  void Snapshot(const SnapshotCells& snapshot) override {
    Line(absl::StrCat("{\"hash\":", snapshot.hash, ",\"revision\":", snapshot.revision,
                      ",\"totalKey\":", snapshot.total_keys, ",\"totalSize\":", snapshot.bytes,
                      ",\"version\":", GoJsonString(snapshot.version), "}"));
  }

 private:
  void Line(const std::string& json) { out_ << json << "\n"; }
  // Go writes a list that was never made as null.
  static std::string ListOf(const std::vector<std::string>& items) {
    return items.empty() ? "null" : absl::StrCat("[", absl::StrJoin(items, ","), "]");
  }
  void List(const std::vector<std::string>& items) { Line(ListOf(items)); }

  // Go's clients show the header's fields as the answer's own, where they made a type of theirs.
  static std::string HeaderFields(const etcdserverpb::ResponseHeader& header) {
    std::string object = GoJson(header);
    object = object.substr(1, object.size() - 2);
    return object.empty() ? object : object + ",";
  }

  const PrintOptions options_;
  std::ostream& out_;
};

class FieldsPrinter : public Printer {
 public:
  FieldsPrinter(const PrintOptions& options, std::ostream* out) : hex_(options.hex), out_(*out) {}

  void Get(const etcdserverpb::RangeResponse& response) override {
    Header(response.header());
    for (const mvccpb::KeyValue& datum : response.kvs()) Datum("", datum);
    Field("More", Bool(response.more()));
    Field("Count", response.count());
  }

  void Put(const etcdserverpb::PutResponse& response) override {
    Header(response.header());
    if (response.has_prev_kv()) Datum("Prev", response.prev_kv());
  }

  void Delete(const etcdserverpb::DeleteRangeResponse& response) override {
    Header(response.header());
    Field("Deleted", response.deleted());
    for (const mvccpb::KeyValue& datum : response.prev_kvs()) Datum("Prev", datum);
  }

  void Txn(const etcdserverpb::TxnResponse& response) override {
    Header(response.header());
    Field("Succeeded", Bool(response.succeeded()));
    for (const etcdserverpb::ResponseOp& op : response.responses()) {
      if (op.has_response_delete_range()) Delete(op.response_delete_range());
      if (op.has_response_put()) Put(op.response_put());
      if (op.has_response_range()) Get(op.response_range());
    }
  }

  void Members(const etcdserverpb::MemberListResponse& response) override {
    Header(response.header());
    for (const etcdserverpb::Member& member : response.members()) {
      Field("ID", Identity(member.id()));
      Field("Name", GoQuoted(member.name()));
      for (const std::string& url : member.peerurls()) Field("PeerURL", GoQuoted(url));
      for (const std::string& url : member.clienturls()) Field("ClientURL", GoQuoted(url));
      Field("IsLearner", Bool(member.islearner()));
      out_ << "\n";
    }
  }

  void Changed(const std::string& sentence, const google::protobuf::Message&) override {
    out_ << sentence << "\n";
  }

  void Health(const std::vector<EndpointHealth>& healths) override {
    for (const EndpointHealth& health : healths) {
      Field("Endpoint", GoQuoted(health.endpoint));
      Field("Health", Bool(health.healthy));
      Field("Took", health.took);
      Field("Error", health.error);
      out_ << "\n";
    }
  }

  void Status(const std::vector<EndpointStatus>& statuses) override {
    for (const auto& [endpoint, status] : statuses) {
      Header(status.header());
      Field("Version", GoQuoted(status.version()));
      Field("StorageVersion", GoQuoted(status.storageversion()));
      Field("DBSize", status.dbsize());
      Field("DBSizeInUse", status.dbsizeinuse());
      Field("DBSizeQuota", status.dbsizequota());
      Field("Leader", status.leader());
      Field("IsLearner", Bool(status.islearner()));
      Field("RaftIndex", status.raftindex());
      Field("RaftTerm", status.raftterm());
      Field("RaftAppliedIndex", status.raftappliedindex());
      Field("Errors", absl::StrCat("[", absl::StrJoin(status.errors(), " "), "]"));
      Field("Endpoint", GoQuoted(endpoint));
      Field("DowngradeTargetVersion", GoQuoted(status.downgradeinfo().targetversion()));
      Field("DowngradeEnabled", Bool(status.downgradeinfo().enabled()));
      out_ << "\n";
    }
  }

  void LeaseGranted(const etcdserverpb::LeaseGrantResponse& response) override {
    Header(response.header());
    Field("ID", LeaseId(response.id()));
    Field("TTL", response.ttl());
  }

  void LeaseRevoked(int64_t /*id*/, const etcdserverpb::LeaseRevokeResponse& response) override {
    Header(response.header());
  }

  void LeaseKept(const etcdserverpb::LeaseKeepAliveResponse& response) override {
    Header(response.header());
    Field("ID", LeaseId(response.id()));
    Field("TTL", response.ttl());
  }

  void LeaseTime(const etcdserverpb::LeaseTimeToLiveResponse& response,
                 bool /*with_keys*/) override {
    Header(response.header());
    Field("ID", LeaseId(response.id()));
    Field("TTL", response.ttl());
    Field("GrantedTTL", response.grantedttl());
    for (const std::string& key : response.keys()) Field("Key", GoQuoted(key));
  }

  void Leases(const etcdserverpb::LeaseLeasesResponse& response) override {
    Header(response.header());
    for (const etcdserverpb::LeaseStatus& lease : response.leases()) {
      Field("ID", LeaseId(lease.id()));
    }
  }

  void Watch(const etcdserverpb::WatchResponse& response) override {
    Header(response.header());
    for (const mvccpb::Event& event : response.events()) {
      Field("Type", TypeOf(event));
      if (event.has_prev_kv()) Datum("Prev", event.prev_kv());
      Datum("", event.kv());
    }
    out_.flush();
  }

  void Alarms(const etcdserverpb::AlarmResponse& response) override {
    Header(response.header());
    for (const etcdserverpb::AlarmMember& alarm : response.alarms()) {
      Field("MemberID", Identity(alarm.memberid()));
      Field("AlarmType", etcdserverpb::AlarmType_Name(alarm.alarm()));
      out_ << "\n";
    }
  }

  void Hashes(const std::vector<EndpointHash>& hashes) override {
    for (const auto& [endpoint, hash] : hashes) {
      Header(hash.header());
      Field("Endpoint", GoQuoted(endpoint));
      Field("Hash", hash.hash());
      Field("HashRevision", hash.hash_revision());
      out_ << "\n";
    }
  }

  void Snapshot(const SnapshotCells& snapshot) override {
    Field("Hash", snapshot.hash);
    Field("Revision", snapshot.revision);
    Field("Keys", snapshot.total_keys);
    Field("Size", snapshot.bytes);
    Field("Version", snapshot.version);
  }

 private:
  template <typename Value>
  void Field(std::string_view name, const Value& value) {
    out_ << "\"" << name << "\" : " << value << "\n";
  }

  std::string Identity(uint64_t id) const {
    return hex_ ? absl::StrFormat("%x", id) : absl::StrCat(id);
  }

  void Header(const etcdserverpb::ResponseHeader& header) {
    Field("ClusterID", Identity(header.cluster_id()));
    Field("MemberID", Identity(header.member_id()));
    if (header.revision() > 0) Field("Revision", header.revision());
    Field("RaftTerm", header.raft_term());
  }

  void Datum(const std::string& prefix, const mvccpb::KeyValue& datum) {
    Field(prefix + "Key", GoQuoted(datum.key()));
    Field(prefix + "CreateRevision", datum.create_revision());
    Field(prefix + "ModRevision", datum.mod_revision());
    Field(prefix + "Version", datum.version());
    Field(prefix + "Value", GoQuoted(datum.value()));
    Field(prefix + "Lease", LeaseId(datum.lease()));
  }

  std::string LeaseId(int64_t id) const {
    return hex_ ? absl::StrFormat("%016x", id) : absl::StrCat(id);
  }

  const bool hex_;
  std::ostream& out_;
};

// What has the same fields for each of several things has a table; the rest is as in simple.
class TablePrinter final : public SimplePrinter {
 public:
  using SimplePrinter::SimplePrinter;

  void Members(const etcdserverpb::MemberListResponse& response) override {
    Table({"ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"},
          MemberRows(response));
  }

  void Health(const std::vector<EndpointHealth>& healths) override {
    Rows rows;
    for (const EndpointHealth& health : healths) {
      rows.push_back({health.endpoint, Bool(health.healthy), health.took, health.error});
    }
    Table({"ENDPOINT", "HEALTH", "TOOK", "ERROR"}, rows);
  }

  void Status(const std::vector<EndpointStatus>& statuses) override {
    Table({"ENDPOINT", "ID", "VERSION", "STORAGE VERSION", "DB SIZE", "IN USE",
           "PERCENTAGE NOT IN USE", "QUOTA", "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX",
           "RAFT APPLIED INDEX", "ERRORS", "DOWNGRADE TARGET VERSION", "DOWNGRADE ENABLED"},
          StatusRows(statuses));
  }

  void Hashes(const std::vector<EndpointHash>& hashes) override {
    Table({"ENDPOINT", "HASH", "HASH REVISION"}, HashRows(hashes));
  }

  void Snapshot(const SnapshotCells& snapshot) override {
    Table({"HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"}, SnapshotRows(snapshot));
  }

 private:
  using Widths = std::vector<size_t>;

  // Titles stand in the middle of their columns, cells on the right.
  void Table(const std::vector<std::string>& titles, const Rows& rows) {
    Widths widths;
    std::vector<std::string> centred;
    for (size_t column = 0; column < titles.size(); ++column) {
      const std::string& title = titles[column];
      size_t width = title.size();
      for (const auto& row : rows) width = std::max(width, row[column].size());
      widths.push_back(width);
      const size_t right = width - title.size() - (width - title.size()) / 2;
      centred.push_back(title + std::string(right, ' '));
    }
    Rule(widths, "┌", "┬", "┐");
    Row(centred, widths);
    Rule(widths, "├", "┼", "┤");
    for (const auto& row : rows) Row(row, widths);
    Rule(widths, "└", "┴", "┘");
  }

  void Rule(const Widths& widths, const char* left, const char* between, const char* right) {
    std::vector<std::string> lines;
    for (const size_t width : widths) {
      std::string line;
      for (size_t i = 0; i < width + 2; ++i) line += "─";
      lines.push_back(std::move(line));
    }
    out() << left << absl::StrJoin(lines, between) << right << "\n";
  }

  void Row(const std::vector<std::string>& cells, const Widths& widths) {
    out() << "│";
    for (size_t column = 0; column < cells.size(); ++column) {
      out() << std::string(widths[column] - cells[column].size() + 1, ' ') << cells[column] << " │";
    }
    out() << "\n";
  }
};

}  // namespace

std::unique_ptr<Printer> MakePrinter(const PrintOptions& options, std::ostream* out,
                                     std::ostream* err) {
  switch (options.format) {
    case OutputFormat::kJson:
      return std::make_unique<JsonPrinter>(options, out);
    case OutputFormat::kFields:
      return std::make_unique<FieldsPrinter>(options, out);
    case OutputFormat::kTable:
      return std::make_unique<TablePrinter>(options, out, err);
    case OutputFormat::kSimple:
      break;
  }
  return std::make_unique<SimplePrinter>(options, out, err);
}

}  // namespace client
