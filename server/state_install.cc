// SPDX-License-Identifier: Apache-2.0

#include "server/state_install.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "glog/logging.h"

namespace server {

absl::StatusOr<std::unique_ptr<store::Engine>> StateInstall::Install(uint64_t staged) {
  ASSIGN_OR_RETURN(const std::string incoming, take_(staged));
  const uint64_t number = promises_->state_number() + 1;
  const std::string next = directory_->state(number);
  std::error_code error;
  std::filesystem::remove_all(next, error);
  std::filesystem::rename(incoming, next, error);
  if (error) return absl::InternalError(absl::StrCat(incoming, ": ", error.message()));
  base::PosixFileSystem files;
  RETURN_IF_ERROR(files.SyncDirectory(directory_->path()));
  auto engine = open_(next);
  if (!engine.ok()) {
    std::filesystem::remove_all(next, error);
    return engine.status();
  }
  promises_->SaveStateNumber(number);
  LOG(INFO) << "the state is now " << next;
  // The old engine may still be read from; its files go when nobody has them open any more.
  RemoveOtherStates(*directory_, number);
  return engine;
}

void RemoveOtherStates(const DataDir& directory, uint64_t state_number) {
  const std::string current = directory.state(state_number);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path(), error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("state-", 0) != 0 || entry.path().string() == current) continue;
    std::filesystem::remove_all(entry.path(), error);
    LOG_IF(WARNING, error) << entry.path() << " cannot be removed: " << error.message();
  }
}

}  // namespace server
