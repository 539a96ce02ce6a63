// SPDX-License-Identifier: Apache-2.0

#include "server/app_log.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace server {
namespace {

constexpr base::Duration kPatience = std::chrono::seconds(1);

AppLog* installed = nullptr;

// A stderr that is gone takes no more lines, and nothing can be said about it.
void WriteAll(int descriptor, const std::string& text) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t some = write(descriptor, text.data() + written, text.size() - written);
    if (some < 0 && errno != EINTR) return;
    if (some > 0) written += static_cast<size_t>(some);
  }
}

}  // namespace

AppLog::AppLog(int descriptor, size_t bytes_max)
    : descriptor_(descriptor), bytes_max_(bytes_max), thread_([this] { Run(); }) {}

AppLog::~AppLog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void AppLog::send(google::LogSeverity severity, const char*, const char* base_filename, int line,
                  const google::LogMessageTime& time, const char* message, size_t message_len) {
  Write(ToString(severity, base_filename, line, time, message, message_len));
  if (severity == google::GLOG_FATAL) Drain(kPatience);
}

void AppLog::Write(const std::string& line) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() + line.size() >= bytes_max_) {
      ++dropped_;
      return;
    }
    waiting_ += line;
    waiting_ += '\n';
  }
  changed_.notify_all();
}

bool AppLog::Drain(base::Duration within) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, within, [this] { return waiting_.empty() && !writing_; });
}

void AppLog::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::string text = std::exchange(waiting_, {});
    if (dropped_ > 0) {
      text += std::to_string(std::exchange(dropped_, 0)) +
              " log lines were dropped here: nobody read stderr\n";
    }
    writing_ = true;
    lock.unlock();
    WriteAll(descriptor_, text);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

void LogToStderrWithoutWaiting() {
  installed = new AppLog(STDERR_FILENO);
  for (int severity = google::GLOG_INFO; severity < google::NUM_SEVERITIES; ++severity) {
    google::SetLogDestination(severity, "");
  }
  google::AddLogSink(installed);
}

void FlushLog() {
  if (installed != nullptr) installed->Drain(kPatience);
}

}  // namespace server
