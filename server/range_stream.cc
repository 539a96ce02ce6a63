// SPDX-License-Identifier: Apache-2.0

#include "server/range_stream.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "proto/etcd/rpc.pb.h"
#include "rpc/typed.h"
#include "server/answer_room.h"
#include "server/errors.h"
#include "server/validate.h"

namespace server {
namespace {

constexpr int64_t kFirstKeys = 10;
constexpr int64_t kKeysMax = 1 << 20;

}  // namespace

// Where a stream stands.
struct RangeStreamService::Progress {
  explicit Progress(std::shared_ptr<rpc::Stream> out) : stream(std::move(out)) {}

  const std::shared_ptr<rpc::Stream> stream;
  std::unique_ptr<store::RangePages> pages;
  // What the chunk under way takes.
  std::shared_ptr<AnswerMemory::Claim> claim;
  int64_t keys = kFirstKeys;
  // A chunk was written, and more are to come: whoever takes this goes on with the stream, alone.
  std::atomic<bool> on_its_way{false};
};

// One stream. What happens to it comes from the transport (OnMessage, OnDrained) and from a read
// thread; only one chunk is ever on its way, so only one of them goes on with it.
class RangeStreamService::Session final : public rpc::StreamHandler {
 public:
  Session(const RangeStreamService* service, std::shared_ptr<Progress> progress)
      : service_(service), progress_(std::move(progress)) {}

  void OnMessage(std::string message) override {
    if (std::exchange(started_, true)) return;
    auto request = rpc::Decode<etcdserverpb::RangeRequest>(message);
    absl::Status checked = request.status();
    if (checked.ok()) checked = CheckRangeStream(*request);
    if (!checked.ok()) return progress_->stream->Finish(checked);
    const bool serializable = request->serializable();
    service_->gate_->Read(*progress_->stream, serializable,
                          [service = service_, progress = progress_,
                           request = *std::move(request)](const absl::Status& ready) {
                            if (!ready.ok()) return progress->stream->Finish(ready);
                            if (request.sort_target() != etcdserverpb::RangeRequest::KEY) {
                              return service->SendSorted(request, progress);
                            }
                            auto pages = service->state_->OpenPages(request);
                            if (!pages.ok())
                              return progress->stream->Finish(FromStore(pages.status()));
                            progress->pages = *std::move(pages);
                            SendChunk(service, progress);
                          });
  }
  void OnHalfClose() override {
    if (!started_) progress_->stream->Finish(absl::InternalError("the call brought no request"));
  }
  void OnDrained() override {
    if (!progress_->on_its_way.exchange(false)) return;
    progress_->claim.reset();
    service_->gate_->replica().LocalRead(
        [service = service_, progress = progress_](raft::ReadOutcome outcome) {
          if (outcome != raft::ReadOutcome::kReady)
            return progress->stream->Finish(FromRead(outcome));
          SendChunk(service, progress);
        });
  }

 private:
  static void SendChunk(const RangeStreamService* service,
                        const std::shared_ptr<Progress>& progress) {
    if (progress->stream->cancelled() || service->gate_->stopping()) {
      progress->pages.reset();
      return progress->stream->Finish(ErrorStatus(WireError::kStopped));
    }
    const uint64_t bytes_max = service->chunk_bytes_max_;
    // Before it is read: what was read cannot be read again.
    auto claim = service->memory_->NewClaim();
    if (!claim->Grow(bytes_max)) {
      return service->WaitForRoom(progress, [service, progress] { SendChunk(service, progress); });
    }
    etcdserverpb::RangeStreamResponse response;
    etcdserverpb::RangeResponse* const page = response.mutable_range_response();
    const auto more =
        service->state_->NextPage(progress->pages.get(), progress->keys, bytes_max, page);
    if (!more.ok()) return progress->stream->Finish(FromStore(more.status()));
    const uint64_t bytes = page->ByteSizeLong();
    claim->Grow(bytes);
    claim->Shrink(bytes);
    progress->claim = std::move(claim);
    progress->keys = bytes > bytes_max / 2 ? std::max(progress->keys / 2, kFirstKeys)
                                           : std::min(progress->keys * 2, kKeysMax);
    if (!*more) {
      service->gate_->FillHeader(page->mutable_header());
      page->mutable_header()->set_revision(progress->pages->revision());
      progress->pages.reset();
    }
    // Before the write, whose end may be told at once.
    progress->on_its_way.store(*more);
    progress->stream->Write(response.SerializeAsString());
    if (!*more) progress->stream->Finish(absl::OkStatus());
  }

  const RangeStreamService* const service_;
  const std::shared_ptr<Progress> progress_;
  bool started_ = false;
};

void RangeStreamService::WaitForRoom(const std::shared_ptr<Progress>& progress,
                                     std::function<void()> go_on) const {
  const base::TimePoint until = gate_->Now() + gate_->options().request_timeout;
  WhenThereIsRoom(memory_, gate_, until,
                  [progress, go_on = std::move(go_on)](const absl::Status& room) {
                    if (!room.ok()) return progress->stream->Finish(room);
                    go_on();
                  });
}

void RangeStreamService::SendSorted(const etcdserverpb::RangeRequest& request,
                                    const std::shared_ptr<Progress>& progress) const {
  rpc::Stream* const stream = progress->stream.get();
  auto claim = memory_->NewClaim();
  if (!claim->Grow(store::kSmallAnswerBytes)) {
    return WaitForRoom(progress, [this, request, progress] { SendSorted(request, progress); });
  }
  etcdserverpb::RangeStreamResponse response;
  const absl::Status read =
      state_->Range(request, gate_->Term(), response.mutable_range_response());
  if (!read.ok()) return stream->Finish(FromStore(read));
  claim->Grow(response.ByteSizeLong());
  progress->claim = std::move(claim);
  stream->Write(response.SerializeAsString());
  stream->Finish(absl::OkStatus());
}

void RangeStreamService::Register(rpc::Registry* registry) {
  registry->AddStream(
      "/etcdserverpb.KV/RangeStream",
      [this](std::shared_ptr<rpc::Stream> stream) -> std::unique_ptr<rpc::StreamHandler> {
        stream->EndIfUnread();
        return std::make_unique<Session>(this, std::make_shared<Progress>(std::move(stream)));
      });
}

}  // namespace server
