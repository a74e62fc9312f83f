// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/nearest.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::detail {
namespace {

// Small letters, and '_' for whatever is neither letter nor digit.
std::string folded(std::string_view name) {
  std::string text{name};
  std::ranges::transform(text, text.begin(), [](char character) {
    if (character >= 'A' && character <= 'Z') return static_cast<char>(character - 'A' + 'a');
    const bool stays = (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
    return stays ? character : '_';
  });
  return text;
}

}  // namespace

// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
// Source: Boytsov, "Indexing methods for approximate dictionary searching", 2011, section 2.2.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before_last(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> current(to.size() + 1);
  for (std::size_t column = 0; column <= to.size(); ++column)
    last[column] = column;
  for (std::size_t row = 1; row <= from.size(); ++row) {
    current[0] = row;
    for (std::size_t column = 1; column <= to.size(); ++column) {
      const std::size_t substitution = last[column - 1] + (from[row - 1] == to[column - 1] ? 0 : 1);
      current[column] = std::min({last[column] + 1, current[column - 1] + 1, substitution});
      const bool swapped =
          row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1];
      if (swapped) current[column] = std::min(current[column], before_last[column - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, current);
  }
  return last[to.size()];
}

// A fifth of the letters may be wrong, and one more.
std::size_t tolerance(std::string_view name) {
  return 1 + name.size() / 5;
}

bool may_be_within(std::size_t most, std::string_view from, std::string_view to) {
  return std::max(from.size(), to.size()) - std::min(from.size(), to.size()) <= most;
}

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  const std::string wanted = folded(name);
  const std::string* best = nullptr;
  std::size_t best_distance = tolerance(wanted) + 1;
  for (const std::string& candidate : candidates) {
    if (!may_be_within(best_distance - 1, wanted, candidate)) continue;
    const std::size_t apart = distance(wanted, folded(candidate));
    if (apart >= best_distance) continue;
    best_distance = apart;
    best = &candidate;
  }
  if (best != nullptr) return *best;
  // A word out of a name ("slots") is no misspelling of it, but points to it just as well.
  constexpr std::size_t kTellingWord = 4;
  if (wanted.size() < kTellingWord) return {};
  for (const std::string& candidate : candidates) {
    if (folded(candidate).find(wanted) != std::string::npos) return candidate;
  }
  return {};
}

}  // namespace sluice::detail
