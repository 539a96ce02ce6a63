// SPDX-License-Identifier: Apache-2.0

#include "raft/wire/codec.h"

#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "proto/raft_wire.pb.h"
#include "raft/core/configuration.h"

namespace raft {
namespace {

namespace wire = ::datum::raft;

constexpr size_t kChecksumBytes = 4;

void Put(LogPosition position, wire::LogPosition* out) {
  out->set_term(position.term.value());
  out->set_index(position.index.value());
}

LogPosition Position(const wire::LogPosition& in) { return {Term(in.term()), Index(in.index())}; }

void Put(StateDigest digest, wire::StateDigest* out) {
  out->set_index(digest.index.value());
  out->set_hash(digest.hash);
}

StateDigest Digest(const wire::StateDigest& in) { return {Index(in.index()), in.hash()}; }

struct Encoder {
  wire::Envelope* out;

  void operator()(const RequestVote& m) {
    auto* to = out->mutable_request_vote();
    to->set_pre_vote(m.pre_vote);
    to->set_for_term(m.for_term.value());
    Put(m.last_log, to->mutable_last_log());
    to->set_transfer(m.transfer);
  }
  void operator()(const RequestVoteReply& m) {
    auto* to = out->mutable_request_vote_reply();
    to->set_pre_vote(m.pre_vote);
    to->set_for_term(m.for_term.value());
    to->set_granted(m.granted);
  }
  void operator()(const AppendEntries& m) {
    auto* to = out->mutable_append_entries();
    Put(m.prev_log, to->mutable_prev_log());
    to->set_leader_commit(m.leader_commit.value());
  }
  void operator()(const AppendEntriesReply& m) {
    auto* to = out->mutable_append_entries_reply();
    to->set_success(m.success);
    to->set_match_index(m.match_index.value());
    to->set_rejected_index(m.rejected_index.value());
    Put(m.conflict, to->mutable_conflict());
  }
  void operator()(const Heartbeat& m) {
    auto* to = out->mutable_heartbeat();
    to->set_leader_commit(m.leader_commit.value());
    to->set_round(m.round.value());
    Put(m.agreed, to->mutable_agreed());
    to->set_heard_session(m.heard_session.value());
    Put(m.acknowledged, to->mutable_acknowledged());
    to->set_acknowledged_in(m.acknowledged_in.value());
  }
  void operator()(const HeartbeatReply& m) {
    auto* to = out->mutable_heartbeat_reply();
    to->set_round(m.round.value());
    Put(m.digest, to->mutable_digest());
    to->set_needs_snapshot(m.needs_snapshot);
  }
  void operator()(const PublishForward& m) {
    auto* forward = out->mutable_publish_forward();
    for (const Proposal& proposal : m.proposals) {
      auto* to = forward->add_proposals();
      to->set_id(proposal.id.value());
      to->set_command(proposal.command);
      to->set_kind(static_cast<uint32_t>(proposal.kind));
      to->set_based_on(proposal.based_on.value());
    }
  }
  void operator()(const PublishRefusal& m) {
    auto* to = out->mutable_publish_refusal();
    to->set_reason(static_cast<uint32_t>(m.reason));
    for (PublishId id : m.ids) to->add_ids(id.value());
  }
  void operator()(const ReadIndexRequest& m) {
    out->mutable_read_index_request()->set_id(m.id.value());
  }
  void operator()(const ReadIndexReply& m) {
    out->mutable_read_index_reply()->set_id(m.id.value());
    out->mutable_read_index_reply()->set_read_index(m.read_index.value());
  }
  void operator()(const TimeoutNow&) { out->mutable_timeout_now(); }
};

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

size_t Tagged(size_t length) { return 1 + CodedOutputStream::VarintSize64(length) + length; }

// The fields of an Entry but for its command, which is written behind them from where it lies.
wire::Entry EntryHead(const Entry& entry) {
  wire::Entry head;
  head.set_term(entry.term.value());
  head.set_kind(static_cast<uint32_t>(entry.kind));
  head.set_origin(entry.origin.value());
  head.set_publish_id(entry.publish_id.value());
  return head;
}

void WriteTag(int field, size_t length, CodedOutputStream* out) {
  out->WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  out->WriteVarint64(length);
}

// An Envelope with AppendEntries and its entries in protobuf's wire format, without the copy of
// every command that filling the message would take.
void AppendWithEntries(const wire::Envelope& envelope, const std::vector<EntryRef>& entries,
                       std::string* bytes) {
  std::vector<wire::Entry> heads;
  std::vector<size_t> lengths;
  size_t entries_bytes = 0;
  for (const EntryRef& entry : entries) {
    heads.push_back(EntryHead(*entry));
    lengths.push_back(heads.back().ByteSizeLong() + Tagged(entry->command.size()));
    entries_bytes += Tagged(lengths.back());
  }
  wire::Envelope outer = envelope;
  const wire::AppendEntries append = std::move(*outer.mutable_append_entries());
  outer.clear_append_entries();
  const size_t append_bytes = append.ByteSizeLong() + entries_bytes;
  bytes->reserve(bytes->size() + outer.ByteSizeLong() + Tagged(append_bytes));

  google::protobuf::io::StringOutputStream stream(bytes);
  CodedOutputStream out(&stream);
  outer.SerializeToCodedStream(&out);
  WriteTag(wire::Envelope::kAppendEntriesFieldNumber, append_bytes, &out);
  append.SerializeToCodedStream(&out);
  for (size_t i = 0; i < entries.size(); ++i) {
    WriteTag(wire::AppendEntries::kEntriesFieldNumber, lengths[i], &out);
    heads[i].SerializeToCodedStream(&out);
    WriteTag(wire::Entry::kCommandFieldNumber, entries[i]->command.size(), &out);
    out.WriteString(entries[i]->command);
  }
}

absl::Status Impossible(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("peer message: ", what));
}

// Entries continue prev_log, their terms do not fall and are not ahead of the sender's.
absl::StatusOr<Message> DecodeAppend(wire::AppendEntries* in, Term sender_term) {
  AppendEntries append;
  append.prev_log = Position(in->prev_log());
  append.leader_commit = Index(in->leader_commit());
  if (append.prev_log.index.value() > std::numeric_limits<uint64_t>::max() / 2) {
    return Impossible("an index beyond every log");
  }
  Term term = append.prev_log.term;
  Index index = append.prev_log.index;
  append.entries.reserve(static_cast<size_t>(in->entries_size()));
  for (auto& e : *in->mutable_entries()) {
    auto entry = std::make_shared<Entry>();
    index = index + 1;
    entry->term = Term(e.term());
    entry->index = index;
    if (entry->term < term || entry->term > sender_term || entry->term == Term{}) {
      return Impossible("entries whose terms do not ascend");
    }
    term = entry->term;
    if (e.kind() > static_cast<uint32_t>(EntryKind::kConfiguration)) {
      return Impossible("an entry of an unknown kind");
    }
    entry->kind = static_cast<EntryKind>(e.kind());
    entry->origin = NodeId(e.origin());
    entry->publish_id = PublishId(e.publish_id());
    entry->command = std::move(*e.mutable_command());
    if (entry->kind == EntryKind::kConfiguration && !DecodeConfigurationCommand(entry->command)) {
      return Impossible("a configuration entry without a configuration");
    }
    append.entries.push_back(std::move(entry));
  }
  return append;
}

// A publish is a command or a configuration, nothing else.
absl::StatusOr<Message> DecodeForward(wire::PublishForward* in) {
  PublishForward forward;
  for (auto& p : *in->mutable_proposals()) {
    const auto kind = static_cast<EntryKind>(p.kind());
    if (p.kind() > static_cast<uint32_t>(EntryKind::kConfiguration) ||
        kind == EntryKind::kLeaderStart) {
      return Impossible("a publish of an unknown kind");
    }
    forward.proposals.push_back(
        {PublishId(p.id()), std::move(*p.mutable_command()), kind, Index(p.based_on())});
  }
  return forward;
}

absl::StatusOr<Message> DecodeRefusal(const wire::PublishRefusal& in) {
  if (in.reason() > static_cast<uint32_t>(RefusalReason::kBadConfiguration)) {
    return Impossible("a refusal of an unknown kind");
  }
  PublishRefusal refusal;
  refusal.reason = static_cast<RefusalReason>(in.reason());
  for (uint64_t id : in.ids()) refusal.ids.push_back(PublishId(id));
  return refusal;
}

absl::StatusOr<Message> DecodeMessage(wire::Envelope* in) {
  switch (in->message_case()) {
    case wire::Envelope::kRequestVote: {
      const auto& m = in->request_vote();
      return RequestVote{m.pre_vote(), Term(m.for_term()), Position(m.last_log()), m.transfer()};
    }
    case wire::Envelope::kRequestVoteReply: {
      const auto& m = in->request_vote_reply();
      return RequestVoteReply{m.pre_vote(), Term(m.for_term()), m.granted()};
    }
    case wire::Envelope::kAppendEntries:
      return DecodeAppend(in->mutable_append_entries(), Term(in->term()));
    case wire::Envelope::kAppendEntriesReply: {
      const auto& m = in->append_entries_reply();
      return AppendEntriesReply{m.success(), Index(m.match_index()), Index(m.rejected_index()),
                                Position(m.conflict())};
    }
    case wire::Envelope::kHeartbeat: {
      const auto& m = in->heartbeat();
      return Heartbeat{Index(m.leader_commit()),   ReadRound(m.round()),
                       Digest(m.agreed()),         Session(m.heard_session()),
                       Position(m.acknowledged()), Session(m.acknowledged_in())};
    }
    case wire::Envelope::kHeartbeatReply: {
      const auto& m = in->heartbeat_reply();
      return HeartbeatReply{ReadRound(m.round()), Digest(m.digest()), m.needs_snapshot()};
    }
    case wire::Envelope::kPublishForward:
      return DecodeForward(in->mutable_publish_forward());
    case wire::Envelope::kPublishRefusal:
      return DecodeRefusal(in->publish_refusal());
    case wire::Envelope::kReadIndexRequest:
      return ReadIndexRequest{ReadId(in->read_index_request().id())};
    case wire::Envelope::kReadIndexReply:
      return ReadIndexReply{ReadId(in->read_index_reply().id()),
                            Index(in->read_index_reply().read_index())};
    case wire::Envelope::kTimeoutNow:
      return TimeoutNow{};
    case wire::Envelope::MESSAGE_NOT_SET:
      break;
  }
  return Impossible("no message in the envelope");
}

}  // namespace

std::string EncodeEnvelope(const Envelope& envelope) {
  wire::Envelope out;
  out.set_from(envelope.from.value());
  out.set_to(envelope.to.value());
  out.set_term(envelope.term.value());
  out.set_session(envelope.session.value());
  std::visit(Encoder{&out}, envelope.message);
  std::string bytes(kChecksumBytes, '\0');
  const auto* append = std::get_if<AppendEntries>(&envelope.message);
  if (append != nullptr && !append->entries.empty()) {
    AppendWithEntries(out, append->entries, &bytes);
  } else {
    out.AppendToString(&bytes);
  }
  const uint32_t crc = base::Crc32c(std::string_view(bytes).substr(kChecksumBytes));
  std::memcpy(bytes.data(), &crc, kChecksumBytes);
  return bytes;
}

absl::StatusOr<Envelope> DecodeEnvelope(std::string_view bytes) {
  if (bytes.size() < kChecksumBytes) return Impossible("shorter than its checksum");
  uint32_t crc;
  std::memcpy(&crc, bytes.data(), kChecksumBytes);
  bytes.remove_prefix(kChecksumBytes);
  if (base::Crc32c(bytes) != crc) return absl::DataLossError("peer message: wrong checksum");
  wire::Envelope in;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Impossible("not an Envelope");
  }
  if (in.from() == 0 || in.to() == 0) return Impossible("no sender or no receiver");
  ASSIGN_OR_RETURN(Message message, DecodeMessage(&in));
  return Envelope{NodeId(in.from()), NodeId(in.to()), Term(in.term()), Session(in.session()),
                  std::move(message)};
}

}  // namespace raft
