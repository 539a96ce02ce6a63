// SPDX-License-Identifier: Apache-2.0
//
// network.h: bytes between hosts: late, lost, twice, out of order, from long ago, with a bit
// flipped, or cut off in one direction.
//
// Hosts are counted from 1; a host is an address, whoever lives there.

#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/timeline.h"
#include "tests/simulation/world.h"

namespace simulation {

struct NetworkSettings {
  double loss = 0;
  double duplication = 0;
  // Something of the last ten seconds comes again.
  double replay = 0;
  double bit_flip = 0;
  base::Duration delay_max = std::chrono::milliseconds(4);
  // Of one message in twenty.
  base::Duration slow_max = std::chrono::milliseconds(8);
};

// What a stream between two members carries, and its metadata (which TCP keeps whole).
struct Packet {
  uint64_t from_member = 0;
  // The data directory that the sender lives in.
  uint64_t from_uuid = 0;
  std::string bytes;
};

class Network {
 public:
  // `flipped`: a bit of it is wrong, so nobody may understand it.
  using Deliver = std::function<void(size_t to, const Packet& packet, bool flipped)>;

  Network(World* world, Timeline* timeline, size_t hosts, const NetworkSettings& settings,
          Deliver deliver)
      : world_(world),
        timeline_(timeline),
        hosts_(hosts),
        settings_(settings),
        deliver_(std::move(deliver)),
        cuts_((hosts + 1) * (hosts + 1)),
        delays_((hosts + 1) * (hosts + 1)) {}

  void Send(size_t from, size_t to, Packet packet);

  using Link = std::pair<size_t, size_t>;
  // Nothing passes on these links for so long, unless all heals before.
  void Cut(const std::vector<Link>& links, base::Duration length);
  // Everything on these links takes so much longer.
  void Slow(const std::vector<Link>& links, base::Duration by, base::Duration length);

  bool IsCut(size_t from, size_t to) const { return cuts_[Place({from, to})] > 0; }

  // From now on the network is good.
  void Heal();
  void MendCuts();

 private:
  struct Sent {
    base::TimePoint at;
    size_t to;
    std::shared_ptr<const Packet> packet;
  };
  size_t Place(const Link& link) const { return link.first * (hosts_ + 1) + link.second; }
  void After(base::Duration delay, size_t to, std::shared_ptr<const Packet> packet);
  void Remember(size_t to, const std::shared_ptr<const Packet>& packet);

  World* const world_;
  Timeline* const timeline_;
  const size_t hosts_;
  NetworkSettings settings_;
  const Deliver deliver_;
  // How many cuts lie on a link.
  std::vector<int> cuts_;
  std::vector<base::Duration> delays_;
  // Cuts of an older generation were mended before their time.
  uint64_t generation_ = 0;
  std::deque<Sent> recent_;
};

}  // namespace simulation
