// SPDX-License-Identifier: Apache-2.0
// Input that no partition reads, since who sends it counts more partitions than there are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source_reads.hpp"

namespace sluice::detail {

// "orders.3.new", read by partition 3, is "orders.*.new"; nothing where its number is no part of the subject, or more than one.
std::optional<std::string> subjects_of_all(const std::string& subject, unsigned partition);
// Whether the subject is one of `subjects`, which may have * and > as in NATS.
bool is_of(std::string_view subject, std::string_view subjects);

struct UnreadInput {
  std::string stream{};
  std::string first{};       // The subject of the lowest number,
  std::size_t subjects = 0;  // of so many.
  std::uint64_t events = 0;

  friend bool operator==(const UnreadInput&, const UnreadInput&) = default;
};

// What the streams that partitions read from have for partitions that there are none of: `reads` of each partition that tells them. A
// request for each kind of subject. Throws Unavailable and Error as lag_behind() does.
std::vector<UnreadInput> unread_input(const NatsClient& client,
                                      const std::map<unsigned, std::vector<SourceRead>>& reads,
                                      unsigned partitions);

}  // namespace sluice::detail
