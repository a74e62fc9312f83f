// SPDX-License-Identifier: Apache-2.0
// What is wrong with the description of a machine that hwloc has refused: it says no more than that.
#pragma once

#include <string>
#include <string_view>

namespace sluice::pinning {

// In words, with the line where it ends or the text that it begins with. Pure.
std::string fault_of_xml(std::string_view text);

// Whether it describes more processing units than any Linux has, by its levels alone: hwloc's time for a machine grows with
// the square of its units. Pure.
bool is_larger_than_linux(std::string_view text);

// In words, with the part that is not understood and its position: hwloc is asked again for ever more of its parts.
std::string fault_of_synthetic(const std::string& text);

}  // namespace sluice::pinning
