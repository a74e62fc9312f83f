// SPDX-License-Identifier: Apache-2.0
// The models speak of the code that stands in ipc/, and every mutant in them is run.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace {

const std::filesystem::path kRoot{SLUICE_SOURCE_DIR};
const std::filesystem::path kModels = kRoot / "tests" / "model";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// What the first group of `pattern` matches anywhere in `text`.
std::set<std::string> found_in(const std::string& text, const std::string& pattern) {
  const std::regex expression{pattern};
  std::set<std::string> found;
  for (std::sregex_iterator at{text.begin(), text.end(), expression}, end; at != end; ++at)
    found.insert((*at)[1].str());
  return found;
}

std::string models() {
  std::string text;
  for (const char* model :
       {"pipeline.pml", "pipeline_ipc.pml", "pipeline_worker.pml", "park.pml", "split.pml", "wake.pml"})
    text += text_of(kModels / model);
  return text;
}

// Labels as the memory orders carry them: two words joined by a dot, in brackets that are no subscript.
std::set<std::string> labels_in(const std::string& text) {
  return found_in(text, R"((?:^|[^a-z_])\[([a-z_]+\.[a-z_]+)\])");
}

TEST(Model, CarriesTheLabelsOfLaneCommitUndoLogAndSleepAndNoOthers) {
  std::string code;
  for (const char* header : {"lane.hpp", "commit.hpp", "undo.hpp", "control.hpp"})
    code += text_of(kRoot / "ipc" / "include" / "sluice" / "ipc" / header);
  std::set<std::string> labels = labels_in(code);
  // The gate of checkpoints only delays what a consumer reads; crash.OutsideAfter looks at what it promises.
  EXPECT_EQ(labels.erase("lane.released"), 1U);
  EXPECT_GE(labels.size(), 9U) << "three words of a lane, two of the commit, two of the undo log, two fences";
  EXPECT_EQ(labels, labels_in(models())) << "in ipc/, then in tests/model/*.pml";
}

TEST(Model, HasEveryMutantInTheTableThatIsRun) {
  std::set<std::string> in_text = found_in(models(), R"((?:#ifn?def |defined\()([A-Z_]+))");
  for (const char* size : {"SPLIT", "PARK", "WORKER_DEATHS", "MASTER_DEATHS"})
    EXPECT_EQ(in_text.erase(size), 1U) << size;
  const std::string table = text_of(kModels / "mutants");
  EXPECT_EQ(in_text, found_in(table, R"([a-z]+ +([A-Z_]+) +[0-9])")) << "in the models, then in the table";
  EXPECT_GE(in_text.size(), 25U);
}

}  // namespace
