// SPDX-License-Identifier: Apache-2.0
// A partition whose process ends with a failure each time that it is started: since when, why, and which hosts have tried. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assignment.hpp"

namespace sluice::detail {

// As the bucket has it while a partition fails.
struct FailingEntry {
  std::int64_t since_ns = 0;            // Since 1970, by the clock of the host that saw it first: for people.
  unsigned failures = 0;                // In a row, on all hosts.
  std::vector<std::string> given_up{};  // The hosts that have tried it, and passed it on.
  std::string text{};                   // Of the last failure, one line.

  friend bool operator==(const FailingEntry&, const FailingEntry&) = default;
};

std::string to_text(const FailingEntry& entry);
std::optional<FailingEntry> parse_failing_entry(std::string_view text);

// So many failures in a row are one host's; then another one has it, if there is one that has not tried. One is enough of a host that has
// passed it on before, and has it again since others died.
inline constexpr unsigned kFailuresOfAHost = 4;
unsigned enough_failures(const std::string& host, const FailingEntry& entry);

// Who has it next: of those that stay and have not given it up the one with the fewest partitions; nobody, if all have.
std::string next_to_try(const std::string& own, const Hosts& hosts, const Partitions& partitions,
                        const FailingEntry& entry);

}  // namespace sluice::detail
