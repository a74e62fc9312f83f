// SPDX-License-Identifier: Apache-2.0
// A start that finds a file of its memory and checkpoints of the same run: which of the two is newer, and what a user hears when
// nobody can tell for him. And checkpoints that cannot be written while something waits for one.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>

#include "checkpoint/checkpoint_store.hpp"
#include "errors.hpp"
#include "support/clear_away.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Puts `to` wherever `from` stands in a file; whether it did anywhere.
bool replace_words(const std::string& path, std::uint64_t from, std::uint64_t to) {
  std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  bool found = false;
  for (std::size_t at = 0; at + sizeof(from) <= bytes.size(); at += sizeof(from)) {
    if (std::memcmp(bytes.data() + at, &from, sizeof(from)) != 0) continue;
    file.seekp(static_cast<std::streamoff>(at)).write(reinterpret_cast<const char*>(&to), sizeof(to));
    found = true;
  }
  return found && file.flush();
}

class NewerCheckpoint : public WithCheckpoints {
 protected:
  std::string segment() const { return (scratch_ / "memory").string(); }
  Settings with_segment(const std::vector<std::string>& more = {}) const {
    Settings both = settings(more);
    both.set("segment.path", segment());
    return both;
  }
  // Counts on until there are new checkpoints, and is killed.
  void count_on(const Settings& settings) const {
    Engine engine{counting(), settings};
    engine.start();
    push_and_pull(engine, 100);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
};

TEST_F(NewerCheckpoint, OfAStartWithoutTheSegmentIsNotPassedOver) {
  count_on(with_segment());
  count_on(with_segment());  // Its own are none that are newer.
  count_on(settings());
  EXPECT_THAT(error_of([&] { count_on(with_segment()); }),
              AllOf(HasSubstr(segment()), HasSubstr(directory().string()), HasSubstr("remove the file"),
                    HasSubstr("away")));
  const fs::path away = scratch_ / "away";
  fs::rename(directory(), away);
  count_on(with_segment());
  clear_away(directory());
  fs::rename(away, directory());
  // The segment is older now by the clock of its checkpoints: it has made newer ones.
  count_on(with_segment());
}

TEST_F(NewerCheckpoint, IsGoneOnWithOnceTheSegmentIsRemoved) {
  count_on(with_segment());
  count_on(settings());
  fs::remove(segment());
  count_on(with_segment());
  count_on(with_segment());
  EXPECT_TRUE(fs::exists(segment()));
}

// The clock was ahead in the life that has left the segment, and is right again. What the segment says of that clock is put there.
TEST_F(NewerCheckpoint, IsFoundOutAlsoWhereTheClockWasSetBack) {
  {
    Engine engine{counting(), with_segment()};
    engine.start();
    push_and_pull(engine, 100);
    engine.park();
  }
  constexpr std::uint64_t kAheadNs = 3'600'000'000'000;
  const auto parked = detail::newest_checkpoint(directory().string()).found;
  ASSERT_TRUE(parked);
  ASSERT_TRUE(replace_words(segment(), parked->time_ns, parked->time_ns + kAheadNs));
  count_on(with_segment());
  count_on(settings());
  EXPECT_THAT(error_of([&] { count_on(with_segment()); }),
              AllOf(HasSubstr(segment()), HasSubstr("remove the file")));
}

// Whatever is killed between a checkpoint and what the segment knows of it.
TEST_F(NewerCheckpoint, IsNoneOfItsOwnWhateverIsKilledMeanwhile) {
  for (int round = 0; round < 20; ++round) {
    const pid_t host = ::fork();
    if (host == 0) {
      const std::string refused = error_of([&] {
        Engine engine{counting(), with_segment({"checkpoint.every=1ms", "observe.socket=off"})};
        engine.start();
        push_and_pull(engine, 1 + static_cast<std::uint32_t>(round % 7));
        a_new_one();
        if (const pid_t writer = checkpointer_of(engine); writer > 0) ::kill(writer, SIGKILL);
        ::raise(SIGKILL);
      });
      std::fputs(refused.c_str(), stderr);
      ::_exit(1);
    }
    int status = 0;
    EXPECT_TRUE(eventually([&] { return ::waitpid(host, &status, WNOHANG) == host; }));
    EXPECT_TRUE(WIFSIGNALED(status)) << round << ": it was refused";
  }
  count_on(with_segment());
}

TEST_F(NewerCheckpoint, ThatCannotBeWrittenIsToldWhereSomethingWaitsForOne) {
  Settings careful = settings({"outside.after=checkpoint"});
  Engine engine{counting(), careful};
  engine.start();
  push_and_pull(engine, 10);
  EXPECT_EQ(engine.stats().checkpoints.failure, "");
  ASSERT_TRUE(put_in_the_way(directory()));
  Inlet<Item> in = engine.inlet<Item>("in");
  EXPECT_TRUE(eventually([&] {
    std::ignore = in.try_push({0, 10});
    return !engine.stats().checkpoints.failure.empty();
  }));
  EXPECT_THAT(engine.stats().checkpoints.failure, HasSubstr(directory().string()));
  EXPECT_THAT(to_text(engine.stats().checkpoints), HasSubstr("none for "));
  fs::remove(directory());
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failure.empty(); }));
  EXPECT_EQ(engine.stats().checkpoints.failing_for.count(), 0);
}

// Does nothing outside, but would.
struct Outside {
  void operator()(const Item&) const {}
};

TEST_F(NewerCheckpoint, ThatCannotBeWrittenIsTheVerdictOfAStageThatWaitsForOne) {
  Pipeline pipeline{"outside"};
  pipeline.inlet<Item>("in").to<Outside>("outside");
  Engine engine{pipeline, settings({"outside.after=checkpoint"})};
  engine.start();
  EXPECT_TRUE(a_new_one());
  ASSERT_TRUE(put_in_the_way(directory()));
  EXPECT_TRUE(eventually([&] { return !engine.stats().checkpoints.failure.empty(); }));
  ASSERT_EQ(engine.inlet<Item>("in").push({0, 1}), PushResult::accepted);
  WorkerStats worker;
  EXPECT_TRUE(eventually([&] {
    worker = worker_of(engine, "outside/0");
    return worker.verdict == "waiting for a checkpoint";
  }));
  EXPECT_THAT(worker.outside, HasSubstr(directory().string()));
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
