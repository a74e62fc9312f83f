// SPDX-License-Identifier: Apache-2.0
// What a message of a state log says of itself, in its headers.
#pragma once

#include <cstdint>
#include <nats/nats.h>
#include <optional>
#include <stdexcept>
#include <string>

namespace sluice::detail {

struct StateHeader {
  std::uint64_t epoch = 0;
  std::string host{};
  std::string file{};        // Of a part; empty for a claim.
  std::string part{};        // "3/12".
  std::uint64_t stored = 0;  // Bytes of whole files from the last base on.
};

// Something came behind the last message that its writer knew.
class Superseded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

natsStatus write_state_header(natsMsg* message, const StateHeader& header);
// Nothing for what is no message of ours.
std::optional<StateHeader> read_state_header(natsMsg* message);

struct PartNumber {
  std::uint64_t number = 0;  // From 1.
  std::uint64_t count = 0;
};
std::optional<PartNumber> parse_part(const std::string& text);

}  // namespace sluice::detail
