// SPDX-License-Identifier: Apache-2.0
#include "descriptor_limit.hpp"

#include <algorithm>
#include <filesystem>
#include <sys/resource.h>

namespace sluice::detail {

std::uint32_t affordable_connections(std::uint32_t wanted) {
  constexpr rlim_t kOthers = 32;  // Of the handler's libraries, and what is open for a moment.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  std::error_code unreadable;
  const std::filesystem::directory_iterator open{"/proc/self/fd", unreadable};
  const rlim_t used =
      kOthers + (unreadable ? rlim_t{64} : static_cast<rlim_t>(std::distance(begin(open), end(open))));
  if (limit.rlim_cur < wanted + used) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted + used);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 && ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  }
  const rlim_t left = limit.rlim_cur > used ? limit.rlim_cur - used : 1;
  return static_cast<std::uint32_t>(std::min<rlim_t>(wanted, left));
}

}  // namespace sluice::detail
