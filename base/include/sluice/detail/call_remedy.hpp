// SPDX-License-Identifier: Apache-2.0
// What can be done when the kernel refuses a call that gives a descriptor.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

namespace sluice::detail {

// `reason` is its errno. Empty for one of which nothing can be said.
inline std::string remedy_for_call(int reason, std::string_view call) {
  switch (reason) {
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case EPERM:
    case EACCES:
    case ENOSYS:
      return "allow " + std::string{call} + " in the filter of system calls (seccomp)";
    default:
      return {};
  }
}

}  // namespace sluice::detail
