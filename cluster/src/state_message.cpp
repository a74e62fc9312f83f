// SPDX-License-Identifier: Apache-2.0
#include "state_message.hpp"

#include <charconv>
#include <string_view>

namespace sluice::detail {
namespace {

constexpr const char* kEpoch = "Sluice-Epoch";
constexpr const char* kHost = "Sluice-Host";
constexpr const char* kFile = "Sluice-File";
constexpr const char* kPart = "Sluice-Part";
constexpr const char* kStored = "Sluice-Stored";

std::string header_of(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK && value != nullptr ? value : "";
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

natsStatus write_state_header(natsMsg* message, const StateHeader& header) {
  natsStatus status = natsMsgHeader_Set(message, kEpoch, std::to_string(header.epoch).c_str());
  if (status == NATS_OK) status = natsMsgHeader_Set(message, kHost, header.host.c_str());
  if (status == NATS_OK) status = natsMsgHeader_Set(message, kStored, std::to_string(header.stored).c_str());
  if (header.file.empty()) return status;
  if (status == NATS_OK) status = natsMsgHeader_Set(message, kFile, header.file.c_str());
  if (status == NATS_OK) status = natsMsgHeader_Set(message, kPart, header.part.c_str());
  return status;
}

std::optional<StateHeader> read_state_header(natsMsg* message) {
  const auto epoch = number_in(header_of(message, kEpoch));
  const auto stored = number_in(header_of(message, kStored));
  if (!epoch || !stored) return std::nullopt;
  StateHeader header{.epoch = *epoch,
                     .host = header_of(message, kHost),
                     .file = header_of(message, kFile),
                     .part = header_of(message, kPart),
                     .stored = *stored};
  if (header.file.empty() != header.part.empty()) return std::nullopt;
  if (!header.part.empty() && !parse_part(header.part)) return std::nullopt;
  return header;
}

std::optional<PartNumber> parse_part(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto number = number_in(std::string_view{text}.substr(0, slash));
  const auto count = number_in(std::string_view{text}.substr(slash + 1));
  if (!number || !count || *number == 0 || *number > *count) return std::nullopt;
  return PartNumber{*number, *count};
}

}  // namespace sluice::detail
