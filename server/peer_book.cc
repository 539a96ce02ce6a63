// SPDX-License-Identifier: Apache-2.0

#include "server/peer_book.h"

#include <utility>

#include "proto/membership_change.pb.h"
#include "raft/core/configuration.h"

namespace server {
namespace {

// To so many that are not known as members it is answered: a member that has missed changes has to
// answer those that it does not know yet, but anybody can give himself a number.
constexpr size_t kStrangersMax = 64;

PeerPlace AddressOf(const datum::membership::Member& member) {
  return {member.name(), {member.peer_urls().begin(), member.peer_urls().end()}};
}

std::map<uint64_t, PeerPlace> AddressesOf(const raft::Entry& entry) {
  std::map<uint64_t, PeerPlace> addresses;
  const auto command = raft::DecodeConfigurationCommand(entry.command);
  datum::membership::MembershipChange change;
  if (!command || !change.ParseFromString(std::string(command->payload))) return addresses;
  for (const auto& member : change.bootstrap().members()) {
    addresses[member.id()] = AddressOf(member);
  }
  if (change.has_add()) addresses[change.add().id()] = AddressOf(change.add());
  if (change.has_replace())
    addresses[change.replace().by().id()] = AddressOf(change.replace().by());
  if (change.has_update_peer_urls()) {
    const auto& update = change.update_peer_urls();
    addresses[update.id()].peer_urls = {update.peer_urls().begin(), update.peer_urls().end()};
  }
  return addresses;
}

}  // namespace

PeerBook::PeerBook(uint64_t self, std::map<uint64_t, PeerPlace> first)
    : self_(self), strangers_(std::move(first)) {}

void PeerBook::SetApplied(const Membership& membership) {
  std::lock_guard lock(mutex_);
  if (membership.index == raft::Index{}) return;
  known_.clear();
  for (const auto& [id, member] : membership.members) {
    known_[id] = {member.name, member.peer_urls};
    strangers_.erase(id);
  }
  removed_ = membership.removed;
  appended_.erase(appended_.begin(), appended_.upper_bound(membership.index));
}

bool PeerBook::Append(std::span<const raft::EntryRef> entries) {
  if (entries.empty()) return false;
  bool news = false;
  std::lock_guard lock(mutex_);
  // What was there was cut from the log.
  appended_.erase(appended_.lower_bound(entries.front()->index), appended_.end());
  for (const raft::EntryRef& entry : entries) {
    if (entry->kind != raft::EntryKind::kConfiguration) continue;
    appended_[entry->index] = AddressesOf(*entry);
    news = true;
  }
  return news;
}

bool PeerBook::Learn(uint64_t id, const PeerPlace& address) {
  std::lock_guard lock(mutex_);
  if (id == self_ || known_.count(id) > 0 || removed_.count(id) > 0) return false;
  const auto found = strangers_.find(id);
  if (found != strangers_.end() && found->second.peer_urls == address.peer_urls) return false;
  if (found == strangers_.end() && strangers_.size() >= kStrangersMax) return false;
  strangers_[id] = address;
  return true;
}

std::map<uint64_t, PeerPlace> PeerBook::Peers() const {
  std::lock_guard lock(mutex_);
  std::map<uint64_t, PeerPlace> peers = strangers_;
  for (const auto& [id, address] : known_) peers[id] = address;
  for (const auto& [index, addresses] : appended_) {
    for (const auto& [id, address] : addresses) {
      PeerPlace& peer = peers[id];
      if (!address.name.empty()) peer.name = address.name;
      if (!address.peer_urls.empty()) peer.peer_urls = address.peer_urls;
    }
  }
  peers.erase(self_);
  for (uint64_t id : removed_) peers.erase(id);
  std::erase_if(peers, [](const auto& peer) { return peer.second.peer_urls.empty(); });
  return peers;
}

}  // namespace server
