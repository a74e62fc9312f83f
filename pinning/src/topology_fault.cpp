// SPDX-License-Identifier: Apache-2.0
#include "topology_fault.hpp"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>
#include <hwloc.h>

#include <sluice/printable.hpp>

namespace sluice::pinning {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kMostShown = 24;

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

}  // namespace

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
  return understands(text) ? "hwloc cannot make a machine of it" : "its last level is not pu:NUMBER";
}

}  // namespace sluice::pinning
