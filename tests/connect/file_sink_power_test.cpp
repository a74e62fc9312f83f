// SPDX-License-Identifier: Apache-2.0
// What FileSync promises of a power loss, by a model of the disk: every call that a FileSink makes is recorded, and the power fails
// behind each of them.
#include <fcntl.h>
#include <map>
#include <random>
#include <sstream>
#include <sys/stat.h>

#include <sluice/inline.hpp>

#include "disk_model.hpp"
#include "file_sink_world.hpp"
#include "recorder.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t kLines = 48;
constexpr std::uint32_t kLinesABatch = 4;
constexpr unsigned kSamples = 5;

class FileSinkPowerCuts : public FileSinks {
 protected:
  // Marks, behind each commit, how many lines it has.
  static void write_all(const RollingFileOptions& options) {
    InlineRun run{archive(options)};
    for (std::uint32_t number = 0; number < kLines;) {
      for (std::uint32_t i = 0; i < kLinesABatch; ++i)
        run.push("in", Item{0, number++});
      run.run();
      mark(number);
    }
    run.finish();
  }
  void record_a_sink(FileSync sync) {
    RollingFileOptions into = options();
    into.sync = sync;
    into.rotate_bytes = 60;  // Some batches.
    write_all(into);
    for (const auto& entry : fs::directory_iterator{file("out")})
      whole_[entry.path().filename().string()] = bytes_of(entry.path());
    ASSERT_GT(whole_.size(), 3U);
    fs::create_directory(file("disk"));
    into.directory = file("disk/out");
    recording_ = record(file("disk"), [&] {
      ::mkdir(into.directory.c_str(), 0700);
      const int above = ::open(file("disk").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      ::fsync(above);
      write_all(into);
    });
    if (recording_.problem.ends_with("may not trace its child")) GTEST_SKIP() << recording_.problem;
    ASSERT_EQ(recording_.problem, "");
  }
  // `look` at what may be there behind each call, with how many lines are committed by then.
  void cut_the_power(const std::function<void(std::uint64_t)>& look) {
    std::uint64_t committed = 0;
    for (std::size_t calls = 0; calls <= recording_.calls.size(); ++calls) {
      if (calls != 0 && recording_.calls[calls - 1].what == DiskCall::What::mark)
        committed = recording_.calls[calls - 1].at;
      for (unsigned seed = 0; seed < kSamples; ++seed) {
        SCOPED_TRACE("power cut behind call " + std::to_string(calls) + ", seed " + std::to_string(seed));
        std::mt19937 random{static_cast<unsigned>(calls) * kSamples + seed};
        fs::remove_all(file("after"));
        fs::create_directory(file("after"));
        DiskModel::after_power_cut(recording_.calls, calls, random).build(file("after"));
        look(committed);
        if (HasFailure()) return;
      }
    }
    EXPECT_EQ(committed, kLines);
  }
  void expect_that_published_files_are_whole() const {
    for (const auto& [name, bytes] : whole_) {
      if (name.ends_with(".manifest") || !fs::exists(file("after/out/" + name))) continue;
      EXPECT_TRUE(bytes_of(file("after/out/" + name)) == bytes) << name;
    }
  }
  void expect_lines(std::uint64_t count) const {
    if (count == 0) return;  // The directory may not be there yet.
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator{file("after/out")}) {
      std::istringstream lines{bytes_of(entry.path())};
      for (std::string line; std::getline(lines, line);)
        found.insert(line);
    }
    for (std::uint32_t number = 0; number < count; ++number)
      EXPECT_TRUE(found.contains(text_of_item(Item{0, number}))) << number << " of " << count;
  }

 private:
  std::map<std::string, std::string> whole_;
  Recording recording_;
};

TEST_F(FileSinkPowerCuts, LeaveWholeWhatIsPublished) {
  record_a_sink(FileSync::publish);
  if (IsSkipped() || HasFatalFailure()) return;
  cut_the_power([this](std::uint64_t) { expect_that_published_files_are_whole(); });
}

TEST_F(FileSinkPowerCuts, LeaveWhatWasCommittedWhereEachCommitIsBroughtToTheDisk) {
  record_a_sink(FileSync::commit);
  if (IsSkipped() || HasFatalFailure()) return;
  cut_the_power([this](std::uint64_t committed) {
    expect_that_published_files_are_whole();
    expect_lines(committed);
  });
}

}  // namespace
}  // namespace sluice::test
