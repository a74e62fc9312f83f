// SPDX-License-Identifier: Apache-2.0
#include "affinity.hpp"

#include <cerrno>
#include <sched.h>
#include <string>
#include <vector>

#include <sluice/error.hpp>

namespace sluice::pinning {

CpuSet affinity_of(pid_t pid) {
  // The kernel refuses a mask that is shorter than its own with EINVAL and does not tell the length it wants.
  // It never has more than 2^20 units, which bounds the search.
  constexpr std::size_t kMostWords = (std::size_t{1} << 20) / 64;
  for (std::size_t words = 16; words <= kMostWords; words *= 2) {
    std::vector<CpuSet::Word> mask(words);
    const std::size_t bytes = words * sizeof(CpuSet::Word);
    if (sched_getaffinity(pid, bytes, reinterpret_cast<cpu_set_t*>(mask.data())) == 0) {
      return CpuSet::from_mask(mask);
    }
    if (errno != EINVAL) break;
  }
  throw Error{{.tried = "read the affinity mask of process",
               .object = pid == 0 ? "self" : std::to_string(pid),
               .why = errno_text(),
               .remedy = {}}};
}

}  // namespace sluice::pinning
