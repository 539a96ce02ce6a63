// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/network.h"

#include <algorithm>

namespace simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

void Network::Send(size_t from, size_t to, Packet sent) {
  timeline_->Mix(sent.bytes);
  base::Random* random = world_->random();
  auto packet = std::make_shared<const Packet>(std::move(sent));
  const size_t place = Place({from, to});
  if (settings_.replay > 0) {
    Remember(to, packet);
    if (random->Chance(settings_.replay)) {
      const Sent& old = recent_[random->Below(recent_.size())];
      After(world_->RandomDelay(microseconds(1), seconds(1)), old.to, old.packet);
    }
  }
  if (cuts_[place] > 0 || random->Chance(settings_.loss)) return;
  // Most links are quick; some messages come much later, and so out of order or stale.
  base::Duration delay = world_->RandomDelay(microseconds(100), settings_.delay_max);
  if (random->Chance(0.05)) delay = world_->RandomDelay(microseconds(1), settings_.slow_max);
  After(delay + delays_[place], to, packet);
  if (settings_.duplication > 0 && random->Chance(settings_.duplication)) {
    After(world_->RandomDelay(microseconds(1), seconds(4)), to, packet);
  }
}

void Network::After(base::Duration delay, size_t to, std::shared_ptr<const Packet> packet) {
  base::Random* random = world_->random();
  bool flipped = false;
  if (settings_.bit_flip > 0 && random->Chance(settings_.bit_flip)) {
    Packet wrong = *packet;
    wrong.bytes[random->Below(wrong.bytes.size())] ^= static_cast<char>(1 << random->Below(8));
    packet = std::make_shared<const Packet>(std::move(wrong));
    flipped = true;
  }
  world_->After(delay, [this, to, packet, flipped] { deliver_(to, *packet, flipped); });
}

void Network::Remember(size_t to, const std::shared_ptr<const Packet>& packet) {
  recent_.push_back({world_->now(), to, packet});
  while (recent_.front().at + seconds(10) < world_->now()) recent_.pop_front();
}

void Network::Cut(const std::vector<Link>& links, base::Duration length) {
  for (const Link& link : links) ++cuts_[Place(link)];
  world_->After(length, [this, links, generation = generation_] {
    if (generation != generation_) return;
    for (const Link& link : links) --cuts_[Place(link)];
  });
}

void Network::Slow(const std::vector<Link>& links, base::Duration by, base::Duration length) {
  for (const Link& link : links) delays_[Place(link)] += by;
  world_->After(length, [this, links, by, generation = generation_] {
    if (generation != generation_) return;
    for (const Link& link : links) delays_[Place(link)] -= by;
  });
}

void Network::MendCuts() {
  ++generation_;
  std::fill(cuts_.begin(), cuts_.end(), 0);
  std::fill(delays_.begin(), delays_.end(), base::Duration{});
}

void Network::Heal() {
  MendCuts();
  settings_ = NetworkSettings();
  recent_.clear();
}

}  // namespace simulation
