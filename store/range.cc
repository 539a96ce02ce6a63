// SPDX-License-Identifier: Apache-2.0

#include "store/range.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "store/errors.h"

namespace store {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

bool HasFilter(const RangeRequest& request) {
  return request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
         request.min_create_revision() != 0 || request.max_create_revision() != 0;
}

bool PassesFilter(const RangeRequest& request, const Datum& datum) {
  const int64_t modified = datum.mod_revision.main;
  const int64_t created = datum.create_revision;
  return (request.max_mod_revision() == 0 || modified <= request.max_mod_revision()) &&
         (request.min_mod_revision() == 0 || modified >= request.min_mod_revision()) &&
         (request.max_create_revision() == 0 || created <= request.max_create_revision()) &&
         (request.min_create_revision() == 0 || created >= request.min_create_revision());
}

template <typename Field>
void SortBy(RangeResponse* response, bool descending, Field field) {
  auto* kvs = response->mutable_kvs();
  // Stable, so that ties stay in key order, descending too.
  std::stable_sort(kvs->pointer_begin(), kvs->pointer_end(),
                   [&](const mvccpb::KeyValue* a, const mvccpb::KeyValue* b) {
                     return descending ? std::invoke(field, b) < std::invoke(field, a)
                                       : std::invoke(field, a) < std::invoke(field, b);
                   });
}

void Sort(const RangeRequest& request, RangeResponse* response) {
  const bool descending = request.sort_order() == RangeRequest::DESCEND;
  switch (request.sort_target()) {
    case RangeRequest::VERSION:
      return SortBy(response, descending, &mvccpb::KeyValue::version);
    case RangeRequest::CREATE:
      return SortBy(response, descending, &mvccpb::KeyValue::create_revision);
    case RangeRequest::MOD:
      return SortBy(response, descending, &mvccpb::KeyValue::mod_revision);
    case RangeRequest::VALUE:
      return SortBy(response, descending,
                    [](const mvccpb::KeyValue* kv) -> const std::string& { return kv->value(); });
    default:
      // KEY: as read, or turned round.
      if (descending) {
        auto* kvs = response->mutable_kvs();
        std::reverse(kvs->pointer_begin(), kvs->pointer_end());
      }
  }
}

// Takes datums in key order into a response of a bounded size.
class Collector {
 public:
  Collector(const RangeRequest& request, int64_t limit, uint64_t bytes_max, RangeResponse* response)
      : request_(request), limit_(limit), bytes_max_(bytes_max), response_(response) {}

  // False once the response is too large.
  bool Add(std::string_view key, const Datum& datum) {
    mvccpb::KeyValue* kv = response_->add_kvs();
    FillKeyValue(key, datum, kv);
    bytes_ += AnswerBytes(*kv);
    return bytes_ <= bytes_max_ || MakeRoom();
  }

  void SortAndCut() {
    // Another target without an order sorts, ascending, what was read in key order.
    if (HasOrder()) Sort(request_, response_);
    if (limit_ == 0 || response_->kvs_size() <= limit_) return;
    const int cut = static_cast<int>(limit_);
    response_->mutable_kvs()->DeleteSubrange(cut, response_->kvs_size() - cut);
    response_->set_more(true);
  }

  uint64_t CountBytes() {
    bytes_ = 0;
    for (const mvccpb::KeyValue& kv : response_->kvs()) bytes_ += AnswerBytes(kv);
    return bytes_;
  }

 private:
  bool HasOrder() const {
    return request_.sort_order() != RangeRequest::NONE ||
           request_.sort_target() != RangeRequest::KEY;
  }
  // What is behind the limit already stays behind it. Half must come free, or a range whose best
  // nearly fill the budget would be sorted for each datum.
  bool MakeRoom() {
    if (limit_ == 0 || response_->kvs_size() <= limit_) return false;
    SortAndCut();
    // By key, Sort turns round, here back.
    if (HasOrder() && request_.sort_target() == RangeRequest::KEY) Sort(request_, response_);
    return CountBytes() <= bytes_max_ / 2;
  }

  const RangeRequest& request_;
  const int64_t limit_;
  const uint64_t bytes_max_;
  RangeResponse* const response_;
  // Of the response as it is.
  uint64_t bytes_ = 0;
};

// How many keys there are from the last one read on, that one not counted.
absl::StatusOr<int64_t> CountRest(const KeySpace& keys, const KeyRange& range, int64_t at,
                                  std::string_view last_key) {
  std::string from(last_key);
  from.push_back('\0');
  return keys.Count({from, range.end, false}, at);
}

}  // namespace

absl::Status CheckReadRevision(int64_t revision, int64_t current_revision,
                               int64_t compact_revision) {
  if (revision <= 0) return absl::OkStatus();
  return CheckTxnReadRevision(revision, current_revision, compact_revision);
}

absl::Status CheckTxnReadRevision(int64_t revision, int64_t current_revision,
                                  int64_t compact_revision) {
  if (revision == 0) return absl::OkStatus();
  if (revision > current_revision) return ErrorStatus(Error::kFutureRevision);
  if (revision < compact_revision) return ErrorStatus(Error::kCompacted);
  return absl::OkStatus();
}

uint64_t AnswerBytes(const mvccpb::KeyValue& kv) {
  const uint64_t bytes = kv.ByteSizeLong();
  return 1 + google::protobuf::io::CodedOutputStream::VarintSize64(bytes) + bytes;
}

absl::Status ReadRange(const KeySpace& keys, const RangeRequest& request, AnswerBudget* budget,
                       RangeResponse* response) {
  const KeyRange range = KeyRangeOf(request.key(), request.range_end());
  const int64_t at = std::max<int64_t>(request.revision(), kNewest);
  if (request.count_only()) {
    ASSIGN_OR_RETURN(const int64_t count, keys.Count(range, at));
    response->set_count(count);
    return absl::OkStatus();
  }
  const bool sorted = request.sort_order() != RangeRequest::NONE;
  const bool filtered = HasFilter(request);
  // A real order or a filter needs the whole range before the limit can cut.
  const int64_t limit = request.limit() > 0 ? request.limit() : 0;
  const bool stop_early = limit > 0 && !sorted && !filtered;
  const bool by_value = request.sort_target() == RangeRequest::VALUE;

  Collector collector(request, limit, budget->left(), response);
  bool fits = true;
  int64_t seen = 0;
  std::optional<std::string> stopped_at;
  RETURN_IF_ERROR(keys.Scan(range, at, [&](std::string_view key, const Datum& datum) {
    ++seen;
    if (!filtered || PassesFilter(request, datum)) {
      Datum wanted = datum;
      if (request.keys_only() && !by_value) {
        wanted.value = {};
        // 3.7.1 answers keys alone from its index, which knows no lease.
        wanted.lease = 0;
      }
      fits = collector.Add(key, wanted);
      if (!fits) return false;
    }
    // One more than asked for, which tells that there is more.
    if (!stop_early || seen <= limit) return true;
    stopped_at.emplace(key);
    return false;
  }));
  if (!fits) {
    budget->Exceed();
    return absl::OkStatus();
  }
  if (stopped_at.has_value()) {
    ASSIGN_OR_RETURN(const int64_t rest, CountRest(keys, range, at, *stopped_at));
    seen += rest;
  }
  response->set_count(seen);
  collector.SortAndCut();
  if (request.keys_only() && by_value) {
    for (auto& kv : *response->mutable_kvs()) kv.clear_value();
  }
  budget->Take(collector.CountBytes());
  return absl::OkStatus();
}

}  // namespace store
