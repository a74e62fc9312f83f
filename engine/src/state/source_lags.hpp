// SPDX-License-Identifier: Apache-2.0
// The sources of a worker that tell how far they are (source_lag.hpp), found in its state. Nothing there is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/detail/source_lag.hpp>

namespace sluice::detail {

struct FoundLag {
  SourceLag lag{};
  std::string of{};
  std::optional<std::size_t> position{};  // Where in the state the position lies, eight bytes.
};

// By any process, while the worker runs.
std::vector<FoundLag> find_lags(std::span<const std::byte> state);

}  // namespace sluice::detail
