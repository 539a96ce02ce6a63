// SPDX-License-Identifier: Apache-2.0

#include "raft/node/node.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "raft/node/driver.h"
#include "raft/wire/codec.h"

namespace raft {
namespace {

// They run what callers do with the answer to a publish; two keep both cores of a small machine
// busy. Reads have threads of their own: a long scan must not hold up a single write.
constexpr int kAnswerThreads = 2;
constexpr int kReadThreads = 2;

}  // namespace

absl::Status NodeOptions::Validate() const {
  if (self == kNobody) return absl::InvalidArgumentError("self: a node needs an id");
  if (heartbeat_interval <= base::Duration::zero()) {
    return absl::InvalidArgumentError("heartbeat_interval: must be more than 0");
  }
  if (election_timeout < 5 * heartbeat_interval) {
    return absl::InvalidArgumentError(
        "election_timeout: must be at least five heartbeat intervals");
  }
  return absl::OkStatus();
}

class Node::Impl {
 public:
  Impl(const NodeOptions& options, NodeStart start, const NodePorts& ports,
       std::function<void(const NodeStatus&)> on_status)
      : clock_(ports.clock),
        reads_max_(options.inbox_publishes_max),
        inbox_(options.inbox_publishes_max, options.inbox_bytes_max),
        sender_(ports.transport),
        log_writer_(ports.log, ports.promises, &sender_, &inbox_),
        applier_(options.self, ports.machine, &publishes_, &answers_, &inbox_),
        driver_(options, std::move(start),
                {&inbox_, &sender_, ports.log, &log_writer_, &applier_, &publishes_, &answers_,
                 &reads_, &fetches_, ports.snapshots},
                clock_->Now(), std::move(on_status)) {
    driver_.set_trace([](const std::string& line) { VLOG(1) << line; });
  }

  ~Impl() { Stop(); }

  void Start() {
    raft_thread_ = std::thread([this] { RaftLoop(); });
    log_thread_ = std::thread([this] {
      while (!log_writer_.closed() || log_writer_.RunOnce()) {
        log_writer_.Wait();
        log_writer_.RunOnce();
      }
    });
    apply_thread_ = std::thread([this] {
      while (!applier_.closed()) {
        applier_.Wait();
        applier_.RunOnce();
      }
    });
    for (int i = 0; i < kAnswerThreads; ++i) StartAnswering(&answers_);
    for (int i = 0; i < kReadThreads; ++i) StartAnswering(&reads_);
    StartAnswering(&fetches_);
  }

  // In the order of the data path, so that nothing is handed to a thread that has ended.
  void Stop() {
    stopping_ = true;
    inbox_.Close();
    if (raft_thread_.joinable()) raft_thread_.join();
    log_writer_.Close();
    if (log_thread_.joinable()) log_thread_.join();
    applier_.Close();
    if (apply_thread_.joinable()) apply_thread_.join();
    driver_.StopAll();
    answers_.Close();
    reads_.Close();
    fetches_.Close();
    if (answer_threads_.empty()) {
      while (answers_.RunSome() || reads_.RunSome()) continue;
    }
    for (std::thread& thread : answer_threads_) thread.join();
    answer_threads_.clear();
  }

  void Publish(WaitingPublish item) {
    if (stopping_ || !inbox_.TryPush(&item)) {
      item.done({stopping_ ? PublishOutcome::Kind::kDropped : PublishOutcome::Kind::kRefused, {}});
    }
  }

  void ReadIndex(base::TimePoint deadline, ReadDone done) {
    WaitingRead item{deadline, std::move(done)};
    if (stopping_ || !inbox_.TryPush(&item)) {
      item.done(stopping_ ? ReadOutcome::kStopped : ReadOutcome::kRefused);
    }
  }

  void LocalRead(ReadDone done) {
    if (stopping_) return done(ReadOutcome::kStopped);
    if (reads_.size() >= reads_max_) return done(ReadOutcome::kRefused);
    if (!reads_.Push({[done] { done(ReadOutcome::kReady); }})) done(ReadOutcome::kStopped);
  }

  void Receive(const std::string& bytes) {
    absl::StatusOr<Envelope> envelope = DecodeEnvelope(bytes);
    if (!envelope.ok()) {
      LOG_EVERY_N(WARNING, 1000) << google::COUNTER << " bad messages from peers, this one: "
                                 << envelope.status().message();
      return;
    }
    if (!inbox_.TryPush(&*envelope)) {
      LOG_EVERY_N(WARNING, 10000) << google::COUNTER << " messages of peers dropped: inbox full";
    }
  }

  void Report(InboxItem item) { inbox_.PushReport(std::move(item)); }

  NodeStatus status() const { return driver_.status(); }

 private:
  void StartAnswering(AnswerQueue* queue) {
    answer_threads_.emplace_back([queue] {
      while (queue->WaitAndRunSome()) continue;
    });
  }

  void RaftLoop() {
    while (!stopping_) {
      driver_.RunOnce(clock_->Now());
      inbox_.Wait(driver_.next_due());
    }
  }

  const base::Clock* const clock_;
  const size_t reads_max_;
  std::atomic<bool> stopping_{false};
  Inbox inbox_;
  Sender sender_;
  PublishTable publishes_;
  AnswerQueue answers_;
  AnswerQueue reads_{/*batch=*/1};
  AnswerQueue fetches_{/*batch=*/1};
  LogWriter log_writer_;
  Applier applier_;
  Driver driver_;
  std::thread raft_thread_;
  std::thread log_thread_;
  std::thread apply_thread_;
  std::vector<std::thread> answer_threads_;
};

Node::Node(const NodeOptions& options, NodeStart start, const NodePorts& ports,
           std::function<void(const NodeStatus&)> on_status)
    : impl_(std::make_unique<Impl>(options, std::move(start), ports, std::move(on_status))) {
  CHECK(options.Validate().ok()) << options.Validate();
}

Node::~Node() = default;
void Node::Start() { impl_->Start(); }
void Node::Stop() { impl_->Stop(); }
void Node::Publish(std::string command, base::TimePoint deadline, PublishDone done) {
  impl_->Publish({std::move(command), deadline, std::move(done)});
}
void Node::ChangeConfiguration(std::string command, Index based_on, base::TimePoint deadline,
                               PublishDone done) {
  impl_->Publish(
      {std::move(command), deadline, std::move(done), EntryKind::kConfiguration, based_on});
}
void Node::TransferLeadership(NodeId to) { impl_->Report(raft::TransferLeadership{to}); }
void Node::Report(PeerLost report) { impl_->Report(report); }
void Node::Report(SnapshotArrived report) { impl_->Report(report); }
void Node::Report(StateFlushed report) { impl_->Report(report); }
void Node::Report(StateLost report) { impl_->Report(report); }
void Node::ReadIndex(base::TimePoint deadline, ReadDone done) {
  impl_->ReadIndex(deadline, std::move(done));
}
void Node::LocalRead(ReadDone done) { impl_->LocalRead(std::move(done)); }
void Node::Receive(std::string bytes) { impl_->Receive(bytes); }
NodeStatus Node::status() const { return impl_->status(); }

}  // namespace raft
