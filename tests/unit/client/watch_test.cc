// SPDX-License-Identifier: Apache-2.0

#include "client/watch.h"

#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/fake_streams.h"

namespace client {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "the member goes away");

std::unique_ptr<Client> ClientOf(std::vector<std::string> endpoints) {
  Options options;
  options.endpoints = std::move(endpoints);
  options.pause_first = absl::Milliseconds(1);
  options.pause_longest = absl::Milliseconds(5);
  auto made = Client::Create(options);
  CHECK(made.ok()) << made.status();
  return *std::move(made);
}

void SayCreated(int64_t revision, WatchStream* stream) {
  WatchResponse created;
  created.set_created(true);
  created.mutable_header()->set_revision(revision);
  stream->Write(created);
}

// Puts of "k" at these revisions, in one answer.
WatchResponse Puts(std::initializer_list<int64_t> revisions) {
  WatchResponse answer;
  for (const int64_t revision : revisions) {
    mvccpb::KeyValue* datum = answer.add_events()->mutable_kv();
    datum->set_key("k");
    datum->set_mod_revision(revision);
    answer.mutable_header()->set_revision(revision);
  }
  return answer;
}

std::vector<int64_t> Revisions(const WatchResponse& answer) {
  std::vector<int64_t> revisions;
  for (const mvccpb::Event& event : answer.events()) {
    revisions.push_back(event.kv().mod_revision());
  }
  return revisions;
}

// A stream that is created at `revision`, says this, and breaks.
WatchScript SaysAndBreaks(int64_t revision, std::vector<WatchResponse> answers) {
  return [revision, answers = std::move(answers)](const WatchCreateRequest&, WatchStream* stream) {
    SayCreated(revision, stream);
    for (const WatchResponse& answer : answers) stream->Write(answer);
    return kGone;
  };
}

WatchScript StaysUntilTheClientLeaves(int64_t revision) {
  return [revision](const WatchCreateRequest&, WatchStream* stream) {
    SayCreated(revision, stream);
    etcdserverpb::WatchRequest request;
    while (stream->Read(&request)) {
      WatchResponse progress;
      progress.set_watch_id(-1);
      progress.mutable_header()->set_revision(revision);
      if (request.has_progress_request()) stream->Write(progress);
    }
    return grpc::Status::OK;
  };
}

TEST(Watcher, GoesOnBehindTheLastRevisionOnTheNextEndpoint) {
  FakeWatches first({SaysAndBreaks(4, {Puts({5}), Puts({6, 7})})});
  FakeWatches second({SaysAndBreaks(9, {Puts({8, 9})})});
  FakeHost first_host({&first});
  FakeHost second_host({&second});
  const auto client = ClientOf({first_host.endpoint(), second_host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  std::vector<int64_t> seen;
  for (int i = 0; i < 3; ++i) {
    const auto answer = watcher.Next();
    ASSERT_TRUE(answer.ok()) << answer.status();
    for (const int64_t revision : Revisions(*answer)) seen.push_back(revision);
  }
  EXPECT_EQ(seen, (std::vector<int64_t>{5, 6, 7, 8, 9}));
  ASSERT_EQ(second.requests().size(), 1u);
  EXPECT_EQ(first.requests()[0].start_revision(), 0);
  EXPECT_EQ(second.requests()[0].start_revision(), 8);
  EXPECT_EQ(watcher.next_revision(), 10);
}

TEST(Watcher, FromNowOnMeansTheSameAfterABreakWithoutEvents) {
  FakeWatches watches({SaysAndBreaks(4, {}), SaysAndBreaks(20, {Puts({5, 20})})});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  const auto answer = watcher.Next();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(watches.requests()[1].start_revision(), 5);
  EXPECT_EQ(Revisions(*answer), (std::vector<int64_t>{5, 20}));
}

TEST(Watcher, TellsThatItsHistoryIsCompacted) {
  const auto compacted = [](const WatchCreateRequest&, WatchStream* stream) {
    SayCreated(50, stream);
    WatchResponse end;
    end.set_canceled(true);
    end.set_compact_revision(40);
    stream->Write(end);
    return grpc::Status::OK;
  };
  FakeWatches watches({SaysAndBreaks(4, {Puts({5})}), compacted});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  ASSERT_TRUE(watcher.Next().ok());
  for (int i = 0; i < 2; ++i) {  // the second time it does not ask again
    const absl::Status status = watcher.Next().status();
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_EQ(status.message(), "etcdserver: mvcc: required revision has been compacted");
  }
  EXPECT_EQ(watcher.compact_revision(), 40);
  EXPECT_EQ(watches.requests().size(), 2u);
}

TEST(Watcher, PiecesOfAnAnswerComeTogetherOrNotAtAll) {
  WatchResponse piece = Puts({6, 7});
  piece.set_fragment(true);
  // Breaks within revision 7, whose second half stands in the piece that never came.
  FakeWatches watches({SaysAndBreaks(5, {piece}), SaysAndBreaks(7, {piece, Puts({7})})});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  const auto answer = watcher.Next();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(Revisions(*answer), (std::vector<int64_t>{6, 7, 7}));
  EXPECT_FALSE(answer->fragment());
  EXPECT_EQ(watches.requests()[1].start_revision(), 6);
}

TEST(Watcher, ProgressMovesWhereItGoesOn) {
  FakeWatches watches({StaysUntilTheClientLeaves(30)});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  ASSERT_TRUE(watcher.Created().ok());
  EXPECT_EQ(watcher.next_revision(), 31);
  watcher.RequestProgress();
  const auto answer = watcher.Next();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->events().empty());
  EXPECT_EQ(answer->header().revision(), 30);
}

TEST(Watcher, StopEndsANextThatWaits) {
  FakeWatches watches({StaysUntilTheClientLeaves(30)});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchKey("k"));
  ASSERT_TRUE(watcher.Created().ok());
  std::thread stopper([&watcher] { watcher.Stop(); });
  EXPECT_TRUE(absl::IsCancelled(watcher.Next().status()));
  stopper.join();
  EXPECT_TRUE(absl::IsCancelled(watcher.Next().status()));
}

TEST(Watcher, ARefusalIsNotRepeated) {
  const auto refuses = [](const WatchCreateRequest&, WatchStream* stream) {
    WatchResponse refusal;
    refusal.set_created(true);
    refusal.set_canceled(true);
    refusal.set_cancel_reason("etcdserver: permission denied");
    stream->Write(refusal);
    return grpc::Status::OK;
  };
  FakeWatches watches({refuses});
  FakeHost host({&watches});
  const auto client = ClientOf({host.endpoint()});
  Watcher watcher(*client, WatchPrefix(""));
  EXPECT_TRUE(absl::IsPermissionDenied(watcher.Next().status()));
  ASSERT_EQ(watches.requests().size(), 1u);
  EXPECT_EQ(watches.requests()[0].range_end(), std::string(1, '\0'));
}

}  // namespace
}  // namespace client
