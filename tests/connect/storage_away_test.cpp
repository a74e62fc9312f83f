// SPDX-License-Identifier: Apache-2.0
// Files on a storage that is away for a while: whoever reads or writes them waits outside until it is back, and goes on where it was.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <sluice/connect/file_sink.hpp>

#include "failing_storage.hpp"
#include "file_sink_world.hpp"
#include "file_source_world.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kLines = 20'000;

std::string published_name(int number) {
  const std::string digits = std::to_string(number);
  return "/archive-0-" + std::string(6 - digits.size(), '0') + digits + ".log";
}

class StorageAway : public FileSources {
 protected:
  ~StorageAway() override { back_again(); }
  std::string storage() const { return path("storage"); }
  void SetUp() override { std::filesystem::create_directory(storage()); }
  // The reader is killed while it is there, away and back.
  void expect_all_lines_once(const FileSourceOptions& options, int error) {
    Following reading{options, settings()};
    reading.out().hold_at(kLines / 4);
    ASSERT_TRUE(reading.has(kLines / 4));
    take_storage_away(storage(), error);
    reading.out().hold_at(std::numeric_limits<std::size_t>::max());
    ASSERT_TRUE(eventually([&] {
      return worker_of(reading.engine(), "read/0").outside.find(std::strerror(error)) != std::string::npos;
    })) << worker_of(reading.engine(), "read/0").outside;
    EXPECT_TRUE(reading.engine().signal_worker("read/0", SIGKILL));
    std::this_thread::sleep_for(50ms);
    back_again();
    ASSERT_TRUE(reading.has(kLines));
    EXPECT_EQ(reading.drain().size(), static_cast<std::size_t>(kLines));
    EXPECT_EQ(reading.engine().stats().problem_count, 0U);
  }
};

TEST_F(StorageAway, MakesAFileThatIsReadWait) {
  for (const int error : {EIO, ESTALE, ETIMEDOUT, ENOTCONN}) {
    { std::ofstream{storage() + "/day.txt"} << numbered(0, kLines, "line"); }
    expect_all_lines_once({.paths = {storage() + "/day.txt"}}, error);
  }
}

TEST_F(StorageAway, MakesADirectoryThatIsReadWait) {
  for (int file = 0; file < 4; ++file)
    std::ofstream{storage() + "/" + std::to_string(file)} << numbered(0, kLines / 4, "line");
  expect_all_lines_once({.paths = {storage()}}, EIO);
}

TEST_F(StorageAway, MakesALogThatIsFollowedWait) {
  { std::ofstream{storage() + "/log"} << numbered(0, kLines, "line"); }
  expect_all_lines_once({.paths = {storage() + "/log"}, .follow = true, .rotation_grace = 20ms}, EIO);
}

// Writes what it is given, in its own way.
struct AppendItems {
  AppendItems(Worker& worker, const std::string& path) : file{worker, "file", path} {}
  void operator()(const Item& item) { file.append(std::to_string(item.number) + "\n"); }
  AppendFile file;
};

TEST_F(StorageAway, MakesAFileThatIsWrittenWait) {
  constexpr std::uint32_t kItems = 2'000;
  for (const int error : {EIO, ESTALE, ETIMEDOUT, ENOTCONN}) {
    std::filesystem::remove_all(storage());
    std::filesystem::create_directory(storage());
    Pipeline pipeline{"away"};
    const auto in = pipeline.inlet<Item>("in");
    in.to<AppendItems>("append", {}, storage() + "/lines");
    in.to<FileSink<Item>>("archive", {}, RollingFileOptions{.directory = storage(), .rotate_bytes = 3'000},
                          [](const Item& item) { return std::to_string(item.number); });
    Engine engine{pipeline, settings()};
    engine.start();
    auto inlet = engine.inlet<Item>("in");
    std::string expected;
    for (std::uint32_t number = 0; number < kItems; ++number) {
      if (number == kItems / 2) take_storage_away(storage(), error);
      ASSERT_EQ(inlet.push({0, number}), PushResult::accepted);
      expected += std::to_string(number) + "\n";
    }
    for (const char* worker : {"append/0", "archive/0"})
      EXPECT_TRUE(eventually([&] {
        return worker_of(engine, worker).outside.find(std::strerror(error)) != std::string::npos;
      })) << worker;
    back_again();
    inlet.close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(bytes_of(storage() + "/lines"), expected);
    std::string archived;
    for (int file = 1; std::filesystem::exists(storage() + published_name(file)); ++file)
      archived += bytes_of(storage() + published_name(file));
    EXPECT_EQ(archived, expected);
  }
}

// What earlier commits wrote may be gone from the disk, whatever a second fsync says.
TEST_F(StorageAway, ThatLosesWhatWasCommittedIsNoSuccess) {
  Pipeline pipeline{"away"};
  pipeline.inlet<Item>("in").to<FileSink<Item>>("archive", {}, RollingFileOptions{.directory = storage()},
                                                [](const Item& item) { return std::to_string(item.number); });
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "archive/0").events_in == 1; }));
  fail_next_sync(storage(), EIO);
  in.close();
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("archive-0-000001.log.part"), HasSubstr(std::strerror(EIO)),
                    HasSubstr("may be missing")));
}

// A batch that is brought to the disk by itself is written anew.
TEST_F(StorageAway, ThatLosesABatchHasItWrittenAgain) {
  Pipeline pipeline{"away"};
  pipeline.inlet<Item>("in").to<FileSink<Item>>(
      "archive", {}, RollingFileOptions{.directory = storage(), .sync = FileSync::commit},
      [](const Item& item) { return std::to_string(item.number); });
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "archive/0").events_in == 1; }));
  fail_next_sync(storage(), EIO);
  ASSERT_EQ(in.push({0, 2}), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(failed_calls() > 0, true);
  EXPECT_EQ(bytes_of(storage() + "/archive-0-000001.log"), "1\n2\n");
}

}  // namespace
}  // namespace sluice::test
