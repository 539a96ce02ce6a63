// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_print.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "absl/strings/ascii.h"
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
    Line(GoJson(response));
  }
  void LeaseRevoked(int64_t /*id*/, const etcdserverpb::LeaseRevokeResponse& response) override {
    Line(GoJson(response));
  }

 private:
  void Line(const std::string& json) { out_ << json << "\n"; }
  // Go writes a list that was never made as null.
  void List(const std::vector<std::string>& items) {
    Line(items.empty() ? "null" : absl::StrCat("[", absl::StrJoin(items, ","), "]"));
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
    Field("ID", hex_ ? absl::StrFormat("%016x", response.id()) : absl::StrCat(response.id()));
    Field("TTL", response.ttl());
  }

  void LeaseRevoked(int64_t /*id*/, const etcdserverpb::LeaseRevokeResponse& response) override {
    Header(response.header());
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
    Field(prefix + "Lease",
          hex_ ? absl::StrFormat("%016x", datum.lease()) : absl::StrCat(datum.lease()));
  }

  const bool hex_;
  std::ostream& out_;
};

// Members, health and status have tables; everything else is as in simple.
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

 private:
  void Table(const std::vector<std::string>& titles, const Rows& rows) {
    std::vector<size_t> widths;
    for (size_t column = 0; column < titles.size(); ++column) {
      size_t width = titles[column].size();
      for (const auto& row : rows) width = std::max(width, row[column].size());
      widths.push_back(width);
    }
    std::string rule = "+";
    for (const size_t width : widths) rule += std::string(width + 2, '-') + "+";
    out() << rule << "\n";
    Row(titles, widths);
    out() << rule << "\n";
    for (const auto& row : rows) Row(row, widths);
    out() << rule << "\n";
  }

  void Row(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
    out() << "|";
    for (size_t column = 0; column < cells.size(); ++column) {
      out() << std::string(widths[column] - cells[column].size() + 1, ' ') << cells[column] << " |";
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
