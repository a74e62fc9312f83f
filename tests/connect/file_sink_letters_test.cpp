// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into RollingFile.
#include <sstream>

#include "file_sink_world.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class WritesNumber {
 public:
  WritesNumber(Worker& worker, const RollingFileOptions& options) : file_{worker, options} {}
  void operator()(const Item& item) { file_.append_line(letter_of(item)); }
  bool finish() { return file_.finish(); }

 private:
  RollingFile file_;
};

class FileSinkLetters : public WithLetters<FileSinks> {};

TEST_P(FileSinkLetters, ThatAreRetriedAreALineEachWhoeverDies) {
  // A run of its own begins with a file of the same number.
  const std::vector<std::string> names{GetParam() ? "both" : "first", GetParam() ? "both" : "second"};
  retry_by([&](const LettersAsked& asked) {
    RollingFileOptions into = options();
    into.name = asked.is_picky ? names[0] : names[1];
    into.rotate_bytes = 100;
    return letters_into<WritesNumber>(asked, into);
  });
  EXPECT_TRUE(published_whole());
  std::vector<std::string> found;
  for (const std::string& name : this->names()) {
    if (name.ends_with(".manifest")) continue;
    std::istringstream lines{bytes_of(file("out/" + name))};
    for (std::string line; std::getline(lines, line);)
      found.push_back(line);
  }
  EXPECT_EQ(sorted(found), all());
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, FileSinkLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
