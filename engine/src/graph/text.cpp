// SPDX-License-Identifier: Apache-2.0
#include "sluice/text.hpp"

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {

void refuse_text(std::string_view text, std::size_t most_bytes) {
  constexpr std::size_t kShownBytes = 40;
  const std::string_view cut = cut_text(text, kShownBytes);
  std::string shown = printable(cut);
  if (cut.size() < text.size()) shown += "...";
  const std::string type = fmt::format("Text<{}>", most_bytes);
  if (text.size() > most_bytes) {
    throw Error{{"make a " + type + " of", fmt::format("\"{}\"", shown),
                 fmt::format("it has {} bytes", text.size()),
                 fmt::format("take a longer one, or {}::truncated(), which cuts it", type)}};
  }
  throw Error{{"make a " + type + " of", fmt::format("\"{}\"", shown),
               fmt::format("its byte {} is zero", text.find('\0')),
               "a text ends with its last byte, not with a zero; truncated() ends it at the first one"}};
}

}  // namespace sluice::detail
