// SPDX-License-Identifier: Apache-2.0

#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "rpc/handler.h"

namespace rpc {
namespace {

// The part between the slashes of "/package.Service/Method".
std::string_view ServiceOf(std::string_view path) {
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  return path.substr(0, path.rfind('/'));
}

// A server stream is a stream whose handler gets the first message and hears no other.
class ServerStreamAdapter final : public StreamHandler {
 public:
  ServerStreamAdapter(std::shared_ptr<Stream> stream, const ServerStreamHandler* handler)
      : stream_(std::move(stream)), handler_(handler) {}

  void OnMessage(std::string message) override {
    if (started_) return;
    started_ = true;
    (*handler_)(stream_, std::move(message));
  }

  void OnHalfClose() override {
    if (!started_) stream_->Finish(absl::InternalError("the call brought no request"));
  }

 private:
  std::shared_ptr<Stream> stream_;
  const ServerStreamHandler* handler_;
  bool started_ = false;
};

}  // namespace

void Registry::Add(std::string path, Method method) {
  CHECK(!path.empty() && path.front() == '/') << path;
  const bool added = methods_.emplace(path, std::move(method)).second;
  CHECK(added) << "two handlers for " << path;
}

void Registry::AddUnary(std::string path, UnaryHandler handler) {
  Add(std::move(path), Method(std::move(handler)));
}

void Registry::AddServerStream(std::string path, ServerStreamHandler handler) {
  auto shared = std::make_shared<ServerStreamHandler>(std::move(handler));
  AddStream(std::move(path), [shared](std::shared_ptr<Stream> stream) {
    return std::make_unique<ServerStreamAdapter>(std::move(stream), shared.get());
  });
}

void Registry::AddStream(std::string path, StreamOpener opener) {
  Add(std::move(path), Method(std::move(opener)));
}

const Registry::Method* Registry::Find(std::string_view path) const {
  const auto found = methods_.find(path);
  return found == methods_.end() ? nullptr : &found->second;
}

absl::Status Registry::UnknownMethod(std::string_view path) const {
  const std::string service(ServiceOf(path));
  for (const std::string& known : services()) {
    if (known == service) {
      return absl::UnimplementedError(absl::StrCat("unknown method ",
                                                   std::string(path.substr(path.rfind('/') + 1)),
                                                   " for service ", service));
    }
  }
  return absl::UnimplementedError(absl::StrCat("unknown service ", service));
}

std::vector<std::string> Registry::services() const {
  std::vector<std::string> names;
  for (const auto& [path, method] : methods_) {
    const std::string_view service = ServiceOf(path);
    if (names.empty() || names.back() != service) names.emplace_back(service);
  }
  return names;
}

}  // namespace rpc
