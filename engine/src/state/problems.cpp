// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/problems.hpp"

#include <algorithm>

namespace sluice::detail {

void add_problem(Recoverable<Problems>& problems, std::string_view text) {
  const std::uint64_t index = problems->count;
  if (index < kProblemsKept) {
    char(&kept)[kProblemBytes] = problems.edit(&Problems::text)[index];
    std::fill(std::begin(kept), std::end(kept), '\0');
    std::copy_n(text.begin(), std::min(text.size(), kProblemBytes - 1), kept);
  }
  problems.edit(&Problems::count) = index + 1;
}

}  // namespace sluice::detail
