// SPDX-License-Identifier: Apache-2.0
// Numbers with units, as people write them in settings: "64K", "2MiB", "10ms", "yes". Pure functions.
//
// K, M, G and T are powers of 1024 in counts and in bytes; bytes may also be written KiB, MiB, GiB and TiB,
// or kB, MB, GB and TB for powers of 1000. A duration is whole nanoseconds and names its unit: ns, us, ms, s,
// min or h. Units are read in either case, one space may stand before them, and a fraction of up to six
// digits is understood if the result is whole ("1.5ms"). A rate is a number per unit of time: "5/s",
// "12/min".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// A number, or what is wrong with its text: "'q' is no unit of bytes".
template <typename Number>
struct Parsed {
  Number value{};
  std::string fault{};  // Empty if the text was understood.

  bool ok() const noexcept { return fault.empty(); }
};

// Each takes the whole text; what does not fit into the result is a fault. Any thread may call them.
Parsed<std::uint64_t> parse_count(std::string_view text);
Parsed<std::uint64_t> parse_bytes(std::string_view text);
Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text);
Parsed<double> parse_rate(std::string_view text);  // Times a second, never negative. "0" needs no unit.
Parsed<bool> parse_flag(std::string_view text);    // yes/no, true/false, on/off, 1/0, in either case.

// The canonical text, in the largest unit that keeps it whole; parsing it gives the same number back.
std::string format_count(std::uint64_t count);
std::string format_bytes(std::uint64_t bytes);
std::string format_duration(std::chrono::nanoseconds duration);
std::string format_rate(double per_second);  // In the first of s, min and h in which it comes back exactly.
std::string format_flag(bool flag);

}  // namespace sluice
