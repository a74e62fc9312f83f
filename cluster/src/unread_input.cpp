// SPDX-License-Identifier: Apache-2.0
#include "unread_input.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "stream_subjects.hpp"

namespace sluice::detail {
namespace {

std::vector<std::string_view> tokens_of(std::string_view subject) {
  std::vector<std::string_view> tokens;
  while (true) {
    const std::size_t dot = subject.find('.');
    tokens.push_back(subject.substr(0, dot));
    if (dot == std::string_view::npos) return tokens;
    subject.remove_prefix(dot + 1);
  }
}

std::optional<unsigned> number_in(std::string_view token) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return number;
}

// Of a subject, which partition it is for, where that stands in `subjects`.
std::optional<unsigned> partition_of(std::string_view subject, std::size_t place) {
  const std::vector<std::string_view> tokens = tokens_of(subject);
  return place < tokens.size() ? number_in(tokens[place]) : std::nullopt;
}

std::optional<std::size_t> place_of(std::string_view subject, unsigned partition) {
  const std::vector<std::string_view> tokens = tokens_of(subject);
  const auto is_it = [partition](std::string_view token) { return number_in(token) == partition; };
  const auto found = std::find_if(tokens.begin(), tokens.end(), is_it);
  if (found == tokens.end() || std::any_of(found + 1, tokens.end(), is_it)) return std::nullopt;
  return static_cast<std::size_t>(found - tokens.begin());
}

}  // namespace

std::optional<std::string> subjects_of_all(const std::string& subject, unsigned partition) {
  const auto place = place_of(subject, partition);
  if (!place) return std::nullopt;
  std::string all;
  const std::vector<std::string_view> tokens = tokens_of(subject);
  for (std::size_t at = 0; at < tokens.size(); ++at)
    all.append(at == 0 ? "" : ".").append(at == *place ? "*" : tokens[at]);
  return all;
}

bool is_of(std::string_view subject, std::string_view subjects) {
  const std::vector<std::string_view> tokens = tokens_of(subject);
  const std::vector<std::string_view> pattern = tokens_of(subjects);
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == ">") return at < tokens.size();
    if (at == tokens.size() || (pattern[at] != "*" && pattern[at] != tokens[at])) return false;
  }
  return tokens.size() == pattern.size();
}

std::vector<UnreadInput> unread_input(const NatsClient& client,
                                      const std::map<unsigned, std::vector<SourceRead>>& reads,
                                      unsigned partitions) {
  const auto is_read = [&reads](const std::string& stream, const std::string& subject) {
    return std::any_of(reads.begin(), reads.end(), [&](const auto& partition) {
      return std::any_of(partition.second.begin(), partition.second.end(), [&](const SourceRead& read) {
        return read.stream == stream && is_of(subject, read.subjects);
      });
    });
  };
  std::vector<UnreadInput> unread;
  std::set<std::pair<std::string, std::string>> looked;
  for (const auto& [number, sources] : reads) {
    for (const SourceRead& read : sources) {
      const auto all = subjects_of_all(read.subjects, number);
      if (!all || !looked.emplace(read.stream, *all).second) continue;
      const std::size_t place = *place_of(read.subjects, number);
      UnreadInput found{.stream = read.stream};
      unsigned lowest = std::numeric_limits<unsigned>::max();
      for (const auto& [subject, count] : subjects_of(client, read.stream, *all)) {
        const auto partition = partition_of(subject, place);
        if (!partition || *partition < partitions || is_read(read.stream, subject)) continue;
        ++found.subjects;
        found.events += count;
        if (*partition < lowest) found.first = subject;
        lowest = std::min(lowest, *partition);
      }
      if (found.subjects != 0) unread.push_back(std::move(found));
    }
  }
  return unread;
}

}  // namespace sluice::detail
