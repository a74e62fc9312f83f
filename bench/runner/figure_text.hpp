// SPDX-License-Identifier: Apache-2.0
// Figures as people read them: "96.2 M/s", "235 ns", "4.0 KiB". Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace sluice::bench {

// Three significant digits and the unit that suits them. "events" is what is counted a second.
std::string figure_text(std::string_view figure, double value);

// Least and most in the unit of the greater: "94.1..98.0 M/s".
std::string range_text(std::string_view figure, double least, double most);

// "0.69", "1.2", "21": as many digits as a reader can use.
std::string ratio_text(double ratio);

// What a figure is, for a heading: "events a second, more is better", "p50, less is better".
std::string heading(std::string_view figure);

}  // namespace sluice::bench
