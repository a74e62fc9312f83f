// SPDX-License-Identifier: Apache-2.0
// The page, whole: HTML with its style and its script, put together by page/embed.cmake. Where it says kNonce a number
// belongs that no other answer has: the browser then runs this script and no other.
#pragma once

#include <string_view>

namespace sluice::command {

extern const std::string_view kPage;
inline constexpr std::string_view kNonce = "{{nonce}}";

}  // namespace sluice::command
