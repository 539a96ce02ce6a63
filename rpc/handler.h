// SPDX-License-Identifier: Apache-2.0
//
// handler.h: an RPC as a service sees it, whatever transport carries it.
//
// A service registers handlers by full method path ("/etcdserverpb.KV/Put"). Bytes come in, a
// status and bytes go out; typed.h puts protobuf messages on top.
//
// Threads: a transport calls handlers from its I/O threads, so a handler never blocks. Answers
//          may be given from any thread, also before the handler has returned.
// Errors:  an absl::Status; its code and message reach the client as they are (the codes are
//          gRPC's).

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"

namespace rpc {

// What came with a call besides its messages.
class Call {
 public:
  virtual ~Call() = default;
  // The first value of this name; names are lower case.
  virtual std::optional<std::string> Metadata(std::string_view name) const = 0;
  // kForever if the client gave none.
  virtual base::TimePoint deadline() const = 0;
  // The other end's address, for logs.
  virtual std::string peer() const = 0;
  // The client has gone or its deadline has passed: nobody reads the answer.
  virtual bool cancelled() const = 0;
  // For an answer that may take long: `on_cancel` is called, from any thread and at most once, when
  // nobody waits for it any more; at once if that is so already. It may end the call.
  virtual void WhenCancelled(std::function<void()> on_cancel) const {}
};

// An answer's bytes: a string, or pieces that are sent one behind the other. What is held goes when
// the transport needs the bytes no more. A client that lets an answer lie that holds something, or
// is not small, or is one of many, is sent away.
class Answer {
 public:
  Answer() = default;
  Answer(std::string bytes) { pieces_.push_back(std::move(bytes)); }  // NOLINT: a string is one
  Answer(const char* bytes) : Answer(std::string(bytes)) {}           // NOLINT
  Answer(std::vector<std::string> pieces, std::shared_ptr<const void> held)
      : pieces_(std::move(pieces)), held_(std::move(held)) {}

  const std::vector<std::string>& pieces() const { return pieces_; }
  std::vector<std::string> TakePieces() { return std::move(pieces_); }
  const std::shared_ptr<const void>& held() const { return held_; }
  size_t bytes() const {
    size_t bytes = 0;
    for (const std::string& piece : pieces_) bytes += piece.size();
    return bytes;
  }

  // All of it as one string.
  operator std::string() && {  // NOLINT: for those who know of no pieces
    if (pieces_.empty()) return "";
    std::string all = std::move(pieces_.front());
    for (size_t i = 1; i < pieces_.size(); ++i) all += pieces_[i];
    return all;
  }

 private:
  std::vector<std::string> pieces_;
  std::shared_ptr<const void> held_;
};

// Ends a unary call. To be called exactly once. `response` counts only if `status` is OK.
using UnaryDone = std::function<void(absl::Status status, Answer response)>;

// `call` lives until `done` is called.
using UnaryHandler = std::function<void(const Call& call, std::string request, UnaryDone done)>;

// The transport's end of a streaming call. May be kept past the call's end; all it does then is
// nothing. Threads: any.
class Stream : public Call {
 public:
  // Queues one message and returns the bytes that now wait to be sent, this one included. A
  // sender that may outrun its client stops above a bound of its own until OnDrained.
  virtual size_t Write(std::string message) = 0;
  // Ends the call once what was queued has left. The first status counts.
  virtual void Finish(absl::Status status) = 0;
  // Ends the call at once, also one that waits for its client to read: what is queued is dropped,
  // and its status is what the client is sent, also in place of an earlier Finish's that has not
  // left yet. A message may have left in part: grpc-go then reports Internal, "unexpected EOF",
  // whatever the status.
  virtual void Abort(absl::Status status) = 0;
  // From now on a client that takes messages too slowly ends the call, as DeadlineExceeded: one
  // that lets a message lie for the transport's patience, or makes up for it in small pieces. For a
  // stream that holds something back as long as it lasts. Only time with a message under way
  // counts.
  virtual void EndIfUnread() = 0;
};

// The service's end of a streaming call. Calls come one at a time, OnDone last; only OnDrained
// may come beside another.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // The next message is read only after this has returned: a slow handler slows its client. None
  // comes after Finish or Abort, but for one that comes at that moment.
  virtual void OnMessage(std::string message) = 0;
  // The client sends no more. What it is still to be told, and Finish, is up to the handler.
  virtual void OnHalfClose() = 0;
  // All that was queued has been handed to the network.
  virtual void OnDrained() {}
  // The call is over, whoever ended it.
  virtual void OnDone() {}
};

// Called once for each call, before its first message.
using StreamOpener = std::function<std::unique_ptr<StreamHandler>(std::shared_ptr<Stream> stream)>;

// One request in, any number of messages and a Finish out.
using ServerStreamHandler =
    std::function<void(std::shared_ptr<Stream> stream, std::string request)>;

// Which handler answers which method. Filled before the transport starts, fixed from then on.
class Registry {
 public:
  using Method = std::variant<UnaryHandler, StreamOpener>;

  // `path` is "/package.Service/Method". A path that is taken already is a bug.
  void AddUnary(std::string path, UnaryHandler handler);
  void AddServerStream(std::string path, ServerStreamHandler handler);
  void AddStream(std::string path, StreamOpener opener);

  // Null if no one answers it.
  const Method* Find(std::string_view path) const;

  // Unimplemented, in the words that gRPC's Go server uses for an unknown service or method.
  absl::Status UnknownMethod(std::string_view path) const;

  // "package.Service" of all methods, sorted.
  std::vector<std::string> services() const;

 private:
  void Add(std::string path, Method method);

  std::map<std::string, Method, std::less<>> methods_;
};

}  // namespace rpc
