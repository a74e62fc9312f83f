// SPDX-License-Identifier: Apache-2.0
// FileSink in a later start that has other options: what was begun keeps its name and is completed as it is.
#include <iostream>
#include <random>

#include "file_sink_world.hpp"
#include "kill_count.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;

class FileSinkOptions : public FileSinks {
 protected:
  RollingFileOptions plain(std::uint64_t rotate_bytes = 0) const {
    RollingFileOptions rolling = options();
    rolling.rotate_bytes = rotate_bytes;
    return rolling;
  }
  RollingFileOptions packed_text(std::uint64_t rotate_bytes = 0) const {
    RollingFileOptions rolling = plain(rotate_bytes);
    rolling.suffix = "text";
    rolling.compression = FileCompression::zstd;
    return rolling;
  }
  Settings kept() const {
    return settings({"segment.path=" + file("segment"), "state.bytes=64KiB", "undo.bytes=64KiB"});
  }
  // Items from `from` up to `to`, each in a batch of its own, and a park.
  void live(const RollingFileOptions& rolling, std::size_t from, std::size_t to) const {
    Engine engine{archive(rolling), kept()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (std::size_t next = from; next < to; ++next) {
      ASSERT_EQ(in.push(all_[next]), PushResult::accepted);
      ASSERT_TRUE(eventually([&] { return worker_of(engine, "items/0").events_in == next + 1; }));
    }
    engine.park();
    ASSERT_TRUE(engine.wait_for(kDeadline));
  }
  void end(const RollingFileOptions& rolling) const {
    Engine engine{archive(rolling), kept()};
    engine.start();
    engine.inlet<Item>("in").close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
  }
  std::string items_from(std::size_t from, std::size_t to) const {
    return lines_of_key(
        {all_.begin() + static_cast<std::ptrdiff_t>(from), all_.begin() + static_cast<std::ptrdiff_t>(to)},
        {0});
  }

  const std::vector<Item> all_ = items(20, 1);
};

// As a host leaves it that dies right behind the commit.
TEST_F(FileSinkOptions, OfALaterStartPublishWhatWasCompleteUnderTheNameThatItHad) {
  live(plain(1), 0, 2);
  ASSERT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.log", "items-0.manifest"));
  fs::rename(file("out/items-0-000002.log"), file("out/items-0-000002.log.part"));
  live(packed_text(1), 2, 3);
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.log", "items-0-000003.text.zst",
                                   "items-0.manifest"));
  end(packed_text(1));
  EXPECT_EQ(published("items-0"), items_from(0, 3));
}

TEST_F(FileSinkOptions, OfALaterStartCompleteWhatWasBegunAsItIs) {
  live(plain(), 0, 3);
  live(packed_text(), 3, 5);
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.text.zst.part", "items-0.manifest"));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log")), items_from(0, 3));
  live(plain(1), 5, 6);
  end(packed_text(1));
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.text.zst", "items-0-000003.log",
                                   "items-0.manifest"));
  EXPECT_EQ(published("items-0"), items_from(0, 6));
  EXPECT_EQ(lines_of(file("out/items-0.manifest")).size(), 3U);
}

TEST_F(FileSinkOptions, OfALaterStartPublishWhatWasBegunThoughNothingFollows) {
  live(plain(), 0, 3);
  end(packed_text());
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0.manifest"));
  EXPECT_EQ(published("items-0"), items_from(0, 3));
}

TEST_F(FileSinkOptions, OfALaterStartRemoveWhatWasWrittenAndNotCommitted) {
  live(plain(1), 0, 1);
  { std::ofstream{file("out/items-0-000002.log.part")} << "not committed"; }
  live(packed_text(), 1, 2);
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.text.zst.part", "items-0.manifest"));
  end(packed_text());
  EXPECT_EQ(published("items-0"), items_from(0, 2));
}

TEST_F(FileSinkOptions, OfEachStartMayBeOthersThroughLossesOfEverything) {
  constexpr unsigned kNumbers = 30'000;
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  const auto live = [&](const RollingFileOptions& rolling, bool last) {
    Pipeline pipeline{"archive"};
    pipeline.source<Numbers>("numbers", kNumbers).to<FileSink<Item>>("items", rolling, text_of_item);
    Settings all = kept();
    all.set("batch.events", "16");
    Engine engine{pipeline, all};
    engine.start();
    log_line(file("lives"), "one more");
    if (last) return engine.wait();
    while (true)
      engine.wait_for(1s);
  };
  const unsigned losses = kills_asked(12);
  for (unsigned loss = 0; loss <= losses; ++loss) {
    RollingFileOptions rolling = random() % 2 == 0 ? plain() : packed_text();
    rolling.rotate_bytes = random() % 3 == 0 ? 0 : 300;
    const bool last = loss == losses;
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [&] { live(rolling, last); }};
    ASSERT_TRUE(last ? host.wait_for_end(kDeadline)
                     : eventually([&] { return lines_of(file("lives")).size() != lives; }));
    if (last) break;
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    host.kill(loss % 2 == 0);
    EXPECT_TRUE(host.gone());
    if (!fs::exists(file("segment"))) break;  // It had come to its end.
  }
  std::string text;
  for (std::uint32_t number = 0; number < kNumbers; ++number)
    text += text_of_item({number % 7, number}) + "\n";
  EXPECT_TRUE(published_whole());
  EXPECT_TRUE(published("items-0") == text);
  std::cout << lines_of(file("lives")).size() << " lives, " << names().size() - 1 << " files\n";
}

}  // namespace
}  // namespace sluice::test
