// SPDX-License-Identifier: Apache-2.0

#include "gtest/gtest.h"
#include "proto/grpc/health.pb.h"
#include "rpc/frames.h"
#include "rpc/typed.h"

namespace rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;

class NoCall : public Call {
 public:
  std::optional<std::string> Metadata(std::string_view) const override { return std::nullopt; }
  base::TimePoint deadline() const override { return base::kForever; }
  std::string peer() const override { return "test"; }
  bool cancelled() const override { return false; }
};

TEST(RegistryTest, FindsAMethodByItsPathAndNamesServices) {
  Registry registry;
  const auto nothing = [](const Call&, std::string, UnaryDone) {};
  registry.AddUnary("/a.B/C", nothing);
  registry.AddUnary("/a.B/D", nothing);
  registry.AddServerStream("/a.A/E", [](std::shared_ptr<Stream>, std::string) {});
  EXPECT_TRUE(std::holds_alternative<UnaryHandler>(*registry.Find("/a.B/C")));
  EXPECT_TRUE(std::holds_alternative<StreamOpener>(*registry.Find("/a.A/E")));
  EXPECT_EQ(registry.Find("/a.B/X"), nullptr);
  EXPECT_EQ(registry.services(), (std::vector<std::string>{"a.A", "a.B"}));
  EXPECT_EQ(registry.UnknownMethod("/a.B/X"),
            absl::UnimplementedError("unknown method X for service a.B"));
  EXPECT_EQ(registry.UnknownMethod(""), absl::UnimplementedError("unknown service "));
}

TEST(TypedTest, DecodesTheRequestOrEndsTheCall) {
  std::string seen;
  const UnaryHandler handler = TypedUnary<HealthCheckRequest>(
      [&](const Call&, HealthCheckRequest request, const UnaryDone& done) {
        seen = request.service();
        Reply(done, absl::OkStatus(), request);
      });
  HealthCheckRequest request;
  request.set_service("kv");
  absl::Status status;
  std::string response;
  const UnaryDone done = [&](absl::Status ended, std::string bytes) {
    status = ended;
    response = bytes;
  };
  handler(NoCall(), request.SerializeAsString(), done);
  EXPECT_EQ(seen, "kv");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(response, request.SerializeAsString());
  handler(NoCall(), "\xff\xff", done);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

// A message as Reply sees it, of any size.
struct LargeMessage {
  size_t ByteSizeLong() const { return bytes; }
  bool SerializeToString(std::string*) const { return false; }
  size_t bytes = 0;
};

TEST(TypedTest, AnAnswerThatCannotBeEncodedIsNeverAnEmptyOne) {
  absl::Status status;
  const UnaryDone done = [&](absl::Status ended, std::string) { status = ended; };
  Reply(done, absl::OkStatus(), LargeMessage{size_t{1} << 31});
  EXPECT_EQ(status, absl::ResourceExhaustedError(
                        "grpc: trying to send message larger than max (2147483648 vs. "
                        "2147483647)"));
  Reply(done, absl::OkStatus(), LargeMessage{10});
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  Reply(done, absl::NotFoundError("k"), LargeMessage{size_t{1} << 31});
  EXPECT_EQ(status, absl::NotFoundError("k"));
}

TEST(FramesTest, SplitsWhatWasJoinedAndRefusesWhatIsCut) {
  const std::string joined = FrameHeader(3) + "abc" + FrameHeader(0) + FrameHeader(1) + "d";
  std::vector<std::string> frames;
  const auto take = [&](std::string_view frame) { frames.emplace_back(frame); };
  EXPECT_TRUE(ForEachFrame(joined, take).ok());
  EXPECT_EQ(frames, (std::vector<std::string>{"abc", "", "d"}));
  for (size_t length = 1; length < joined.size(); ++length) {
    if (length == 7 || length == 11) continue;  // where a frame ends
    EXPECT_FALSE(ForEachFrame(joined.substr(0, length), take).ok()) << length;
  }
}

}  // namespace
}  // namespace rpc
