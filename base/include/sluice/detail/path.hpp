// SPDX-License-Identifier: Apache-2.0
// Paths that mean the same wherever a process goes.
#pragma once

#include <filesystem>

namespace sluice::detail {

// The path from the root on. Throws Error for an empty path, and for a relative one when the working directory
// is gone.
std::filesystem::path absolute_path(const std::filesystem::path& path);

}  // namespace sluice::detail
