// SPDX-License-Identifier: Apache-2.0
//
// meta_store.h: a handful of small records, each durable when its write returns.
//
// Two bodies: rocks_meta.h, which users run, and MemoryMetaStore for the simulator.

#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace store {

class MetaStore {
 public:
  virtual ~MetaStore() = default;

  virtual absl::StatusOr<std::optional<std::string>> Get(const std::string& name) = 0;

  // Promises: on the disk when it returns. Errors: a disk that refuses ends the process.
  virtual void PutDurably(const std::string& name, const std::string& value) = 0;
};

class MemoryMetaStore final : public MetaStore {
 public:
  absl::StatusOr<std::optional<std::string>> Get(const std::string& name) override {
    auto found = records_.find(name);
    if (found == records_.end()) return std::nullopt;
    return found->second;
  }
  void PutDurably(const std::string& name, const std::string& value) override {
    records_[name] = value;
  }

 private:
  std::map<std::string, std::string> records_;
};

}  // namespace store
