// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_meta.h"

#include "base/canary.h"
#include "base/crc32c.h"
#include "base/end_process.h"
#include "base/status.h"
#include "store/keys.h"

namespace simulation {
namespace {

constexpr char kDirectory[] = "meta";
constexpr char kCurrent[] = "meta/records";
constexpr char kNext[] = "meta/next";

}  // namespace

absl::StatusOr<std::unique_ptr<SimMeta>> SimMeta::Open(base::FileSystem* files) {
  std::unique_ptr<SimMeta> meta(new SimMeta(files));
  auto file = files->Open(kCurrent, false);
  if (!file.ok()) return meta;
  // The life before may have ended between the rename and its sync.
  RETURN_IF_ERROR(files->SyncDirectory(kDirectory));
  ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  ASSIGN_OR_RETURN(const std::string bytes, (*file)->ReadAt(0, size));
  if (bytes.size() < 4 ||
      store::DecodeFixed32(bytes.data()) != base::Crc32c(std::string_view(bytes).substr(4), 0)) {
    return absl::DataLossError("meta/records is damaged");
  }
  for (size_t at = 4; at + 8 <= bytes.size();) {
    const uint32_t name = store::DecodeFixed32(bytes.data() + at);
    const uint32_t value = store::DecodeFixed32(bytes.data() + at + 4);
    meta->records_[bytes.substr(at + 8, name)] = bytes.substr(at + 8 + name, value);
    at += 8 + name + value;
  }
  return meta;
}

absl::StatusOr<std::optional<std::string>> SimMeta::Get(const std::string& name) {
  const auto found = records_.find(name);
  if (found == records_.end()) return std::nullopt;
  return found->second;
}

void SimMeta::PutDurably(const std::string& name, const std::string& value) {
  records_[name] = value;
  const absl::Status saved = Save();
  if (!saved.ok()) base::EndProcess("meta: the disk refuses: " + std::string(saved.message()));
}

absl::Status SimMeta::Save() {
  std::string body;
  for (const auto& [name, value] : records_) {
    store::AppendFixed32(&body, static_cast<uint32_t>(name.size()));
    store::AppendFixed32(&body, static_cast<uint32_t>(value.size()));
    body += name;
    body += value;
  }
  std::string bytes;
  store::AppendFixed32(&bytes, base::Crc32c(body, 0));
  bytes += body;
  // What an earlier life left of it might be longer.
  files_->Remove(kNext).IgnoreError();
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(kNext, true));
  RETURN_IF_ERROR(file->WriteAt(0, bytes));
  if (base::Planted("meta-not-synced")) return files_->Rename(kNext, kCurrent);
  RETURN_IF_ERROR(file->Sync());
  RETURN_IF_ERROR(files_->Rename(kNext, kCurrent));
  return files_->SyncDirectory(kDirectory);
}

}  // namespace simulation
