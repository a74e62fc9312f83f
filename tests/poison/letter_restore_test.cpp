// SPDX-License-Identifier: Apache-2.0
// Dead letters of a life that is lost, and that the next one does not go on from but from a checkpoint before: each event is a
// letter once, or has its effect once, and never both.

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <random>

#include <sluice/dead_letter.hpp>
#include <sluice/refused.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A file that a handler makes, and then does not come out of its constructor; empty: it does.
std::string held_at;

// Says no to each tenth, as long as it is told to.
struct Sift {
  Sift(Worker& worker, bool strict) : strict{strict}, taken{worker.state<std::uint64_t>("taken")} {
    if (held_at.empty()) return;
    std::ofstream{held_at} << "here";
    while (true)
      ::pause();
  }
  void operator()(const Item& item, Output<Item>& out) {
    if (strict && item.number % 10 == 3) throw Refused{"it ends in a three"};
    ++taken.edit();
    out.push(item);
  }
  bool strict;
  Recoverable<std::uint64_t> taken;
};

struct SiftText {
  void operator()(const Bytes& text, Output<Bytes>& out) const {
    if (text.text().ends_with("3")) throw Refused{"it ends in a three"};
    out.push(text);
  }
};

// Says at its end how often it has had each.
class Tally {
 public:
  explicit Tally(Worker& worker) : times_{worker.table<std::uint32_t, std::uint32_t>("times", 20'000)} {}
  void operator()(const Item& item, Output<Item>&) { ++times_[item.number]; }
  void finish(Output<Item>& out) {
    times_.for_each([&](std::uint32_t number, std::uint32_t times) { out.push({times, number}); });
  }

 private:
  Table<std::uint32_t, std::uint32_t> times_;
};

// Once a file is there, and slowly where it is not to come to its end.
class Numbers {
 public:
  Numbers(Worker& worker, fs::path go, bool slow)
      : worker_{worker}, go_{std::move(go)}, slow_{slow}, made_{worker.state<std::uint32_t>("made")} {}
  SourceState operator()(Output<Item>& out) {
    if (slow_) worker_.wait_for(500us);  // Eight lives end long before the numbers do.
    if (*made_ == 0 && !fs::exists(go_)) return SourceState::nothing_now;
    if (*made_ == 10'000) return SourceState::end;
    out.push({*made_ % 16, *made_});
    ++made_.edit();
    return SourceState::more;
  }

 private:
  Worker& worker_;
  fs::path go_;
  bool slow_;
  Recoverable<std::uint32_t> made_;
};

class LettersOfALostLife : public WithProcesses {
 protected:
  LettersOfALostLife() {
    std::string name = (fs::temp_directory_path() / "sluice-lost-letters-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~LettersOfALostLife() override { clear_away(directory_); }

  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  Settings kept(const std::string& every, const std::vector<std::string>& more = {}) const {
    Settings settings = test_settings();
    settings.set("checkpoint.path", file("checkpoints"));
    settings.set("checkpoint.every", every);
    settings.set("checkpoint.sync", "no");
    settings.set("report.path", file("reports"));
    settings.set("log.level", "off");
    for (const std::string& assignment : more)
      settings.set_assignment(assignment);
    return settings;
  }
  static Pipeline sift(bool strict = true) {
    Pipeline pipeline{"sift"};
    pipeline.inlet<Item>("in").to<Sift>("sift", {}, strict).outlet("out");
    return pipeline;
  }
  std::vector<DeadLetter> letters() const {
    return fs::exists(file("reports")) ? find_dead_letters(file("reports")) : std::vector<DeadLetter>{};
  }
  std::vector<std::uint32_t> numbers() const {
    std::vector<std::uint32_t> numbers;
    for (const DeadLetter& letter : letters()) {
      Item item;
      std::memcpy(&item, letter.payload.data(), sizeof(item));
      numbers.push_back(item.number);
    }
    return numbers;
  }

  // One event that it takes; then a checkpoint.
  void begin() const {
    Engine engine{sift(), kept("24h")};
    engine.start();
    Collector<Item> out{engine, "out"};
    push(engine, {0});
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "sift/0").events_in == 1; }));
    engine.park();
  }
  static void push(Engine& engine, const std::vector<std::uint32_t>& numbers) {
    auto in = engine.inlet<Item>("in");
    for (const std::uint32_t number : numbers)
      ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  }
  // What comes behind that checkpoint and is lost with its life.
  void lose(const std::vector<std::uint32_t>& numbers) const {
    Engine engine{sift(), kept("24h")};
    engine.start();
    Collector<Item> out{engine, "out"};
    push(engine, numbers);
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "sift/0").events_in == 1 + numbers.size(); }));
    engine.stop();
  }
  // Which has come out before the checkpoint, or not.
  static std::vector<Item> without_the_first(std::vector<Item> out) {
    std::erase_if(out, [](const Item& item) { return item.number == 0; });
    return out;
  }
  // The next life, to its end: what comes out.
  std::vector<Item> live(const std::vector<std::uint32_t>& numbers, bool strict = true,
                         const std::string& retry = {}) const {
    Settings settings = kept("24h");
    settings.set("poison.retry", retry);
    Engine engine{sift(strict), settings};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    Collector<Item> out{engine, "out"};
    push(engine, numbers);
    engine.inlet<Item>("in").close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    expected_letters_ = engine.stats().dead_letters();
    return without_the_first(out.all());
  }

  fs::path directory_;
  mutable std::uint64_t expected_letters_ = 0;
};

TEST_F(LettersOfALostLife, StayAndTheirEventsArePassed) {
  begin();
  lose({1, 3, 4, 13});
  ASSERT_THAT(numbers(), ElementsAre(3, 13));
  // 3 and 13 would be taken now. They are letters, and somebody may have acted on that.
  EXPECT_THAT(live({1, 3, 4, 13, 5}, false), ElementsAre(Item{0, 1}, Item{0, 4}, Item{0, 5}));
  EXPECT_THAT(numbers(), ElementsAre(3, 13));
  EXPECT_EQ(expected_letters_, 2U) << "they count in this life, too";
}

// A life that was restored is lost before any worker has looked at what is there; the next one goes on from its segment.
TEST_F(LettersOfALostLife, AreKnownToALifeBehindARestoreThatCameToNothing) {
  begin();
  lose({1, 3, 4, 13});
  const Settings named = kept("24h", {"segment.path=" + file("segment")});
  {
    total_loss::Host host{{}, [&] {
                            held_at = file("held");
                            Engine{sift(), named}.start();
                          }};
    ASSERT_TRUE(eventually([&] { return fs::exists(file("held")); }));
    host.kill();
  }
  Engine engine{sift(), named};
  engine.start();
  EXPECT_THAT(engine.resumed_from(), testing::HasSubstr(file("segment")));
  Collector<Item> out{engine, "out"};
  push(engine, {1, 3, 4, 13, 5});
  engine.inlet<Item>("in").close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(without_the_first(out.all()), ElementsAre(Item{0, 1}, Item{0, 4}, Item{0, 5}));
  EXPECT_THAT(numbers(), ElementsAre(3, 13));
  EXPECT_EQ(engine.stats().dead_letters(), 2U);
}

TEST_F(LettersOfALostLife, AreInTheFileThatTheNextLivesGoOnIn) {
  begin();
  for (int life = 0; life < 3; ++life)
    lose({1, 3, 4, 13});
  EXPECT_THAT(live({1, 3, 4, 13, 23}), ElementsAre(Item{0, 1}, Item{0, 4}));
  EXPECT_THAT(numbers(), ElementsAre(3, 13, 23));
  const std::vector<DeadLetter> all = letters();
  EXPECT_EQ(all.front().file, all.back().file);
}

TEST_F(LettersOfALostLife, AreNotThoseOfOtherEventsAtTheirPlaces) {
  begin();
  lose({1, 3, 4});
  EXPECT_THAT(live({1, 4, 3, 5}), ElementsAre(Item{0, 1}, Item{0, 4}, Item{0, 5}));
  EXPECT_THAT(numbers(), ElementsAre(3, 3)) << "it came at two places";
}

// A replacement finds them as the first process did, and cuts off what that has not committed, and no more.
TEST_F(LettersOfALostLife, AreKnownToEachReplacementOfTheNext) {
  begin();
  lose({1, 3, 4, 13});
  Engine engine{sift(), kept("24h")};
  engine.start();
  Collector<Item> out{engine, "out"};
  std::uint64_t done = 1;
  for (const std::uint32_t number : {1U, 3U, 4U, 13U, 23U}) {
    const std::uint32_t incarnation = worker_of(engine, "sift/0").incarnation;
    ASSERT_TRUE(engine.signal_worker("sift/0", SIGKILL));
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "sift/0").incarnation != incarnation; }));
    push(engine, {number});
    ++done;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "sift/0").events_in == done; }));
  }
  engine.inlet<Item>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(without_the_first(out.all()), ElementsAre(Item{0, 1}, Item{0, 4}));
  EXPECT_THAT(numbers(), ElementsAre(3, 13, 23));
}

TEST_F(LettersOfALostLife, AreRetriedOnceAndNotDoneAgainBesides) {
  begin();
  lose({1, 3, 4});
  EXPECT_THAT(live({1, 3, 4}, false, file("reports")), ElementsAre(Item{0, 3}, Item{0, 1}, Item{0, 4}));
  EXPECT_THAT(numbers(), ElementsAre(3));
}

// Its last write was cut off by the death; and what stands in a second file is somebody else's.
TEST_F(LettersOfALostLife, AreReadAsFarAsTheyAreWhole) {
  begin();
  lose({1, 3, 4});
  const fs::path first = letters().front().file;
  const std::string whole = encode(letters().front());
  std::ofstream{first, std::ios::app | std::ios::binary} << whole.substr(0, whole.size() - 5);
  EXPECT_THAT(live({1, 3, 13}), ElementsAre(Item{0, 1}));
  EXPECT_THAT(numbers(), ElementsAre(3, 13));
  EXPECT_EQ(letters().back().file, first);
}

TEST_F(LettersOfALostLife, AreNotMixedWithWhatSomebodyElseHasWrittenBehindThem) {
  begin();
  lose({1, 3, 4});
  const fs::path first = letters().front().file;
  const std::uintmax_t length = fs::file_size(first);
  std::ofstream{first, std::ios::app} << "not ours";
  EXPECT_THAT(live({1, 3, 13}), ElementsAre(Item{0, 1}));
  EXPECT_EQ(fs::file_size(first), length + 8);
  int files = 0;
  for (const auto& entry : fs::directory_iterator{file("reports")}) {
    if (entry.path().extension() != ".dead" || entry.path() == first) continue;
    ++files;
    EXPECT_THAT(read_dead_letters(entry.path()), SizeIs(1));
  }
  EXPECT_EQ(files, 1);
}

TEST_F(LettersOfALostLife, ThatAreRecordsStayToo) {
  Pipeline pipeline{"texts"};
  pipeline.inlet<Bytes>("in").to<SiftText>("sift").outlet("out");
  const auto push_all = [](Engine& engine, const std::vector<std::string>& texts) {
    auto in = engine.inlet<Bytes>("in");
    for (const std::string& text : texts)
      ASSERT_EQ(in.push(Bytes{text}), PushResult::accepted);
  };
  {
    Engine engine{pipeline, kept("24h")};
    engine.start();
    push_all(engine, {"before 3"});
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "sift/0").events_in == 1; }));
    engine.park();
  }
  {
    Engine engine{pipeline, kept("24h")};
    engine.start();
    push_all(engine, {"one", "no 3", "three", "long enough for two 3"});
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "sift/0").events_in == 5; }));
    engine.stop();
  }
  ASSERT_THAT(letters(), SizeIs(3));
  Engine engine{pipeline, kept("24h")};
  engine.start();
  ASSERT_TRUE(engine.resumed());
  Collector<Bytes> out{engine, "out"};
  // The last two come with other lengths before them: it is refused anew, at its own place.
  push_all(engine, {"one", "no 3", "three and more", "long enough for two 3", "five"});
  engine.inlet<Bytes>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAre("one", "three and more", "five"));
  EXPECT_THAT(letters(), SizeIs(4));
}

// At whatever instant everything is lost, however often.
TEST_F(LettersOfALostLife, AndTheEffectsOfTheOthersAreEachOneOfTheEvents) {
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  const auto live_on = [&](bool last) {
    Pipeline pipeline{"numbers"};
    pipeline.source<Numbers>("numbers", fs::path{file("go")}, !last)
        .by(&Item::key)
        .to<Sift>("sift", {.workers = 2}, true)
        .to<Tally>("tally")
        .outlet("out");
    Engine engine{pipeline, kept("3ms", {"poison.budget=100000", "restart.budget=100000", "batch.events=4",
                                         "lane.slots=16384", "state.bytes=2MiB"})};
    engine.start();
    Collector<Item> out{engine, "out"};
    // Without one the next life would begin anew.
    if (!eventually([&] { return engine.resumed() || engine.stats().checkpoints.written > 0; })) return;
    { std::ofstream{file("go")} << "now"; }
    { std::ofstream{file("lives"), std::ios::app} << "life\n"; }
    if (!last) {
      ::pause();
      return;
    }
    ASSERT_TRUE(engine.wait_for(kDeadline));
    std::ofstream result{file("result")};
    for (const Item& item : out.all())
      result << item.number << " " << item.key << "\n";
  };
  const auto lives = [this] {
    std::error_code none;
    const std::uintmax_t bytes = fs::file_size(file("lives"), none);
    return none ? 0 : bytes;
  };
  for (int life = 0; life < 8; ++life) {
    const std::uintmax_t before = lives();
    const std::size_t had = letters().size();
    total_loss::Host host{{}, [&] { live_on(false); }};
    ASSERT_TRUE(eventually([&] { return lives() != before; }));
    ASSERT_TRUE(eventually([&] { return letters().size() > had; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    host.kill(life % 2 == 0);
    ASSERT_TRUE(host.gone());
  }
  total_loss::Host host{{}, [&] { live_on(true); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  ASSERT_EQ(host.status(), 0);
  std::map<std::uint32_t, std::uint32_t> times;
  std::ifstream result{file("result")};
  for (std::uint32_t number = 0, had = 0; result >> number >> had;)
    times[number] += had;
  for (const std::uint32_t number : numbers())
    times[number] += 1;
  ASSERT_THAT(times, SizeIs(10'000)) << "seed " << seed;
  for (const auto& [number, had] : times)
    ASSERT_EQ(had, 1U) << number << ", seed " << seed;
  EXPECT_THAT(letters(), SizeIs(1000)) << "seed " << seed;
}

}  // namespace
}  // namespace sluice::test
