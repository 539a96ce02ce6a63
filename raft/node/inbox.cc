// SPDX-License-Identifier: Apache-2.0

#include "raft/node/inbox.h"

#include <utility>

#include "raft/core/log.h"

namespace raft {
namespace {

size_t MessageBytes(const Envelope& envelope) {
  size_t bytes = sizeof envelope;
  if (const auto* append = std::get_if<AppendEntries>(&envelope.message)) {
    for (const EntryRef& entry : append->entries) bytes += EntryBytes(*entry);
  } else if (const auto* forward = std::get_if<PublishForward>(&envelope.message)) {
    for (const Proposal& proposal : forward->proposals) bytes += proposal.command.size();
  }
  return bytes;
}

}  // namespace

// Concurrent pushers may overshoot by what each of them holds, no more.
bool Inbox::TakeRoom(size_t bytes) {
  if (requests_.load(std::memory_order_relaxed) >= requests_max_ ||
      bytes_.load(std::memory_order_relaxed) + bytes > bytes_max_) {
    return false;
  }
  requests_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

bool Inbox::TryPush(WaitingPublish* item) {
  if (!TakeRoom(item->command.size())) return false;
  queue_.Push(std::move(*item));
  return true;
}

bool Inbox::TryPush(WaitingRead* item) {
  if (!TakeRoom(0)) return false;
  queue_.Push(std::move(*item));
  return true;
}

bool Inbox::TryPush(Envelope* item) {
  if (!TakeRoom(MessageBytes(*item))) return false;
  queue_.Push(std::move(*item));
  return true;
}

std::vector<InboxItem> Inbox::TakeNow() {
  std::vector<InboxItem> items = queue_.TakeNow();
  size_t requests = 0;
  size_t bytes = 0;
  for (const InboxItem& item : items) {
    if (const auto* publish = std::get_if<WaitingPublish>(&item)) {
      bytes += publish->command.size();
      ++requests;
    } else if (std::holds_alternative<WaitingRead>(item)) {
      ++requests;
    } else if (const auto* envelope = std::get_if<Envelope>(&item)) {
      bytes += MessageBytes(*envelope);
      ++requests;
    }
  }
  requests_.fetch_sub(requests, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return items;
}

}  // namespace raft
