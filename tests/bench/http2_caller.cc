// SPDX-License-Identifier: Apache-2.0

#include "tests/bench/http2_caller.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace bench {
namespace {

constexpr int32_t kWindowBytes = 64 << 20;
constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kGatherBytes = 256 << 10;

nghttp2_nv Header(std::string_view name, std::string_view value) {
  nghttp2_nv header;
  header.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
  header.namelen = name.size();
  header.value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  header.valuelen = value.size();
  header.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
  return header;
}

absl::StatusOr<int> ConnectSocket(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  int port = 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos || !absl::SimpleAtoi(endpoint.substr(colon + 1), &port) ||
      inet_pton(AF_INET, endpoint.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("not an endpoint: ", endpoint));
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, "socket");
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat("connect ", endpoint));
    close(descriptor);
    return status;
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return descriptor;
}

}  // namespace

std::string Framed(const std::string& message) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed.push_back(static_cast<char>(size >> shift));
  return framed + message;
}

absl::StatusOr<std::unique_ptr<Http2Caller>> Http2Caller::Connect(const std::string& endpoint,
                                                                  Done done) {
  absl::StatusOr<int> descriptor = ConnectSocket(endpoint);
  if (!descriptor.ok()) return descriptor.status();
  return std::unique_ptr<Http2Caller>(new Http2Caller(*descriptor, endpoint, std::move(done)));
}

nghttp2_session_callbacks* Http2Caller::Callbacks() {
  static nghttp2_session_callbacks* const kCallbacks = [] {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    return callbacks;
  }();
  return kCallbacks;
}

Http2Caller::Http2Caller(int descriptor, std::string authority, Done done)
    : descriptor_(descriptor), authority_(std::move(authority)), done_(std::move(done)) {
  CHECK_EQ(nghttp2_session_client_new(&session_, Callbacks(), this), 0);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(kWindowBytes)},
  };
  CHECK_EQ(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)), 0);
  CHECK_EQ(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindowBytes), 0);
}

Http2Caller::~Http2Caller() {
  nghttp2_session_del(session_);
  close(descriptor_);
}

Http2Caller::Stream* Http2Caller::StreamOf(int32_t id) {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

void Http2Caller::Call(const std::string& path, uint32_t caller, std::string framed_request) {
  const nghttp2_nv headers[] = {
      Header(":method", "POST"),
      Header(":scheme", "http"),
      Header(":path", path),
      Header(":authority", authority_),
      Header("content-type", "application/grpc"),
      Header("te", "trailers"),
  };
  nghttp2_data_provider body{};
  body.read_callback = ReadRequest;
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &body, nullptr);
  CHECK_GT(id, 0) << nghttp2_strerror(id);
  Stream stream;
  stream.caller = caller;
  stream.request = std::move(framed_request);
  streams_[id] = std::move(stream);
}

ssize_t Http2Caller::ReadRequest(nghttp2_session*, int32_t id, uint8_t* buffer, size_t length,
                                 uint32_t* data_flags, nghttp2_data_source*, void* self) {
  Stream* stream = static_cast<Http2Caller*>(self)->StreamOf(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const size_t count = std::min(length, stream->request.size() - stream->request_sent);
  std::memcpy(buffer, stream->request.data() + stream->request_sent, count);
  stream->request_sent += count;
  if (stream->request_sent == stream->request.size()) *data_flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

int Http2Caller::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                          size_t name_length, const uint8_t* value, size_t value_length, uint8_t,
                          void* self) {
  const std::string_view field(reinterpret_cast<const char*>(name), name_length);
  if (field != "grpc-status") return 0;
  Stream* stream = static_cast<Http2Caller*>(self)->StreamOf(frame->hd.stream_id);
  const std::string_view text(reinterpret_cast<const char*>(value), value_length);
  int status = -1;
  if (stream != nullptr && absl::SimpleAtoi(std::string(text), &status))
    stream->grpc_status = status;
  return 0;
}

int Http2Caller::OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t*, size_t length,
                        void* self) {
  Stream* stream = static_cast<Http2Caller*>(self)->StreamOf(id);
  if (stream != nullptr) stream->response_bytes += length;
  return 0;
}

int Http2Caller::OnStreamClose(nghttp2_session*, int32_t id, uint32_t, void* self) {
  auto* caller = static_cast<Http2Caller*>(self);
  auto found = caller->streams_.find(id);
  if (found == caller->streams_.end()) return 0;
  const Stream stream = std::move(found->second);
  caller->streams_.erase(found);
  const size_t framing = std::min<size_t>(stream.response_bytes, 5);
  caller->done_(stream.caller, {stream.grpc_status, stream.response_bytes - framing});
  return 0;
}

bool Http2Caller::OnReadable() {
  static thread_local std::vector<uint8_t> buffer(kReadBytes);
  while (true) {
    const ssize_t got = read(descriptor_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    if (nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(got)) < 0) {
      return false;
    }
    if (static_cast<size_t>(got) < buffer.size()) return true;
  }
}

// Gathers frames so that one loop turn is one write.
bool Http2Caller::Flush() {
  while (true) {
    if (sent_ == outgoing_.size()) {
      outgoing_.clear();
      sent_ = 0;
      while (outgoing_.size() < kGatherBytes) {
        const uint8_t* bytes = nullptr;
        const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
        if (count < 0) return false;
        if (count == 0) break;
        outgoing_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
      }
      if (outgoing_.empty()) return true;
    }
    const ssize_t written =
        send(descriptor_, outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno == EAGAIN;
    sent_ += static_cast<size_t>(written);
  }
}

}  // namespace bench
