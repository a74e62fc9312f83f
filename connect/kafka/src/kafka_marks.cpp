// SPDX-License-Identifier: Apache-2.0
#include "kafka_marks.hpp"

#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace sluice::detail {

std::string to_metadata(std::uint64_t origin, const KafkaMarks& marks) {
  std::string text = fmt::format("1 {:x}", origin);
  for (const auto& [lane, end] : marks)
    fmt::format_to(std::back_inserter(text), " {}:{}", lane - origin, end);
  return text;
}

KafkaMarks marks_in(std::string_view metadata, std::uint64_t origin) {
  const std::string head = fmt::format("1 {:x}", origin);
  if (!metadata.starts_with(head)) return {};
  KafkaMarks marks;
  const char* at = metadata.data() + head.size();
  const char* const end = metadata.data() + metadata.size();
  while (at != end) {
    std::uint64_t lane = 0;
    std::uint64_t position = 0;
    if (*at != ' ') return {};
    const auto lane_end = std::from_chars(at + 1, end, lane);
    if (lane_end.ec != std::errc{} || lane_end.ptr == end || *lane_end.ptr != ':') return {};
    const auto position_end = std::from_chars(lane_end.ptr + 1, end, position);
    if (position_end.ec != std::errc{}) return {};
    marks[origin + lane] = position;
    at = position_end.ptr;
  }
  return marks;
}

}  // namespace sluice::detail
