// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/network.h"

#include <algorithm>

namespace simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

void Network::Send(size_t from, size_t to, std::string sent) {
  timeline_->Mix(sent);
  base::Random* random = world_->random();
  auto bytes = std::make_shared<const std::string>(std::move(sent));
  const size_t place = Place({from, to});
  if (settings_.replay > 0) {
    Remember(to, bytes);
    if (random->Chance(settings_.replay)) {
      const Sent& old = recent_[random->Below(recent_.size())];
      After(world_->RandomDelay(microseconds(1), seconds(1)), old.to, old.bytes);
    }
  }
  if (cuts_[place] > 0 || random->Chance(settings_.loss)) return;
  // Most links are quick; some messages come much later, and so out of order or stale.
  base::Duration delay = world_->RandomDelay(microseconds(100), settings_.delay_max);
  if (random->Chance(0.05)) delay = world_->RandomDelay(microseconds(1), settings_.slow_max);
  After(delay + delays_[place], to, bytes);
  if (settings_.duplication > 0 && random->Chance(settings_.duplication)) {
    After(world_->RandomDelay(microseconds(1), seconds(4)), to, bytes);
  }
}

void Network::After(base::Duration delay, size_t to, std::shared_ptr<const std::string> bytes) {
  base::Random* random = world_->random();
  bool flipped = false;
  if (settings_.bit_flip > 0 && !bytes->empty() && random->Chance(settings_.bit_flip)) {
    std::string wrong = *bytes;
    wrong[random->Below(wrong.size())] ^= static_cast<char>(1 << random->Below(8));
    bytes = std::make_shared<const std::string>(std::move(wrong));
    flipped = true;
  }
  world_->After(delay, [this, to, bytes, flipped] { deliver_(to, *bytes, flipped); });
}

void Network::Remember(size_t to, const std::shared_ptr<const std::string>& bytes) {
  recent_.push_back({world_->now(), to, bytes});
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
