// SPDX-License-Identifier: Apache-2.0
// How wide a text is on a terminal. Pure; any thread; asks no locale.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::detail {

// The columns that a line of UTF-8 takes: two for a wide character of East Asia or a picture, otherwise one. Never fewer
// than a terminal takes for what printable() gives.
std::size_t columns_of(std::string_view text) noexcept;
// The beginning of a line that takes at most so many, and cuts no character in two.
std::string_view cut_to_columns(std::string_view text, std::size_t columns) noexcept;

}  // namespace sluice::detail
