// SPDX-License-Identifier: Apache-2.0
#include "topology_fault.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>
#include <hwloc.h>

#include <sluice/printable.hpp>

namespace sluice::pinning {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kMostShown = 24;
constexpr std::uint64_t kMostUnits = 8192;  // The largest NR_CPUS of its x86, arm64 and power builds.

bool understands(const std::string& text) {
  hwloc_topology_t machine = nullptr;
  if (hwloc_topology_init(&machine) != 0) return true;  // Then nothing can be told.
  const bool understood = hwloc_topology_set_synthetic(machine, text.c_str()) == 0;
  hwloc_topology_destroy(machine);
  return understood;
}

// The end of the part that begins at `at`: blanks within brackets belong to it.
std::size_t end_of_part(std::string_view text, std::size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '(' || text[at] == '[') ++depth;
    if (text[at] == ')' || text[at] == ']') --depth;
    if (depth <= 0 && kBlanks.find(text[at]) != std::string_view::npos) break;
  }
  return at;
}

// "core:4(indexes=0,1)" or "4": 4; 0 for what is no level, as attached memory.
std::uint64_t arity_of(std::string_view part) {
  part = part.substr(0, part.find('('));
  if (part.empty() || part.front() == '[') return 0;
  if (const std::size_t colon = part.rfind(':'); colon != std::string_view::npos)
    part.remove_prefix(colon + 1);
  std::uint64_t arity = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), arity);
  return error == std::errc{} && end == part.data() + part.size() ? arity : 0;
}

}  // namespace

bool is_larger_than_linux(std::string_view text) {
  std::uint64_t units = 1;
  for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const std::size_t end = end_of_part(text, at);
    units *= std::clamp<std::uint64_t>(arity_of(text.substr(at, end - at)), 1, kMostUnits + 1);
    if (units > kMostUnits) return true;
    at = text.find_first_not_of(kBlanks, end);
  }
  return false;
}

std::string fault_of_xml(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "it is empty";
  if (text[begin] != '<') {
    const std::string_view line = text.substr(begin, text.find_first_of("\r\n", begin) - begin);
    return fmt::format("it is no XML: it begins with \"{}\"", printable(cut_text(line, kMostShown)));
  }
  if (text.find("<topology") == std::string_view::npos)
    return "it is no topology of hwloc: it has no element <topology>";
  if (text.find("</topology>") == std::string_view::npos) {
    return fmt::format("it ends early, in line {}: </topology> is missing",
                       1 + std::count(text.begin(), text.end(), '\n'));
  }
  return "hwloc refuses what is in <topology>; HWLOC_XML_VERBOSE=1 has it say more";
}

std::string fault_of_synthetic(const std::string& text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "it is empty";
  for (std::size_t at = first; at != std::string::npos;) {
    const std::size_t end = end_of_part(text, at);
    const std::string part = text.substr(at, end - at);
    // The last level is to be units, so some are put behind what is looked at. That first: hwloc 2.9 loses the memory
    // of nodes that are attached to a last level that it refuses.
    const std::string until = text.substr(0, end);
    if (!understands(until + " pu:1") && !understands(until)) {
      return fmt::format("hwloc does not understand \"{}\", at character {}",
                         printable(cut_text(part, kMostShown)), at + 1);
    }
    at = text.find_first_not_of(kBlanks, end);
  }
  if (is_larger_than_linux(text))
    return fmt::format("it has more than {} processing units, which are the most that Linux knows",
                       kMostUnits);
  return understands(text) ? "hwloc cannot make a machine of it" : "its last level is not pu:NUMBER";
}

}  // namespace sluice::pinning
