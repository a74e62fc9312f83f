// SPDX-License-Identifier: Apache-2.0
// How large a file may be: beyond it the kernel kills the process that writes, by SIGXFSZ.
#pragma once

#include <cstdint>

namespace sluice::detail {

// Whether a file of so many bytes is larger than this process may write (RLIMIT_FSIZE). Asked before each write, by who
// is not to die of it and leaves signals alone.
bool beyond_the_limit_of_files(std::uint64_t bytes) noexcept;
inline constexpr const char* kBeyondTheLimitOfFiles =
    "the file would be larger than a file may be (ulimit -f)";

}  // namespace sluice::detail
