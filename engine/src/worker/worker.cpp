// SPDX-License-Identifier: Apache-2.0
#include "sluice/worker.hpp"

#include <algorithm>

namespace sluice {

void Worker::report(std::string_view problem) {
  const std::uint64_t index = problems_->count;
  if (index < kProblemsKept) {
    char(&text)[kProblemBytes] = problems_.edit(&Problems::text)[index];
    std::fill(std::begin(text), std::end(text), '\0');
    std::copy_n(problem.begin(), std::min(problem.size(), kProblemBytes - 1), text);
  }
  problems_.edit(&Problems::count) = index + 1;
}

}  // namespace sluice
