// SPDX-License-Identifier: Apache-2.0
// The names of all settings by topic, for the first page of a program's --help; settings_help() has them with all that
// is said of them.
#pragma once

#include <string>

namespace sluice::detail {

// Some twenty lines of at most 80 columns, and how a setting is set.
std::string settings_summary();

}  // namespace sluice::detail
