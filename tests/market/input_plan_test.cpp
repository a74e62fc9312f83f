// SPDX-License-Identifier: Apache-2.0
// Which worker reads which files, in what order, and what is refused.

#include "market/input_plan.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "market_test_support.hpp"

namespace market {
namespace {

using test::gzip;
using test::TemporaryDirectory;
using test::zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

InputFile raw_file(const std::string& venue, const std::string& symbol, std::int64_t first_ns,
                   std::uint64_t size) {
  static std::uint64_t inode = 0;
  InputFile file;
  file.path = venue + "_" + symbol + "_" + std::to_string(first_ns);
  file.format = CaptureFormat::raw;
  file.instrument = make_instrument(venue, symbol).instrument;
  file.size_bytes = size;
  file.first_receive_ns = first_ns;
  file.inode = ++inode;
  return file;
}

std::vector<std::string> paths(const InputGroup& group) {
  std::vector<std::string> result;
  for (const InputFile& file : group.files)
    result.push_back(file.path);
  return result;
}

std::string error_of(const std::function<void()>& attempt) {
  try {
    attempt();
  } catch (const sluice::Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Plan, ReadsTheDaysOfAnInstrumentInOrderOfTime) {
  const InputPlan plan = plan_inputs(
      {raw_file("spot", "A", 300, 1), raw_file("spot", "A", 100, 1), raw_file("spot", "A", 200, 1)}, 1);
  ASSERT_EQ(plan.workers.size(), 1U);
  ASSERT_EQ(plan.workers[0].size(), 1U);
  EXPECT_THAT(paths(plan.workers[0][0]), ElementsAre("spot_A_100", "spot_A_200", "spot_A_300"));
  EXPECT_EQ(plan.workers[0][0].size_bytes, 3U);
}

TEST(Plan, KeepsInstrumentsApart) {
  const InputPlan plan = plan_inputs({raw_file("spot", "A", 1, 5), raw_file("usdm", "A", 1, 4),
                                      raw_file("spot", "B", 1, 3), raw_file("spot", "A", 2, 5)},
                                     1);
  ASSERT_EQ(plan.workers[0].size(), 3U);
  EXPECT_THAT(paths(plan.workers[0][0]), ElementsAre("spot_A_1", "spot_A_2"));
  EXPECT_THAT(paths(plan.workers[0][1]), ElementsAre("usdm_A_1"));
}

TEST(Plan, DealsGroupsByTheirSize) {
  const InputPlan plan = plan_inputs({raw_file("v", "A", 1, 3), raw_file("v", "B", 1, 7),
                                      raw_file("v", "C", 1, 4), raw_file("v", "D", 1, 6)},
                                     2);
  ASSERT_EQ(plan.workers.size(), 2U);
  std::vector<std::uint64_t> sizes;
  for (const auto& groups : plan.workers) {
    std::uint64_t sum = 0;
    for (const InputGroup& group : groups)
      sum += group.size_bytes;
    sizes.push_back(sum);
  }
  EXPECT_THAT(sizes, ElementsAre(10U, 10U));
}

TEST(Plan, LeavesWorkersWithoutWorkWhenThereAreTooMany) {
  const InputPlan plan = plan_inputs({raw_file("v", "A", 1, 0), raw_file("v", "B", 1, 0)}, 4);
  ASSERT_EQ(plan.workers.size(), 4U);
  EXPECT_EQ(plan.workers[0].size(), 1U);
  EXPECT_EQ(plan.workers[1].size(), 1U);
  EXPECT_TRUE(plan.workers[2].empty());
  EXPECT_TRUE(plan.workers[3].empty());
}

TEST(Plan, PutsEverythingInOneGroupWhenAMergedFileIsThere) {
  InputFile merged = raw_file("v", "M", 150, 1);
  merged.format = CaptureFormat::merged;
  const InputPlan plan =
      plan_inputs({raw_file("spot", "B", 200, 1), merged, raw_file("spot", "A", 100, 1)}, 2);
  ASSERT_EQ(plan.workers[0].size(), 1U);
  EXPECT_THAT(paths(plan.workers[0][0]), ElementsAre("spot_A_100", "v_M_150", "spot_B_200"));
  EXPECT_TRUE(plan.workers[1].empty());
}

TEST(Plan, ReadsFilesWithoutATimeLast) {
  InputFile timeless = raw_file("spot", "A", 5, 1);
  timeless.first_receive_ns.reset();
  const InputPlan plan = plan_inputs({timeless, raw_file("spot", "A", 100, 1)}, 1);
  EXPECT_THAT(paths(plan.workers[0][0]), ElementsAre("spot_A_100", "spot_A_5"));
}

TEST(Plan, NeedsAFileAndAWorker) {
  EXPECT_THAT(error_of([] { plan_inputs(std::vector<InputFile>{}, 1); }),
              HasSubstr("name at least one file"));
  EXPECT_THAT(error_of([] { plan_inputs({raw_file("v", "A", 1, 1)}, 0); }), HasSubstr("no source worker"));
}

TEST(Inspection, FindsFormatInstrumentSizeAndFirstTime) {
  const TemporaryDirectory directory;
  const InputFile raw = inspect_input(directory.write("cm_btcusd_perp_20240808.gz", gzip("17 {}\n18 {}\n")));
  EXPECT_EQ(raw.format, CaptureFormat::raw);
  EXPECT_EQ(raw.instrument, make_instrument("cm", "BTCUSD_PERP").instrument);
  EXPECT_EQ(raw.first_receive_ns, 17);
  EXPECT_GT(raw.size_bytes, 0U);
  const InputFile merged = inspect_input(directory.write("all.zst", zstd("19\tspot\tB\t{}\n")));
  EXPECT_EQ(merged.format, CaptureFormat::merged);
  EXPECT_EQ(merged.first_receive_ns, 19);
}

TEST(Inspection, LooksBeyondDamagedFirstLines) {
  const TemporaryDirectory directory;
  const InputFile file =
      inspect_input(directory.write("spot_a_1", std::string(2'000'000, 'x') + "\n\xff\n\n20 {}\n"));
  EXPECT_EQ(file.format, CaptureFormat::raw);
  EXPECT_EQ(file.first_receive_ns, 20);
}

TEST(Inspection, TakesWhatIsNoCaptureAsUnknown) {
  const TemporaryDirectory directory;
  EXPECT_EQ(inspect_input(directory.write("diary.txt", "Dear diary\n")).format, CaptureFormat::unknown);
  EXPECT_EQ(inspect_input(directory.write("empty", "")).format, CaptureFormat::unknown);
  EXPECT_EQ(inspect_input(directory.write("spot_a_1", "")).format, CaptureFormat::raw);
}

TEST(Inspection, TakesATruncatedArchiveForWhatCanBeReadOfIt) {
  const TemporaryDirectory directory;
  const std::string archive = gzip("17 {}\n");
  const InputFile file = inspect_input(directory.write("spot_a_1", std::string_view{archive}.substr(0, 12)));
  EXPECT_EQ(file.format, CaptureFormat::raw);
  EXPECT_EQ(file.first_receive_ns, std::nullopt);
}

TEST(Inspection, LooksIntoNoPipe) {
  const TemporaryDirectory directory;
  const std::string pipe = (directory.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(inspect_input(pipe).format, CaptureFormat::merged);
}

TEST(Inspection, NamesTheFileThatCannotBeOpened) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of([] { inspect_input("/no/such_a_1.gz"); }),
              HasSubstr("/no/such_a_1.gz: No such file or directory"));
  EXPECT_THAT(error_of([&] { inspect_input(directory.path().string()); }), HasSubstr("Is a directory"));
}

TEST(Inspection, SaysHowToNameARawFile) {
  const TemporaryDirectory directory;
  const std::string error = error_of([&] { inspect_input(directory.write("capture.gz", gzip("17 {}\n"))); });
  EXPECT_THAT(error, HasSubstr("capture.gz"));
  EXPECT_THAT(error, HasSubstr("rename it to VENUE_SYMBOL_DAY.gz"));
}

TEST(Inspection, IsDoneForEveryPathAndTheSameFileIsRefusedUnderAnyName) {
  const TemporaryDirectory directory;
  const std::string one = directory.write("spot_a_1", "17 {}\n");
  const std::string two = directory.write("spot_a_2", "18 {}\n");
  EXPECT_EQ(plan_inputs(std::vector{two, one}, 1).workers[0][0].files[0].path, one);
  EXPECT_THAT(error_of([&] {
                plan_inputs(std::vector{one, two, one}, 1);
              }),
              HasSubstr("it is the same file as"));
  const std::string link = (directory.path() / "spot_b_1").string();
  std::filesystem::create_symlink(one, link);
  EXPECT_THAT(error_of([&] {
                plan_inputs(std::vector{one, link}, 1);
              }),
              HasSubstr("the same file as " + one));
}

TEST(Overlap, IsReportedWhenTheNextFileBeginsTooEarly) {
  const InputFile ended = raw_file("spot", "A", 100, 1);
  EXPECT_EQ(overlap(ended, 200, raw_file("spot", "A", 200, 1)), std::nullopt);
  const auto report = overlap(ended, 200, raw_file("spot", "A", 199, 1));
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(*report, HasSubstr("spot_A_199 begins at 199 ns, before spot_A_100 ended at 200 ns"));
}

}  // namespace
}  // namespace market
