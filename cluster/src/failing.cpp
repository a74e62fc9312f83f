// SPDX-License-Identifier: Apache-2.0
#include "failing.hpp"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/detail/plain_text.hpp>

namespace sluice::detail {
namespace {

constexpr std::string_view kNoHost = "-";
constexpr std::size_t kMostText = 400;

bool has_tried(const std::string& host, const FailingEntry& entry) {
  return std::find(entry.given_up.begin(), entry.given_up.end(), host) != entry.given_up.end();
}

}  // namespace

std::string to_text(const FailingEntry& entry) {
  return fmt::format(
      "1 {} {} {} {}", entry.since_ns, entry.failures,
      entry.given_up.empty() ? std::string{kNoHost} : fmt::format("{}", fmt::join(entry.given_up, ",")),
      entry.text.substr(0, kMostText));
}

std::optional<FailingEntry> parse_failing_entry(std::string_view text) {
  std::istringstream words = words_of(std::string{text});
  unsigned version = 0;
  std::string hosts;
  FailingEntry entry;
  if (!(words >> version >> entry.since_ns >> entry.failures >> hosts) || version != 1) return std::nullopt;
  std::istringstream names{hosts == kNoHost ? std::string{} : hosts};
  for (std::string name; std::getline(names, name, ',');) {
    if (!is_cluster_name(name)) return std::nullopt;
    entry.given_up.push_back(name);
  }
  words.get();
  std::getline(words, entry.text);
  return entry;
}

unsigned enough_failures(const std::string& host, const FailingEntry& entry) {
  return has_tried(host, entry) ? 1 : kFailuresOfAHost;
}

std::string next_to_try(const std::string& own, const Hosts& hosts, const Partitions& partitions,
                        const FailingEntry& entry) {
  std::string next;
  std::ptrdiff_t fewest = 0;
  for (const auto& [host, leaving] : hosts) {
    if (host == own || leaving || has_tried(host, entry)) continue;
    const auto load =
        std::count_if(partitions.begin(), partitions.end(),
                      [&host = host](const PartitionEntry& each) { return each.owner == host; });
    if (!next.empty() && load >= fewest) continue;
    next = host;
    fewest = load;
  }
  return next;
}

}  // namespace sluice::detail
