// SPDX-License-Identifier: Apache-2.0
// FileSink: files that are published whole, with each event's text in them once, whoever is killed on the
// way.
#include <csignal>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>

#include "file_sink_world.hpp"
#include "kill_count.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST_F(FileSinks, PublishOneFileAtTheEndAndSayWhatItHolds) {
  run_inline(archive(options()), items(100, 1));
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0.manifest"));
  const std::string text = lines_of_key(items(100, 1), {0});
  EXPECT_EQ(published("items-0"), text);
  EXPECT_THAT(lines_of(file("out/items-0.manifest")),
              ElementsAre("{\"file\":\"items-0-000001.log\",\"bytes\":" + std::to_string(text.size()) +
                          ",\"content_bytes\":" + std::to_string(text.size()) + ",\"records\":100}"));
}

TEST_F(FileSinks, GoOnToAnotherFileWhenOneIsLargeOrOldEnough) {
  RollingFileOptions large = options();
  large.rotate_bytes = 100;
  run_inline(archive(large), items(1000, 1));
  EXPECT_GT(names().size(), 10U);
  EXPECT_EQ(published("items-0"), lines_of_key(items(1000, 1), {0}));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), SizeIs(names().size() - 1));
  clear_away(file("out"));
  fs::create_directory(file("out"));
  RollingFileOptions old = options();
  old.rotate_after = std::chrono::nanoseconds{1};
  old.sync = FileSync::commit;
  run_inline(archive(old), items(50, 1));
  EXPECT_GT(names().size(), 2U);
  EXPECT_EQ(published("items-0"), lines_of_key(items(50, 1), {0}));
}

TEST_F(FileSinks, CompleteAFileThatIsOldEnoughWithTheNextEvent) {
  RollingFileOptions old = options();
  old.rotate_after = 50ms;
  const std::vector<Item> all = items(100'000, 1);
  Engine engine{archive(old), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::size_t pushed = 0;
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(in.push(all.at(pushed++)), PushResult::accepted);
    return fs::exists(file("out/items-0-000003.log"));
  }));
  in.close();
  engine.wait();
  const std::vector<Item> these{all.begin(), all.begin() + static_cast<std::ptrdiff_t>(pushed)};
  EXPECT_EQ(published("items-0"), lines_of_key(these, {0}));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), SizeIs(names().size() - 1));
}

// What it holds is published in a second, and not with the next event, which may come in an hour.
TEST_F(FileSinks, CompleteAFileThatIsOldEnoughThoughNoEventComes) {
  RollingFileOptions old = options();
  old.rotate_after = 50ms;
  Engine engine{archive(old), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> all = items(20, 1);
  for (std::size_t pushed = 0; pushed < all.size();) {
    for (int more = 0; more < 10; ++more)
      ASSERT_EQ(in.push(all.at(pushed++)), PushResult::accepted);
    const std::vector<Item> these{all.begin(), all.begin() + static_cast<std::ptrdiff_t>(pushed)};
    EXPECT_TRUE(
        eventually([&] { return published_whole() && published("items-0") == lines_of_key(these, {0}); }));
    const std::size_t files = names().size();
    ASSERT_TRUE(eventually([&] { return engine.signal_worker("items/0", SIGKILL); }));
    EXPECT_EQ(names().size(), files) << "an empty file is none";
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(published("items-0"), lines_of_key(all, {0}));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), SizeIs(names().size() - 1));
}

TEST_F(FileSinks, OfALaterRunGoOnBehindWhatIsThere) {
  run_inline(archive(options()), items(10, 1));
  std::ofstream{file("out/items-0-000007.log.part")} << "somebody's";
  run_inline(archive(options()), items(20, 1));
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000007.log.part", "items-0-000008.log",
                                   "items-0.manifest"));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log")), lines_of_key(items(10, 1), {0}));
  EXPECT_EQ(bytes_of(file("out/items-0-000008.log")), lines_of_key(items(20, 1), {0}));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), SizeIs(2));
}

TEST_F(FileSinks, CountOnBesideAFileWithTheLastOfAllNumbers) {
  std::ofstream{file("out/items-0-18446744073709551615.log")} << "somebody's";
  std::ofstream{file("out/items-0-99999999999999999999.log")} << "somebody's";
  run_inline(archive(options()), items(10, 1));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log")), lines_of_key(items(10, 1), {0}));
}

TEST_F(FileSinks, MakeNoFileOfNothing) {
  run_inline(archive(options()), items(0, 1));
  EXPECT_THAT(names(), ElementsAre("items-0.manifest"));
}

TEST_F(FileSinks, TakeBytesAsTheyAre) {
  RollingFileOptions named = options();
  named.name = "raw";
  named.compression = FileCompression::zstd;
  Pipeline pipeline{"bytes"};
  pipeline.inlet<Bytes>("in").to<FileSink<Bytes>>("bytes", named);
  run_inline(pipeline,
             std::vector<Bytes>{std::string_view{"one"}, std::string_view{""}, std::string_view{"three"}});
  EXPECT_EQ(published("raw-0"), "one\n\nthree\n");
}

// What was committed can be read while the file is being written: each frame is whole.
TEST_F(FileSinks, HaveAllThatWasCommittedInWholeFramesBeforeTheyArePublished) {
  RollingFileOptions packed = options();
  packed.compression = FileCompression::zstd;
  Engine engine{archive(packed), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(500, 1))
    ASSERT_EQ(in.push(item), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "items/0").events_in == 500; }));
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log.zst.part", "items-0.manifest"));
  EXPECT_EQ(unpacked(bytes_of(file("out/items-0-000001.log.zst.part"))), lines_of_key(items(500, 1), {0}));
  engine.drain();
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log.zst", "items-0.manifest"));
}

TEST_F(FileSinks, HoldEachLineOnceThroughKillsAndNeverChangeOnceTheyArePublished) {
  const unsigned kills = kills_asked(80);
  RollingFileOptions packed = options();
  packed.compression = FileCompression::zstd;
  packed.level = 1;
  packed.rotate_bytes = 400;
  Engine engine{archive(packed, 2), settings({"restart.budget=1000000", "batch.events=32"})};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random{seed};
  std::vector<Item> given;
  std::map<std::string, std::string> seen;
  for (unsigned killed = 0; killed < kills;) {
    for (std::uint64_t n = random() % 300; n != 0; --n) {
      given.push_back({static_cast<std::uint32_t>(random() % 10), static_cast<std::uint32_t>(given.size())});
      ASSERT_EQ(in.push(given.back()), PushResult::accepted);
    }
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    const std::string worker = random() % 2 == 0 ? "items/0" : "items/1";
    const std::uint32_t incarnation = worker_of(engine, worker).incarnation;
    if (!engine.signal_worker(worker, SIGKILL)) continue;
    ++killed;
    for (const std::string& name : names()) {
      if (name.ends_with(".zst") && !seen.contains(name)) seen[name] = bytes_of(file("out/" + name));
    }
    ASSERT_TRUE(eventually([&] { return worker_of(engine, worker).incarnation != incarnation; }));
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_GT(seen.size(), 2U);
  for (const auto& [name, bytes] : seen)
    EXPECT_TRUE(bytes_of(file("out/" + name)) == bytes) << name << " has changed";
  std::size_t lines = 0;
  std::set<std::uint32_t> keys;
  for (const char* worker : {"items-0", "items-1"}) {
    const std::string text = published(worker);
    std::set<std::uint32_t> own;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line); ++lines)
      own.insert(static_cast<std::uint32_t>(std::stoul(line)));
    EXPECT_TRUE(text == lines_of_key(given, own)) << worker;
    EXPECT_THAT(lines_of(file(std::string{"out/"} + worker + ".manifest")), SizeIs(testing::Gt(2U)));
  }
  EXPECT_EQ(lines, given.size());
  std::size_t complete = 0;
  for (const std::string& name : names()) {
    EXPECT_FALSE(name.ends_with(".part")) << name;
    if (name.ends_with(".zst")) ++complete;
  }
  EXPECT_EQ(lines_of(file("out/items-0.manifest")).size() + lines_of(file("out/items-1.manifest")).size(),
            complete);
  std::cout << kills << " kills, " << given.size() << " lines in " << complete << " files\n";
}

// Dies a few times between what it writes and the commit, and between the commit and the new name.
class Dying {
 public:
  Dying(Worker& worker, const RollingFileOptions& options) : worker_{worker} {
    worker.after_commit([this] { die(0); });
    file_.emplace(worker, options);
    worker.before_commit([this] { die(1); });
  }
  void operator()(const Item& item) { file_->append(text_of_item(item) + "\n"); }
  bool finish() { return file_->finish(); }

 private:
  void die(std::uint32_t turn) {
    if (worker_.incarnation() <= 40 && worker_.incarnation() % 2 == turn) ::raise(SIGKILL);
  }

  Worker& worker_;
  std::optional<RollingFile> file_;
};

TEST_F(FileSinks, AreExactWhenTheirWorkerDiesJustBeforeOrJustAfterItsCommit) {
  RollingFileOptions each = options();
  each.rotate_bytes = 1;
  each.compression = FileCompression::zstd;
  Pipeline pipeline{"dying"};
  pipeline.inlet<Item>("in").to<Dying>("items", {}, each);
  Engine engine{pipeline, settings({"restart.budget=1000000", "batch.events=4"})};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(500, 1))
    ASSERT_EQ(in.push(item), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_GT(worker_of(engine, "items/0").incarnation, 40U);
  EXPECT_EQ(published("items-0"), lines_of_key(items(500, 1), {0}));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), SizeIs(names().size() - 1));
}

TEST_F(FileSinks, GoOnAfterEverythingWasKilledAtOnce) {
  RollingFileOptions packed = options();
  packed.compression = FileCompression::zstd;
  packed.rotate_bytes = 300;
  const Settings kept = settings({"segment.path=" + file("segment"), "state.bytes=64KiB", "undo.bytes=64KiB",
                                  "batch.events=16", "restart.budget=1000000"});
  const auto live = [&](bool last) {
    Pipeline pipeline{"archive"};
    pipeline.source<Numbers>("numbers", 3000U).to<FileSink<Item>>("items", packed, [](const Item& item) {
      return text_of_item(item);
    });
    Engine engine{pipeline, kept};
    engine.start();
    log_line(file("lives"), "one more");
    if (last) return engine.wait();
    while (true)
      engine.wait_for(1s);
  };
  std::mt19937_64 random{std::random_device{}()};
  for (int loss = 0; loss < 8; ++loss) {
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [&] { live(false); }};
    EXPECT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    host.kill(loss % 2 == 0);
    EXPECT_TRUE(host.gone());
    if (!fs::exists(file("segment"))) break;  // It had come to its end.
  }
  if (fs::exists(file("segment"))) {
    total_loss::Host host{{}, [&] { live(true); }};
    ASSERT_TRUE(host.wait_for_end(kDeadline));
    EXPECT_EQ(host.status(), 0);
  }
  std::string text;
  for (std::uint32_t number = 0; number < 3000; ++number)
    text += text_of_item({number % 7, number}) + "\n";
  EXPECT_TRUE(published("items-0") == text);
}

}  // namespace
}  // namespace sluice::test
