// SPDX-License-Identifier: Apache-2.0
//
// sim_meta.h: meta/ on a simulated disk: what is not synced when the power goes is lost.
//
// All records in one file, replaced whole: written beside, synced, renamed, the name synced.
// Errors: as rocks_meta.h, a disk that refuses ends the process.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/simulated_file.h"
#include "store/meta_store.h"

namespace simulation {

class SimMeta final : public store::MetaStore {
 public:
  // Errors: DataLoss if the file is there and cannot be understood.
  static absl::StatusOr<std::unique_ptr<SimMeta>> Open(base::FileSystem* files);

  absl::StatusOr<std::optional<std::string>> Get(const std::string& name) override;
  void PutDurably(const std::string& name, const std::string& value) override;

 private:
  explicit SimMeta(base::FileSystem* files) : files_(files) {}
  absl::Status Save();

  base::FileSystem* const files_;
  std::map<std::string, std::string> records_;
};

}  // namespace simulation
