// SPDX-License-Identifier: Apache-2.0
// Which hosts live: judged by this host's own monotonic clock, by whether their heartbeats change. No clock is shared. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assignment.hpp"

namespace sluice::detail {

// What the bucket says of a host. `life` is drawn at the start of its agent: two of one name are told apart by it.
struct HostBeat {
  std::uint64_t life = 0;
  std::uint64_t count = 0;
  bool leaving = false;

  friend bool operator==(const HostBeat&, const HostBeat&) = default;
};

std::string to_text(const HostBeat& beat);
std::optional<HostBeat> parse_host_beat(std::string_view text);

class Members {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Members(std::chrono::nanoseconds lease) : lease_{lease} {}

  // A host's entry was seen, or is gone.
  void seen(const std::string& host, const HostBeat& beat, Time now);
  void gone(const std::string& host) { hosts_.erase(host); }
  // This host did not look for a while, since it was stopped or had no connection: who has beaten meanwhile is not known, and
  // nobody is judged before a whole lease has passed.
  void looked_away(Time now);

  bool may_judge(Time now) const noexcept { return now - looking_since_ >= lease_; }
  // Those that have been silent for so long that nobody waits for them any more.
  std::vector<std::string> long_gone(Time now, std::chrono::nanoseconds limit) const;
  // Those that live.
  Hosts living(Time now) const;
  std::map<std::string, HostBeat> known() const;

 private:
  struct Member {
    HostBeat beat;
    Time changed;
  };
  std::chrono::nanoseconds lease_;
  Time looking_since_{};
  std::map<std::string, Member> hosts_;
};

}  // namespace sluice::detail
