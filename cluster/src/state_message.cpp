// SPDX-License-Identifier: Apache-2.0
#include "state_message.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "assignment.hpp"

namespace sluice::detail {
namespace {

constexpr const char* kEpoch = "Sluice-Epoch";
constexpr const char* kHost = "Sluice-Host";
constexpr const char* kWriter = "Sluice-Writer";
constexpr const char* kFile = "Sluice-File";
constexpr const char* kPart = "Sluice-Part";
constexpr const char* kStored = "Sluice-Stored";
constexpr const char* kWholeFrom = "Sluice-Whole-From";

std::string_view header(natsMsg* message, const char* name) {
  const char* text = nullptr;
  return natsMsgHeader_Get(message, name, &text) == NATS_OK && text != nullptr ? text : std::string_view{};
}

bool read_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::optional<StateMessage> read_state_message(natsMsg* message) {
  StateMessage found;
  found.host = header(message, kHost);
  found.writer = header(message, kWriter);
  found.file = header(message, kFile);
  if (!read_number(header(message, kEpoch), found.epoch) || found.writer.empty() ||
      !is_cluster_name(found.host) || !read_number(header(message, kStored), found.stored))
    return std::nullopt;
  if (found.is_claim()) return found;
  const std::string_view part = header(message, kPart);
  const std::size_t slash = part.find('/');
  if (slash == std::string_view::npos || !read_number(part.substr(0, slash), found.part) ||
      !read_number(part.substr(slash + 1), found.parts) || found.part == 0 || found.part > found.parts ||
      !parse_state_file_name(found.file))
    return std::nullopt;
  const std::string_view from = header(message, kWholeFrom);
  if (!from.empty() && !read_number(from, found.whole_from)) return std::nullopt;
  return found;
}

natsStatus write_headers(natsMsg* message, const StateMessage& headers) {
  std::array<std::pair<const char*, std::string>, 7> all{{{kEpoch, std::to_string(headers.epoch)},
                                                          {kHost, headers.host},
                                                          {kWriter, headers.writer},
                                                          {kFile, headers.file},
                                                          {kPart, {}},
                                                          {kStored, std::to_string(headers.stored)},
                                                          {kWholeFrom, {}}}};
  if (headers.whole_from != 0) all[6].second = std::to_string(headers.whole_from);
  if (!headers.is_claim()) all[4].second = std::to_string(headers.part) + "/" + std::to_string(headers.parts);
  for (const auto& [name, value] : all) {
    if (value.empty()) continue;
    if (const natsStatus status = natsMsgHeader_Set(message, name, value.c_str()); status != NATS_OK)
      return status;
  }
  return NATS_OK;
}

std::optional<StateFileName> parse_state_file_name(std::string_view name) {
  constexpr std::string_view kBegin = "checkpoint-";
  constexpr std::size_t kDigits = 12;
  if (!name.starts_with(kBegin) || name.size() < kBegin.size() + kDigits) return std::nullopt;
  StateFileName found;
  const std::string_view end = name.substr(kBegin.size() + kDigits);
  if (end != ".base" && end != ".delta") return std::nullopt;
  found.base = end == ".base";
  if (!read_number(name.substr(kBegin.size(), kDigits), found.number)) return std::nullopt;
  return found;
}

}  // namespace sluice::detail
