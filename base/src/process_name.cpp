// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sys/prctl.h>

#include <sluice/detail/process_name.hpp>

namespace sluice::detail {

void set_process_name(std::string_view name) noexcept {
  char text[16] = {};
  std::copy_n(name.begin(), std::min(name.size(), sizeof(text) - 1), text);
  ::prctl(PR_SET_NAME, text);
}

}  // namespace sluice::detail
