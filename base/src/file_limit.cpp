// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/file_limit.hpp"

#include <sys/resource.h>

namespace sluice::detail {

bool beyond_the_limit_of_files(std::uint64_t bytes) noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur;
}

}  // namespace sluice::detail
