// Every memory order that is not relaxed names its pair: a label in brackets, such as [lane.tail], stands on
// it or just above it, and on the other side as well.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
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

std::set<std::string> labels_of(const std::string& line) {
  static const std::regex label{R"(\[[a-z_]+\.[a-z_]+\])"};
  const std::string comment = comment_of(line);
  return {std::sregex_token_iterator{comment.begin(), comment.end(), label}, std::sregex_token_iterator{}};
}

// A fence for signals orders the compiler alone, against the death of its own process: it has no pair.
bool orders(const std::string& line) {
  static const std::regex order{"memory_order(_|::)(acquire|release|acq_rel|seq_cst|consume)"};
  const std::string code = line.substr(0, line.find("//"));
  return std::regex_search(code, order) && code.find("atomic_signal_fence") == std::string::npos;
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
    EXPECT_GE(where.size(), 2U) << label << " stands at " << where.front() << " only: name its pair there";
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
  // An atomic operation without an order is seq_cst by silence.
  static const std::regex silent{
      R"(\.(load\(\)|store\([^,()]*\)|exchange\([^,()]*\)|fetch_[a-z]+\([^,()]*\)))"};
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string code = source.lines[i].substr(0, source.lines[i].find("//"));
      EXPECT_FALSE(std::regex_search(code, silent)) << source.path << ":" << i + 1 << ": " << code;
    }
  }
}

}  // namespace
