// SPDX-License-Identifier: Apache-2.0
// The time limits of options: how long another side may take.
#pragma once

#include <chrono>
#include <string_view>

namespace sluice::detail {

// Longer than anybody waits for an answer, and short enough to be added to any instant.
inline constexpr std::chrono::hours kLongestTimeLimit{24};

[[noreturn]] void refuse_time_limit(std::string_view option, std::chrono::milliseconds limit);

// Throws Error for a limit of less than a millisecond, within which nobody answers, and for one of more than a day: there is no
// value that means none. `option` as its user writes it: "PostgresOptions::call_limit".
template <class Rep, class Period>
void check_time_limit(std::string_view option, std::chrono::duration<Rep, Period> limit) {
  if (limit < std::chrono::milliseconds{1} || limit > kLongestTimeLimit)
    refuse_time_limit(option, std::chrono::duration_cast<std::chrono::milliseconds>(limit));
}

}  // namespace sluice::detail
