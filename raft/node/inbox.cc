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
bool Inbox::Room::Take(size_t more, size_t requests_max, size_t bytes_max) {
  if (requests.load(std::memory_order_relaxed) >= requests_max ||
      bytes.load(std::memory_order_relaxed) + more > bytes_max) {
    return false;
  }
  requests.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(more, std::memory_order_relaxed);
  return true;
}

void Inbox::Room::Free(size_t requests_freed, size_t bytes_freed) {
  requests.fetch_sub(requests_freed, std::memory_order_relaxed);
  bytes.fetch_sub(bytes_freed, std::memory_order_relaxed);
}

template <typename T>
bool Inbox::TryPush(T* item, size_t bytes, Room* room) {
  if (!room->Take(bytes, requests_max_, bytes_max_)) return false;
  InboxItem wrapped(std::move(*item));
  if (queue_.TryPush(&wrapped)) return true;
  *item = std::move(std::get<T>(wrapped));
  room->Free(1, bytes);
  return false;
}

bool Inbox::TryPush(WaitingPublish* item) { return TryPush(item, item->command.size(), &clients_); }

bool Inbox::TryPush(WaitingRead* item) { return TryPush(item, 0, &clients_); }

bool Inbox::TryPush(Envelope* item) { return TryPush(item, MessageBytes(*item), &peers_); }

std::vector<InboxItem> Inbox::TakeNow() {
  std::vector<InboxItem> items = queue_.TakeNow();
  for (const InboxItem& item : items) {
    if (const auto* publish = std::get_if<WaitingPublish>(&item)) {
      clients_.Free(1, publish->command.size());
    } else if (std::holds_alternative<WaitingRead>(item)) {
      clients_.Free(1, 0);
    } else if (const auto* envelope = std::get_if<Envelope>(&item)) {
      peers_.Free(1, MessageBytes(*envelope));
    }
  }
  return items;
}

}  // namespace raft
