// SPDX-License-Identifier: Apache-2.0

#include "store/range_encoder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "glog/logging.h"
#include "store/range.h"

namespace store {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

constexpr size_t kPieceBytes = 1 << 20;

// Strings parts of one message together. The fields of a message may come in several encodings of
// it, one behind the other.
class Encoder {
 public:
  Encoder(Grows grows, AnswerBudget* budget, Pieces* pieces)
      : grows_(grows), budget_(budget), pieces_(pieces) {}

  // False if there is no leave for it, or no budget.
  bool Add(const RangeResponse& part) {
    const size_t bytes = part.ByteSizeLong();
    if (bytes_ + bytes > leave_) {
      leave_ = std::max<uint64_t>(bytes_ + bytes, 2 * leave_);
      if (leave_ > 2 * kPieceBytes) leave_ = bytes_ + bytes + 2 * kPieceBytes;
      if (!grows_(leave_)) return false;
    }
    budget_->Take(bytes);
    if (budget_->exceeded()) return false;
    bytes_ += bytes;
    if (pieces_->empty() || pieces_->back().size() + bytes > kPieceBytes) {
      pieces_->emplace_back();
      // The first piece of a small answer is as small as it is.
      if (pieces_->size() > 1) pieces_->back().reserve(std::max(kPieceBytes, bytes));
    }
    CHECK(part.AppendToString(&pieces_->back()));
    return true;
  }

 private:
  const Grows grows_;
  AnswerBudget* const budget_;
  Pieces* const pieces_;
  uint64_t bytes_ = 0;
  // What there is leave for.
  uint64_t leave_ = kSmallAnswerBytes;
};

// Whether what is read in key order is what is sent, as it comes.
bool ComesAsRead(const RangeRequest& request) {
  return !request.count_only() && request.sort_target() == RangeRequest::KEY &&
         request.sort_order() != RangeRequest::DESCEND && request.min_mod_revision() == 0 &&
         request.max_mod_revision() == 0 && request.min_create_revision() == 0 &&
         request.max_create_revision() == 0;
}

}  // namespace

absl::StatusOr<bool> EncodeRange(const KeySpace& keys, const RangeRequest& request,
                                 const etcdserverpb::ResponseHeader& header, Grows grows,
                                 AnswerBudget* budget, Pieces* pieces) {
  Encoder encoder(grows, budget, pieces);
  RangeResponse part;
  *part.mutable_header() = header;
  if (!ComesAsRead(request)) {
    RETURN_IF_ERROR(ReadRange(keys, request, budget, &part));
    // Counted already.
    AnswerBudget rest(budget->bytes_max());
    return budget->exceeded() || Encoder(grows, &rest, pieces).Add(part);
  }
  if (!encoder.Add(part)) return budget->exceeded();
  const KeyRange range = KeyRangeOf(request.key(), request.range_end());
  const int64_t at = std::max<int64_t>(request.revision(), kNewest);
  const int64_t limit = std::max<int64_t>(request.limit(), 0);
  int64_t seen = 0;
  bool leave = true;
  std::optional<std::string> last_key;
  RETURN_IF_ERROR(keys.Scan(range, at, [&](std::string_view key, const Datum& datum) {
    if (limit > 0 && seen == limit) {
      last_key.emplace(key);
      return false;
    }
    ++seen;
    part.Clear();
    Datum wanted = datum;
    // 3.7.1 answers keys alone from its index, which knows neither values nor leases.
    if (request.keys_only()) wanted.value = {};
    if (request.keys_only()) wanted.lease = 0;
    FillKeyValue(key, wanted, part.add_kvs());
    leave = encoder.Add(part);
    return leave;
  }));
  if (!leave) return budget->exceeded();
  part.Clear();
  part.set_count(seen);
  if (last_key.has_value()) {
    ASSIGN_OR_RETURN(const int64_t rest, keys.Count({*last_key, range.end, false}, at));
    part.set_count(seen + rest);
    part.set_more(true);
  }
  return encoder.Add(part) || budget->exceeded();
}

}  // namespace store
