// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/problems.hpp"

#include <algorithm>

#include <sluice/printable.hpp>

namespace sluice::detail {

void add_problem(Recoverable<Problems>& problems, std::string_view text) {
  const std::uint64_t index = problems->count;
  if (index < kProblemsKept) {
    char(&kept)[kProblemBytes] = problems.edit(&Problems::text)[index];
    std::fill(std::begin(kept), std::end(kept), '\0');
    const std::string_view begin = cut_text(text, kProblemBytes - 1);
    std::copy(begin.begin(), begin.end(), kept);
  }
  problems.edit(&Problems::count) = index + 1;
}

}  // namespace sluice::detail
