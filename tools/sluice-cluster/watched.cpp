// SPDX-License-Identifier: Apache-2.0
#include "watched.hpp"

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

namespace sluice::command {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kLook = 50ms;

detail::ClusterShape shape_of(detail::Owners& owners, const std::string& cluster) {
  if (const auto shape = owners.look(0ms).shape) return *shape;
  throw Error{{"look at the cluster", cluster, "no host has ever joined it", "start one"}};
}

}  // namespace

Watched::Watched(const NatsServer& server, const std::string& cluster)
    : owners_{server, cluster, detail::Owners::Missing::refuse, "sluice cluster"},
      shape_{shape_of(owners_, cluster)},
      members_{shape_.lease} {
  look(0ms);
  members_.looked_away(Clock::now());
}

void Watched::look(std::chrono::milliseconds limit) {
  const detail::OwnersView& view = owners_.look(limit);
  for (const auto& [host, beat] : view.beats)
    members_.seen(host, beat, Clock::now());
  for (const auto& [host, beat] : members_.known()) {
    if (!view.beats.contains(host)) members_.gone(host);
  }
}

void Watched::look_for_a_lease() {
  while (!members_.may_judge(Clock::now()))
    look(kLook);
}

void Watched::wait_until(const std::function<bool()>& done, const std::string& what,
                         std::chrono::nanoseconds patience) {
  const auto until = Clock::now() + patience;
  while (!done()) {
    if (Clock::now() > until)
      throw Error{{"wait until", what, fmt::format("it is not so after {}", format_duration(patience)),
                   "look at the log of its host; it may still happen"}};
    look(kLook);
  }
}

}  // namespace sluice::command
