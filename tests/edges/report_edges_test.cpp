// SPDX-License-Identifier: Apache-2.0
// Reports are lines of JSON whatever a handler throws, say of which pipeline they are, and do not grow for ever.
#include <fstream>
#include <regex>
#include <stdexcept>

#include <sluice/printable.hpp>

#include "death/report_file.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// A reader of JSON that is strict where writers go wrong: text is UTF-8 without controls, nothing follows the end.
class Json {
 public:
  static bool holds(std::string_view text) {
    Json json{text};
    return json.value() && json.rest_.empty();
  }

 private:
  explicit Json(std::string_view text) : rest_{text} {}
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool value() {
    if (rest_.starts_with('{')) return list('{', '}', true);
    if (rest_.starts_with('[')) return list('[', ']', false);
    if (rest_.starts_with('"')) return text();
    const std::size_t end = std::min(rest_.find_first_of(",]}"), rest_.size());
    const bool word =
        std::regex_match(std::string{rest_.substr(0, end)}, std::regex{"-?[0-9]+|true|false|null"});
    rest_.remove_prefix(end);
    return word;
  }
  bool list(char open, char close, bool named) {
    if (!take(open)) return false;
    if (take(close)) return true;
    do {
      if (named && !(text() && take(':'))) return false;
      if (!value()) return false;
    } while (take(','));
    return take(close);
  }
  bool text() {
    if (!take('"')) return false;
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != '"')
      end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return false;
    const std::string inside{rest_.substr(0, end)};
    rest_.remove_prefix(end + 1);
    // Nothing in it needs an escape but the backslashes that are there already.
    return printable(std::regex_replace(inside, std::regex{R"(\\.)"}, "")) ==
           std::regex_replace(inside, std::regex{R"(\\.)"}, "");
  }

  std::string_view rest_;
};

struct Throws {
  void operator()(const Item& item, Output<Item>&) const {
    std::string text;
    for (int i = 0; i < 1000; ++i)
      text += item.number == 0   ? "\u00e4"
              : item.number == 1 ? "\u20ac"
              : item.number == 2 ? "\xe2\x82"
                                 : "\x1b\"\n";
    throw std::runtime_error{text.substr(item.number % 2)};
  }
};

class ReportEdges : public WithProcesses {
 protected:
  ReportEdges() { clear_away(directory_); }
  ~ReportEdges() override { clear_away(directory_); }
  std::vector<std::string> lines(const std::string& name = "deaths.jsonl") const {
    std::ifstream file{directory_ / name};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      lines.push_back(line);
    return lines;
  }

  fs::path directory_{fs::temp_directory_path() / ("sluice-report-edges-" + std::to_string(::getpid()))};
};

TEST_F(ReportEdges, AreJsonWhateverAHandlerThrows) {
  Settings settings = test_settings();
  settings.set("report.path", directory_.string());
  settings.set("poison.attempts", "1");
  settings.set("restart.budget", "1000");
  Pipeline pipeline{"th\"ro\xffws"};
  pipeline.inlet<Item>("in").to<Throws>("throws").outlet("out");
  run_processes<Item>(pipeline, items(4, 1), settings);
  const std::vector<std::string> all = lines();
  ASSERT_GE(all.size(), 4U);
  for (const std::string& line : all) {
    EXPECT_TRUE(Json::holds(line)) << line;
    EXPECT_THAT(line, StartsWith(R"({"schema":2,"report":"death","time":")"));
    EXPECT_THAT(line, AllOf(HasSubstr(R"("pipeline":"th\"ro\\xffws")"), HasSubstr(R"("version":")")));
    EXPECT_TRUE(std::regex_search(line, std::regex{R"("time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")"}))
        << line;
  }
}

TEST_F(ReportEdges, KeepTheNewestLinesAndABound) {
  constexpr std::uint64_t kBound = 1000;
  const std::string path = (directory_ / "deaths.jsonl").string();
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(detail::append_report(path, "\"number\":" + std::to_string(i), "", kBound));
  EXPECT_LE(fs::file_size(path), kBound + 100);
  EXPECT_LE(fs::file_size(path + ".1"), kBound + 100);
  EXPECT_EQ(lines().back(), "{\"number\":499}");
  EXPECT_EQ(std::distance(fs::directory_iterator{directory_}, fs::directory_iterator{}), 2);
}

TEST_F(ReportEdges, OfSeveralWritersAreAllThere) {
  constexpr int kWriters = 4;
  constexpr int kLines = 300;
  const std::string path = (directory_ / "deaths.jsonl").string();
  std::vector<pid_t> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.push_back(::fork());
    if (writers.back() != 0) continue;
    bool all = true;
    // The bound is met once: what is moved away is still there.
    for (int i = 0; i < kLines; ++i)
      all &= detail::append_report(path, "\"number\":123456", "", std::uint64_t{kWriters} * kLines * 10);
    ::_exit(all ? 0 : 1);
  }
  for (const pid_t writer : writers) {
    int status = 0;
    ASSERT_EQ(::waitpid(writer, &status, 0), writer);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(lines().size() + lines("deaths.jsonl.1").size(), std::size_t{kWriters} * kLines);
}

}  // namespace
}  // namespace sluice::test
