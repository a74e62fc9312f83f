// SPDX-License-Identifier: Apache-2.0
#include "kafka_marks.hpp"

#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace sluice::detail {

std::string to_metadata(std::uint64_t origin, const KafkaProgress& progress) {
  std::string text = fmt::format("2 {:x} {}", origin, progress.life);
  for (const auto& [lane, end] : progress.marks)
    fmt::format_to(std::back_inserter(text), " {}:{}", lane - origin, end);
  return text;
}

KafkaProgress progress_in(std::string_view metadata, std::uint64_t origin) {
  const std::string of_this_run = fmt::format(" {:x}", origin);
  const bool has_life = metadata.starts_with("2" + of_this_run + " ");
  if (!has_life && !metadata.starts_with("1" + of_this_run)) return {};
  KafkaProgress progress;
  const char* at = metadata.data() + 1 + of_this_run.size();
  const char* const end = metadata.data() + metadata.size();
  if (has_life) {
    const auto life_end = std::from_chars(at + 1, end, progress.life);
    if (life_end.ec != std::errc{}) return {};
    at = life_end.ptr;
  }
  while (at != end) {
    std::uint64_t lane = 0;
    std::uint64_t position = 0;
    if (*at != ' ') return {};
    const auto lane_end = std::from_chars(at + 1, end, lane);
    if (lane_end.ec != std::errc{} || lane_end.ptr == end || *lane_end.ptr != ':') return {};
    const auto position_end = std::from_chars(lane_end.ptr + 1, end, position);
    if (position_end.ec != std::errc{}) return {};
    progress.marks[origin + lane] = position;
    at = position_end.ptr;
  }
  return progress;
}

}  // namespace sluice::detail
