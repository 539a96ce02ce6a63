// SPDX-License-Identifier: Apache-2.0
//
// app_log.h: log lines on their way to stderr.
//
// Whoever writes a line never waits for who reads it: the raft thread logs too, and a pipe that
// nobody drains once stopped every linearizable read of a member that said it was healthy
// (etcd#22214). Lines beyond the budget are dropped, and their number is said. Only a fatal line is
// waited for, for a second.
//
// Threads: any; the log's own writes.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "base/time.h"
#include "glog/logging.h"

namespace server {

class AppLog final : public google::LogSink {
 public:
  explicit AppLog(int descriptor, size_t bytes_max = 1 << 20);
  // Writes what waits, however long that takes.
  ~AppLog() override;

  void send(google::LogSeverity severity, const char* full_filename, const char* base_filename,
            int line, const google::LogMessageTime& time, const char* message,
            size_t message_len) override;
  using google::LogSink::send;

  // One line without its end. Does not block.
  void Write(const std::string& line);
  // False if what waits was not written within that time.
  bool Drain(base::Duration within);

 private:
  void Run();

  const int descriptor_;
  const size_t bytes_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::string waiting_;
  uint64_t dropped_ = 0;
  bool writing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

// Sends glog's lines that way from now on, for as long as the process lives.
void LogToStderrWithoutWaiting();
// What was logged is on stderr, if somebody reads there.
void FlushLog();

}  // namespace server
