// SPDX-License-Identifier: Apache-2.0
#include "members.hpp"

#include <sstream>

#include <fmt/format.h>

#include <sluice/detail/plain_text.hpp>

namespace sluice::detail {
namespace {

constexpr std::string_view kStays = "stays";
constexpr std::string_view kLeaves = "leaves";

}  // namespace

std::string to_text(const HostBeat& beat) {
  return fmt::format("1 {} {} {}", beat.life, beat.count, beat.leaving ? kLeaves : kStays);
}

std::optional<HostBeat> parse_host_beat(std::string_view text) {
  std::istringstream words = words_of(std::string{text});
  unsigned version = 0;
  HostBeat beat;
  std::string whether, rest;
  if (!(words >> version >> beat.life >> beat.count >> whether) || version != 1 || words >> rest)
    return std::nullopt;
  if (whether != kStays && whether != kLeaves) return std::nullopt;
  beat.leaving = whether == kLeaves;
  return beat;
}

void Members::seen(const std::string& host, const HostBeat& beat, Time now) {
  const auto [at, is_new] = hosts_.try_emplace(host, Member{beat, now});
  if (is_new || at->second.beat == beat) return;
  at->second = {beat, now};
}

void Members::looked_away(Time now) {
  looking_since_ = now;
  for (auto& [host, member] : hosts_)
    member.changed = now;
}

Hosts Members::living(Time now) const {
  Hosts hosts;
  for (const auto& [host, member] : hosts_) {
    if (now - member.changed < lease_) hosts[host] = member.beat.leaving;
  }
  return hosts;
}

std::vector<std::string> Members::long_gone(Time now, std::chrono::nanoseconds limit) const {
  std::vector<std::string> hosts;
  for (const auto& [host, member] : hosts_) {
    if (now - member.changed >= limit) hosts.push_back(host);
  }
  return hosts;
}

std::map<std::string, HostBeat> Members::known() const {
  std::map<std::string, HostBeat> beats;
  for (const auto& [host, member] : hosts_)
    beats[host] = member.beat;
  return beats;
}

}  // namespace sluice::detail
