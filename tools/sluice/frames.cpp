// SPDX-License-Identifier: Apache-2.0
#include "frames.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace sluice::command {
namespace {

// The outermost functions of a worker: one calls its runners, the other makes them. A runner itself has the line of a handler that
// was inlined into it.
constexpr std::array<std::string_view, 2> kBelowHandlers{" sluice::detail::WorkerLoop::",
                                                         " sluice::detail::run_worker("};

bool is_frame(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first != std::string_view::npos && line[first] == '#';
}

bool is_below_handlers(std::string_view line) {
  return std::any_of(kBelowHandlers.begin(), kBelowHandlers.end(), [line](std::string_view function) {
    const std::size_t at = line.find(function);
    // Behind the number, and no argument of a template.
    return at != std::string_view::npos && line.find(' ', line.find('#')) == at;
  });
}

}  // namespace

std::vector<std::string> without_engine(std::span<const std::string> frames) {
  std::vector<std::string> shown;
  for (auto each = frames.begin(); each != frames.end();) {
    if (!is_frame(*each) || !is_below_handlers(*each)) {
      shown.push_back(*each++);
      continue;
    }
    const auto end = std::find_if_not(each, frames.end(), is_frame);
    shown.push_back(fmt::format("{}... {} frame{} of the engine", each->substr(0, each->find('#')),
                                end - each, end - each == 1 ? "" : "s"));
    each = end;
  }
  return shown;
}

}  // namespace sluice::command
