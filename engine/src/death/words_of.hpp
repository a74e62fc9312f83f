// SPDX-License-Identifier: Apache-2.0
// What an exception says, for places where an empty text stands for "there is none".
#pragma once

#include <exception>

namespace sluice::detail {

inline const char* words_of(const char* said) noexcept {
  return said == nullptr || *said == '\0' ? "an exception without a word" : said;
}
// Valid as long as `error`.
inline const char* words_of(const std::exception& error) noexcept {
  return words_of(error.what());
}

}  // namespace sluice::detail
