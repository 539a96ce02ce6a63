// SPDX-License-Identifier: Apache-2.0
//
// The grpc++ transport over loopback, on ports that the kernel picks.

#include "rpc/grpc_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <latch>
#include <semaphore>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/grpc/health.pb.h"
#include "proto/grpc/reflection.pb.h"
#include "rpc/frames.h"
#include "rpc/grpc_bytes.h"
#include "rpc/grpc_channel.h"
#include "rpc/health.h"
#include "rpc/reflection.h"

namespace rpc {
namespace {

constexpr size_t kReceiveBytesMax = 1000;
constexpr size_t kLargeBytes = 1 << 20;

// Ahead of the system's by as much as a test says: deadlines are carried over from the system's.
class MovedClock final : public base::Clock {
 public:
  base::TimePoint Now() const override { return system_.Now() + ahead.load(); }
  std::atomic<base::Duration> ahead = base::Duration::zero();

 private:
  const base::SystemClock system_;
};

// Does what it is told, and counts what it hears.
class Session final : public StreamHandler {
 public:
  Session(std::shared_ptr<Stream> stream, std::atomic<int>* heard,
          std::counting_semaphore<>* drained)
      : stream_(std::move(stream)), heard_(*heard), drained_(*drained) {}
  void OnMessage(std::string message) override {
    ++heard_;
    if (message == "hold") stream_->EndIfUnread();
    if (message == "say") stream_->Write("1");
    if (message == "finish") stream_->Finish(absl::OkStatus());
    if (message != "fill and finish") return;
    // A client takes one message whole before it is asked for it.
    for (int i = 0; i < 4; ++i) stream_->Write(std::string(kLargeBytes, 'x'));
    stream_->Finish(absl::OutOfRangeError("the first"));
  }
  void OnHalfClose() override {}
  void OnDrained() override { drained_.release(); }

 private:
  const std::shared_ptr<Stream> stream_;
  std::atomic<int>& heard_;
  std::counting_semaphore<>& drained_;
};

class GrpcServerTest : public testing::Test {
 protected:
  void SetUp() override {
    registry_.AddUnary("/t.T/Echo", [](const Call& call, std::string request, UnaryDone done) {
      if (request == "fail") return done(absl::FailedPreconditionError("etcdserver: no"), "");
      done(absl::OkStatus(), request + call.Metadata("suffix").value_or(""));
    });
    registry_.AddServerStream("/t.T/Count", [](std::shared_ptr<Stream> stream, std::string upto) {
      for (int i = 0; i < std::stoi(upto); ++i) stream->Write(std::to_string(i));
      stream->Finish(absl::OkStatus());
    });
    registry_.AddServerStream("/t.T/Flood",
                              [this](std::shared_ptr<Stream> stream, std::string how) {
                                if (how == "hold") stream->EndIfUnread();
                                // A client takes one message whole before it is asked for it.
                                for (int i = 0; i < 100; ++i)
                                  stream->Write(std::string(kLargeBytes, 'x'));
                                if (how == "finish and abort")
                                  stream->Finish(absl::OutOfRangeError("the first"));
                                if (how.ends_with("abort"))
                                  stream->Abort(absl::ResourceExhaustedError("datum: no room"));
                                if (how == "wait") waits_ = stream;
                                flooded_.count_down();
                              });
    registry_.AddStream("/t.T/Session", [this](std::shared_ptr<Stream> stream) {
      return std::make_unique<Session>(std::move(stream), &heard_, &drained_);
    });
    health_.Register(&registry_);
    RegisterReflection(&registry_);
  }

  void StartServer() {
    GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    options.receive_bytes_max = kReceiveBytesMax;
    auto server = GrpcServer::Start(options, &registry_, &clock_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = absl::StrCat("127.0.0.1:", server_->ports()[0]);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    // Else its windows grow while it does not read.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
  }

  struct Answer {
    absl::Status status;
    std::string bytes;
  };

  Answer Ask(const std::string& method, const std::string& request,
             const std::string& suffix = "") {
    grpc::ClientContext context;
    if (!suffix.empty()) context.AddMetadata("suffix", suffix);
    const grpc::ByteBuffer out = BufferOf(request);
    grpc::ByteBuffer in;
    std::promise<grpc::Status> done;
    stub_->UnaryCall(&context, method, grpc::StubOptions(), &out, &in,
                     [&](grpc::Status status) { done.set_value(std::move(status)); });
    const absl::Status status = AbslStatus(done.get_future().get());
    return {status, BytesOf(in)};
  }

  MovedClock clock_;
  std::latch flooded_{2};
  std::atomic<int> heard_ = 0;
  std::counting_semaphore<> drained_{0};
  std::shared_ptr<Stream> waits_;
  Registry registry_;
  HealthService health_;
  std::unique_ptr<GrpcServer> server_;
  std::string address_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

// Sends `requests` on one stream, half closes, and collects all answers.
class StreamCaller : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  StreamCaller(grpc::GenericStub* stub, const std::string& method, const std::string& request) {
    stub->PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
    out_ = BufferOf(request);
    StartWriteLast(&out_, grpc::WriteOptions());
    StartRead(&in_);
    StartCall();
  }
  absl::Status Wait() { return AbslStatus(done_.get_future().get()); }
  std::vector<std::string> answers;

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    answers.push_back(BytesOf(in_));
    in_.Clear();
    StartRead(&in_);
  }
  void OnDone(const grpc::Status& status) override { done_.set_value(status); }

  grpc::ClientContext context_;
  grpc::ByteBuffer out_, in_;
  std::promise<grpc::Status> done_;
};

// Sends a request and reads nothing.
class Starer : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Starer(grpc::GenericStub* stub, const std::string& method, const std::string& request) {
    stub->PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
    out_ = BufferOf(request);
    AddHold();
    StartWriteLast(&out_, grpc::WriteOptions());
    StartCall();
  }
  ~Starer() override {
    if (ended_) return;
    context_.TryCancel();
    (void)End();
  }
  // Reads what is there still, and the end.
  absl::Status End() {
    ended_ = true;
    StartRead(&in_);
    RemoveHold();
    return AbslStatus(done_.get_future().get());
  }

 private:
  void OnReadDone(bool ok) override {
    in_.Clear();
    if (ok) StartRead(&in_);
  }
  void OnDone(const grpc::Status& status) override { done_.set_value(status); }

  bool ended_ = false;
  grpc::ClientContext context_;
  grpc::ByteBuffer out_, in_;
  std::promise<grpc::Status> done_;
};

TEST_F(GrpcServerTest, AbortEndsAStreamThatNobodyReads) {
  StartServer();
  Starer caller(stub_.get(), "/t.T/Flood", "abort");
  EXPECT_EQ(caller.End(), absl::ResourceExhaustedError("datum: no room"));
}

TEST_F(GrpcServerTest, AClientThatLetsAPieceLieIsSentAwayIfItHoldsSomething) {
  StartServer();
  Starer holder(stub_.get(), "/t.T/Flood", "hold");
  Starer waiter(stub_.get(), "/t.T/Flood", "wait");
  flooded_.wait();
  clock_.ahead = std::chrono::seconds(61);
  server_->EndUnread();
  clock_.ahead = std::chrono::seconds(65);
  server_->EndUnread();
  EXPECT_EQ(holder.End(),
            absl::DeadlineExceededError("datum: the client does not read its answer"));
  EXPECT_FALSE(waits_->cancelled());
}

// Sends a message a time, and reads one at a time.
class Talker : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Talker(grpc::GenericStub* stub, const std::string& method) {
    stub->PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
    AddHold();
    StartCall();
  }
  ~Talker() override {
    if (ended_) return;
    context_.TryCancel();
    (void)End();
  }
  bool Send(const std::string& message) {
    out_ = BufferOf(message);
    sent_ = {};
    StartWrite(&out_);
    return sent_.get_future().get();
  }
  bool Read() {
    in_.Clear();
    read_ = {};
    StartRead(&in_);
    return read_.get_future().get();
  }
  absl::Status End() {
    ended_ = true;
    RemoveHold();
    return AbslStatus(done_.get_future().get());
  }

 private:
  void OnWriteDone(bool ok) override { sent_.set_value(ok); }
  void OnReadDone(bool ok) override { read_.set_value(ok); }
  void OnDone(const grpc::Status& status) override { done_.set_value(status); }

  bool ended_ = false;
  grpc::ClientContext context_;
  grpc::ByteBuffer out_, in_;
  std::promise<bool> sent_, read_;
  std::promise<grpc::Status> done_;
};

TEST_F(GrpcServerTest, AClientThatTakesDropByDropUsesItsTimeUp) {
  StartServer();
  Talker dripper(stub_.get(), "/t.T/Flood");
  ASSERT_TRUE(dripper.Send("hold"));
  // Each message brings four seconds to the minute that there is.
  int taken = 0;
  for (; taken < 40 && dripper.Read(); ++taken) {
    clock_.ahead = clock_.ahead.load() + std::chrono::seconds(30);
    server_->EndUnread();
  }
  ASSERT_LT(taken, 20) << "what had come before counts too";
  EXPECT_EQ(dripper.End(),
            absl::DeadlineExceededError("datum: the client does not read its answer"));
}

TEST_F(GrpcServerTest, AServerThatIsSlowItselfDoesNotSendItsClientAway) {
  StartServer();
  Talker reader(stub_.get(), "/t.T/Session");
  ASSERT_TRUE(reader.Send("hold"));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(reader.Send("say"));
    ASSERT_TRUE(reader.Read());
    drained_.acquire();
    clock_.ahead = clock_.ahead.load() + std::chrono::minutes(10);
    server_->EndUnread();
  }
  ASSERT_TRUE(reader.Send("finish"));
  EXPECT_FALSE(reader.Read());
  EXPECT_TRUE(reader.End().ok());
}

TEST_F(GrpcServerTest, AStreamThatEndsHearsNoMore) {
  StartServer();
  Talker talker(stub_.get(), "/t.T/Session");
  ASSERT_TRUE(talker.Send("one"));
  ASSERT_TRUE(talker.Send("fill and finish"));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(talker.Send("more"));
  // Time for them to be heard: what comes behind them on the connection is answered.
  EXPECT_TRUE(Ask("/t.T/Echo", "behind").status.ok());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(talker.Read()) << "what was queued before the end";
  EXPECT_FALSE(talker.Read());
  EXPECT_EQ(talker.End(), absl::OutOfRangeError("the first"));
  EXPECT_EQ(heard_, 2);
}

TEST_F(GrpcServerTest, AnAbortReplacesAnEndThatWaits) {
  StartServer();
  Starer caller(stub_.get(), "/t.T/Flood", "finish and abort");
  EXPECT_EQ(caller.End(), absl::ResourceExhaustedError("datum: no room"));
}

TEST_F(GrpcServerTest, AnswersUnaryCallsWithMetadataAndExactErrors) {
  StartServer();
  const Answer echoed = Ask("/t.T/Echo", "datum", "!");
  EXPECT_TRUE(echoed.status.ok()) << echoed.status;
  EXPECT_EQ(echoed.bytes, "datum!");
  EXPECT_EQ(Ask("/t.T/Echo", "fail").status, absl::FailedPreconditionError("etcdserver: no"));
}

TEST_F(GrpcServerTest, KeepsTheOrderOfAServerStream) {
  StartServer();
  StreamCaller caller(stub_.get(), "/t.T/Count", "5");
  EXPECT_TRUE(caller.Wait().ok());
  EXPECT_EQ(caller.answers, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
}

TEST_F(GrpcServerTest, RefusesUnknownMethods) {
  StartServer();
  EXPECT_EQ(Ask("/t.T/Nothing", "").status,
            absl::UnimplementedError("unknown method Nothing for service t.T"));
  EXPECT_EQ(Ask("/x.Y/Z", "").status, absl::UnimplementedError("unknown service x.Y"));
}

TEST_F(GrpcServerTest, RefusesAMessageOverTheLimitAndGoesOn) {
  StartServer();
  EXPECT_EQ(Ask("/t.T/Echo", std::string(kReceiveBytesMax + 1, 'x')).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Ask("/t.T/Echo", std::string(kReceiveBytesMax, 'x')).status.ok());
}

TEST_F(GrpcServerTest, SurvivesGarbageOnItsPort) {
  StartServer();
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(server_->ports()[0]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string garbage(4096, '\xee');
  ASSERT_EQ(send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL), 4096);
  EXPECT_TRUE(Ask("/t.T/Echo", "still here").status.ok());
  close(fd);
}

// grpc++'s own listener never accepts again once accept() has failed (EMFILE).
TEST_F(GrpcServerTest, AFloodOfConnectionsIsShedAndLeavesDescriptorsToOthers) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 1000;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  StartServer();
  EXPECT_EQ(Ask("/t.T/Echo", "before").bytes, "before");
  sockaddr_in place = {};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<uint16_t>(server_->ports()[0]));
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<int> flood;
  int closed = 0;
  // Both ends are in this process: the limit of a half is reached with a quarter.
  while (flood.size() < 600 && closed < 20) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_GE(fd, 0);
    flood.push_back(fd);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&place), sizeof(place)), 0);
    if (fd < 400) continue;
    // A server greets with its settings only who is let in.
    char byte;
    if (recv(fd, &byte, 1, 0) <= 0) ++closed;
  }
  EXPECT_EQ(closed, 20);
  EXPECT_LT(flood.back(), 700) << "descriptors are left";
  EXPECT_EQ(Ask("/t.T/Echo", "amid").bytes, "amid") << "who is connected is served";
  for (int fd : flood) close(fd);
  stub_ = nullptr;
  for (bool served = false; !served;) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    // Else its windows grow while it does not read.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
    served = Ask("/t.T/Echo", "after").bytes == "after";
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(GrpcServerTest, SaysWhichAddressIsInUseOrBad) {
  StartServer();
  GrpcServerOptions options;
  options.addresses = {address_};
  absl::Status status = GrpcServer::Start(options, &registry_, &clock_).status();
  EXPECT_EQ(status, absl::UnavailableError(
                        absl::StrCat("cannot listen on ", address_, ": Address already in use")));
  options.addresses = {"127.0.0.1"};
  status = GrpcServer::Start(options, &registry_, &clock_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  options.addresses = {"127.0.0.1:99999"};
  EXPECT_FALSE(GrpcServer::Start(options, &registry_, &clock_).ok());
  // 192.0.2.0/24 is for documents: never an address of this machine.
  options.addresses = {"192.0.2.1:0"};
  status = GrpcServer::Start(options, &registry_, &clock_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST_F(GrpcServerTest, HealthTellsWhetherItServes) {
  StartServer();
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  Answer answer = Ask("/grpc.health.v1.Health/Check", request.SerializeAsString());
  ASSERT_TRUE(response.ParseFromString(answer.bytes));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  health_.SetServing("", true);
  answer = Ask("/grpc.health.v1.Health/Check", request.SerializeAsString());
  ASSERT_TRUE(response.ParseFromString(answer.bytes));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  request.set_service("nobody");
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", request.SerializeAsString()).status,
            absl::NotFoundError("unknown service"));
}

TEST_F(GrpcServerTest, ReflectionListsServicesAndGivesTheirFiles) {
  StartServer();
  using grpc::reflection::v1alpha::ServerReflectionRequest;
  using grpc::reflection::v1alpha::ServerReflectionResponse;
  constexpr char kMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  ServerReflectionRequest request;
  request.set_list_services("");
  StreamCaller list(stub_.get(), kMethod, request.SerializeAsString());
  ASSERT_TRUE(list.Wait().ok());
  ServerReflectionResponse response;
  ASSERT_EQ(list.answers.size(), 1u);
  ASSERT_TRUE(response.ParseFromString(list.answers[0]));
  ASSERT_EQ(response.list_services_response().service_size(), 3);
  EXPECT_EQ(response.list_services_response().service(0).name(), "grpc.health.v1.Health");

  request.set_file_containing_symbol("grpc.health.v1.Health");
  StreamCaller file(stub_.get(), kMethod, request.SerializeAsString());
  ASSERT_TRUE(file.Wait().ok());
  ASSERT_TRUE(response.ParseFromString(file.answers.at(0)));
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 1);

  request.set_file_by_filename("no/such.proto");
  StreamCaller missing(stub_.get(), kMethod, request.SerializeAsString());
  ASSERT_TRUE(missing.Wait().ok());
  ASSERT_TRUE(response.ParseFromString(missing.answers.at(0)));
  EXPECT_EQ(response.error_response().error_code(), 5);
}

// Takes the frames of a SendStream.
class FrameCollector : public StreamHandler {
 public:
  FrameCollector(std::shared_ptr<Stream> stream, std::vector<std::string>* frames,
                 std::promise<void>* all, size_t wanted)
      : stream_(std::move(stream)), frames_(frames), all_(all), wanted_(wanted) {}
  void OnMessage(std::string message) override {
    const absl::Status status =
        ForEachFrame(message, [this](std::string_view frame) { frames_->emplace_back(frame); });
    EXPECT_TRUE(status.ok()) << status;
    if (frames_->size() == wanted_) all_->set_value();
  }
  void OnHalfClose() override { stream_->Finish(absl::OkStatus()); }

 private:
  std::shared_ptr<Stream> stream_;
  std::vector<std::string>* frames_;
  std::promise<void>* all_;
  size_t wanted_;
};

TEST_F(GrpcServerTest, SendStreamCarriesFramesInOrderAndIsTheSenderItSaysItIs) {
  constexpr size_t kFrames = 500;
  std::vector<std::string> frames;
  std::promise<void> all;
  registry_.AddStream("/t.T/Peer", [&](std::shared_ptr<Stream> stream) {
    EXPECT_EQ(stream->Metadata("from"), "n1");
    return std::make_unique<FrameCollector>(stream, &frames, &all, kFrames);
  });
  StartServer();
  std::promise<void> up;
  SendStreamOptions options;
  options.address = address_;
  options.method = "/t.T/Peer";
  options.metadata = {{"from", "n1"}};
  options.message_bytes_max = 100;
  SendStream sender(options, [&](bool connected, const std::string&) {
    if (connected) up.set_value();
  });
  up.get_future().wait();
  for (size_t i = 0; i < kFrames; ++i) ASSERT_TRUE(sender.Send(std::to_string(i)));
  all.get_future().wait();
  for (size_t i = 0; i < kFrames; ++i) EXPECT_EQ(frames[i], std::to_string(i));
}

// Else an entry of that size would be sent again and again, and never be committed.
TEST_F(GrpcServerTest, SendStreamTakesOneThatIsLargerThanItsQueue) {
  std::vector<std::string> frames;
  std::promise<void> all;
  registry_.AddStream("/t.T/Peer", [&](std::shared_ptr<Stream> stream) {
    return std::make_unique<FrameCollector>(stream, &frames, &all, 1);
  });
  StartServer();
  std::promise<void> up;
  SendStreamOptions options;
  options.address = address_;
  options.method = "/t.T/Peer";
  options.queue_bytes_max = 100;
  SendStream sender(options, [&](bool connected, const std::string&) {
    if (connected) up.set_value();
  });
  up.get_future().wait();
  ASSERT_TRUE(sender.Send(std::string(101, 'x')));
  all.get_future().wait();
  EXPECT_EQ(frames[0].size(), 101u);
}

TEST_F(GrpcServerTest, SendStreamTellsWhyAPeerRefusesAndDropsMeanwhile) {
  registry_.AddStream("/t.T/Peer", [&](std::shared_ptr<Stream> stream) {
    stream->Finish(absl::FailedPreconditionError("another cluster"));
    return std::make_unique<FrameCollector>(stream, nullptr, nullptr, 0);
  });
  StartServer();
  std::promise<std::string> refused;
  bool told = false;
  SendStreamOptions options;
  options.address = address_;
  options.method = "/t.T/Peer";
  SendStream sender(options, [&](bool connected, const std::string& why) {
    if (connected || told) return;
    told = true;
    refused.set_value(why);
  });
  EXPECT_EQ(refused.get_future().get(), "another cluster");
  EXPECT_FALSE(sender.connected());
  EXPECT_FALSE(sender.Send("lost"));
}

}  // namespace
}  // namespace rpc
