// SPDX-License-Identifier: Apache-2.0
// Every memory order that is not relaxed names its pair: a label in brackets, such as [lane.tail], stands on
// it or just above it, and on the other side as well.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

constexpr std::size_t kLinesAbove = 7;

struct Source {
  std::string path;
  std::vector<std::string> lines;
};

std::vector<Source> sources() {
  std::vector<Source> found;
  const std::filesystem::path root{SLUICE_SOURCE_DIR};
  for (const char* part : {"ipc", "engine"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root / part}) {
      if (entry.path().extension() != ".hpp" && entry.path().extension() != ".cpp") continue;
      Source source{entry.path().lexically_relative(root).string(), {}};
      std::ifstream file{entry.path()};
      for (std::string line; std::getline(file, line);)
        source.lines.push_back(line);
      found.push_back(std::move(source));
    }
  }
  return found;
}

std::string comment_of(const std::string& line) {
  const std::size_t at = line.find("//");
  return at == std::string::npos ? std::string{} : line.substr(at);
}

// A label is two words joined by a dot, in brackets.
bool is_label(const std::string& text) {
  const auto of_words = [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == '.'; };
  return std::all_of(text.begin(), text.end(), of_words) && std::count(text.begin(), text.end(), '.') == 1 &&
         text.front() != '.' && text.back() != '.';
}

std::set<std::string> labels_of(const std::string& line) {
  std::set<std::string> labels;
  const std::string comment = comment_of(line);
  for (std::size_t at = comment.find('['); at != std::string::npos; at = comment.find('[', at + 1)) {
    const std::size_t end = comment.find(']', at);
    if (end == std::string::npos || end == at + 1) continue;
    const std::string text = comment.substr(at + 1, end - at - 1);
    if (is_label(text)) labels.insert(text);
  }
  return labels;
}

std::string code_of(const std::string& line) {
  return line.substr(0, line.find("//"));
}

// A fence for signals orders the compiler alone, against the death of its own process: it has no pair.
bool orders(const std::string& line) {
  const std::string code = code_of(line);
  if (code.find("atomic_signal_fence") != std::string::npos) return false;
  for (const char* order : {"acquire", "release", "acq_rel", "seq_cst", "consume"}) {
    for (const char* spelling : {"memory_order_", "memory_order::"}) {
      if (code.find(std::string{spelling} + order) != std::string::npos) return true;
    }
  }
  return false;
}

TEST(MemoryOrderLabels, StandAtTwoPlacesAtLeast) {
  std::map<std::string, std::vector<std::string>> places;
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      for (const std::string& label : labels_of(source.lines[i]))
        places[label].push_back(source.path + ":" + std::to_string(i + 1));
    }
  }
  EXPECT_GE(places.size(), 6U) << "the labels of lanes, commit, undo log and sleep, at the least";
  for (const auto& [label, where] : places)
    EXPECT_GE(where.size(), 2U) << "[" << label << "] stands at " << where.front()
                                << " only: name its pair there";
}

TEST(MemoryOrderLabels, StandAtEveryOrderThatIsNotRelaxed) {
  std::size_t orders_seen = 0;
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      if (!orders(source.lines[i])) continue;
      ++orders_seen;
      bool labelled = false;
      for (std::size_t above = 0; above <= kLinesAbove && above <= i; ++above)
        labelled = labelled || !labels_of(source.lines[i - above]).empty();
      EXPECT_TRUE(labelled) << source.path << ":" << i + 1 << " has no label: " << source.lines[i];
    }
  }
  EXPECT_GE(orders_seen, 15U);
}

TEST(MemoryOrderLabels, AreNotHiddenBehindDefaultOrders) {
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      // A load without an order is seq_cst by silence.
      EXPECT_EQ(code_of(source.lines[i]).find(".load()"), std::string::npos) << source.path << ":" << i + 1;
    }
  }
}

}  // namespace
