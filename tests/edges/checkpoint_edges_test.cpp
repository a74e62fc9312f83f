// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a pipeline at work: what becomes of them when something is in their way, and what a start makes of what it
// finds.

#include <random>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "checkpoint/written_files.hpp"
#include "errors.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Checkpoint : public WithCheckpoints {};

TEST_F(Checkpoint, GoesOnWhereItWasTaken) {
  {
    Engine engine{counting(), settings()};
    engine.start();
    EXPECT_FALSE(engine.resumed());
    EXPECT_EQ(engine.kept_in(), directory().string());
    push_and_pull(engine, 1000);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  struct stat made {};
  ASSERT_EQ(::stat(directory().c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777U, 0700U);
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_THAT(engine.resumed_from(), AllOf(HasSubstr("checkpoint "), HasSubstr(directory().string())));
  EXPECT_EQ(engine.inlet<Item>("in").position(), 1000U);
  push_and_pull(engine, 1000);
  engine.inlet<Item>("in").close();
  engine.wait();
  EXPECT_TRUE(files().empty()) << "it has come to its end";
}

TEST_F(Checkpoint, IsWrittenByTheNextProcessWhenItsOwnIsKilled) {
  Engine engine{counting(), settings()};
  engine.start();
  for (int kill = 0; kill < 3; ++kill) {
    push_and_pull(engine, 100);
    pid_t process = 0;
    ASSERT_TRUE(eventually([&] { return (process = checkpointer_of(engine)) != 0; }));
    EXPECT_TRUE(a_new_one());
    ::kill(process, SIGKILL);
    EXPECT_TRUE(eventually([&] {
      const pid_t now = checkpointer_of(engine);
      return now != 0 && now != process;
    }));
    EXPECT_TRUE(a_new_one());
  }
  lose(engine);
  Engine again{counting(), settings()};
  again.start();
  push_and_pull(again, 100);
}

TEST_F(Checkpoint, HoldsNobodyUpWhenItsProcessIsStopped) {
  Engine engine{counting(), settings()};
  engine.start();
  pid_t process = 0;
  ASSERT_TRUE(eventually([&] { return (process = checkpointer_of(engine)) != 0; }));
  EXPECT_TRUE(a_new_one());
  // Perhaps in the midst of a standstill: it is given up then.
  ::kill(process, SIGSTOP);
  push_and_pull(engine, 1000);
  ::kill(process, SIGCONT);
  EXPECT_TRUE(a_new_one());
  push_and_pull(engine, 1000);
  lose(engine);
  Engine again{counting(), settings()};
  again.start();
  push_and_pull(again, 100);
}

// Nobody hears of it meanwhile, and what waits for a checkpoint stands still.
TEST_F(Checkpoint, IsMadeByTheNextProcessWhenItsOwnStaysStopped) {
  Engine engine{counting(), settings({"outside.after=checkpoint"})};
  engine.start();
  pid_t process = 0;
  ASSERT_TRUE(eventually([&] { return (process = checkpointer_of(engine)) != 0; }));
  push_and_pull(engine, 100);
  ::kill(process, SIGSTOP);
  push_and_pull(engine, 100);
  EXPECT_TRUE(eventually([&] {
    const pid_t now = checkpointer_of(engine);
    return now != 0 && now != process;
  }));
  EXPECT_TRUE(a_new_one());
  EXPECT_GT(engine.stats().checkpoints.failures, 0U);
}

TEST_F(Checkpoint, OutlivesMastersThatAreKilledAnywhere) {
  Engine engine{counting(), settings({"checkpoint.every=1ms"})};
  engine.start();
  std::mt19937_64 random{std::random_device{}()};
  for (int kill = 0; kill < 10; ++kill) {
    push_and_pull(engine, 200);
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    const pid_t master = master_of(engine);
    ::kill(master, SIGKILL);
    // For a moment there is none.
    ASSERT_TRUE(eventually([&] {
      const pid_t now = engine.stats().master;
      return now != 0 && now != master;
    }));
  }
  push_and_pull(engine, 200);
  EXPECT_TRUE(a_new_one());
  lose(engine);
  Engine again{counting(), settings()};
  again.start();
  push_and_pull(again, 100);
}

TEST_F(Checkpoint, IsPutOffForAnEventThatTakesLongAndTakenBehindIt) {
  const std::uint32_t slow = 10;
  CountSeen::hold = &slow;
  Engine engine{counting(), settings()};
  engine.start();
  push_and_pull(engine, 20);
  CountSeen::hold = nullptr;
  EXPECT_TRUE(a_new_one());
  lose(engine);
  Engine again{counting(), settings()};
  again.start();
  EXPECT_EQ(again.inlet<Item>("in").position(), 20U);
  push_and_pull(again, 20);
}

// A directory that takes nothing costs the flow nothing, and is told of.
TEST_F(Checkpoint, ThatCannotBeWrittenIsCountedAndTheFlowGoesOn) {
  Engine engine{counting(), settings()};
  engine.start();
  push_and_pull(engine, 100);
  EXPECT_TRUE(a_new_one());
  ASSERT_TRUE(put_in_the_way(directory()));
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failures > 0; }));
  push_and_pull(engine, 100);
  fs::remove(directory());
  EXPECT_TRUE(eventually([&] { return !files().empty(); })) << "it is tried again";
  push_and_pull(engine, 100);
  EXPECT_GT(engine.stats().checkpoints.written, 0U);
}

TEST_F(Checkpoint, KeepsAParkedPipelineWithoutAFileOfItsMemory) {
  for (std::uint32_t life = 0; life < 3; ++life) {
    // None comes by itself.
    Engine engine{counting(), settings({"checkpoint.every=1h"})};
    engine.start();
    EXPECT_EQ(engine.resumed(), life != 0);
    EXPECT_EQ(engine.inlet<Item>("in").position(), life * 500U);
    push_and_pull(engine, 500);
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
    EXPECT_FALSE(files().empty());
  }
}

// However long that takes beyond the patience of a checkpoint.
TEST_F(Checkpoint, OfAParkWaitsForTheEventInTheHandler) {
  const std::uint32_t slow = 5;
  CountSeen::hold = &slow;
  {
    Engine engine{counting(), settings({"checkpoint.every=1ms", "batch.events=1"})};
    engine.start();
    Inlet<Item> in = engine.inlet<Item>("in");
    for (std::uint32_t next = 0; next < 20; ++next)
      ASSERT_EQ(in.push({0, next}), PushResult::accepted);
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").events_in >= slow; }));
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
  }
  CountSeen::hold = nullptr;
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").position(), 20U);
  push_and_pull(engine, 20);
}

TEST_F(Checkpoint, ThatIsDamagedIsPassedOverForTheOneBeforeIt) {
  {
    Engine engine{counting(), settings({"checkpoint.keep=20"})};
    engine.start();
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  fs::resize_file(files().back(), fs::file_size(files().back()) - 1);
  {
    Engine engine{counting(), settings({"checkpoint.every=1h"})};
    engine.start();
    EXPECT_THAT(engine.resumed_from(), HasSubstr("newer ones are not whole"));
    push_and_pull(engine, 100);
    lose(engine);
  }
  for (const fs::path& file : files())
    fs::resize_file(file, fs::file_size(file) / 2);
  Engine engine{counting(), settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("none of them is whole"), HasSubstr("remove the directory")));
  EXPECT_FALSE(files().empty());
}

// It would go on beside the one that lives, and do the same again.
TEST_F(Checkpoint, IsNotGoneOnWithWhileItsPipelineLives) {
  Engine first{counting(), settings()};
  first.start();
  push_and_pull(first, 100);
  EXPECT_TRUE(a_new_one());
  {
    Engine second{counting(), settings()};
    EXPECT_THAT(error_of([&] { second.start(); }),
                AllOf(HasSubstr("another process writes there (pid " + std::to_string(::getpid()) + ")"),
                      HasSubstr("end that pipeline")));
  }
  push_and_pull(first, 100);
  const pid_t master = first.stats().master;
  ::kill(master, SIGKILL);
  EXPECT_TRUE(eventually([&] { return first.stats().master != master && first.stats().master != 0; }));
  Engine third{counting(), settings()};
  EXPECT_THAT(error_of([&] { third.start(); }), HasSubstr("another process writes there"));
  first.park();
  third.start();
  EXPECT_TRUE(third.resumed());
  EXPECT_EQ(third.inlet<Item>("in").position(), 200U);
  third.stop();
}

TEST_F(Checkpoint, OfADrainThatNobodyHasTakenIsGoneOnWith) {
  for (const char* const end : {"drain", "finish"}) {
    SCOPED_TRACE(end);
    {
      Engine engine{counting(), settings({"checkpoint.every=1h"})};
      engine.start();
      Inlet<Item> in = engine.inlet<Item>("in");
      for (std::uint32_t number = 0; number < 50; ++number)
        ASSERT_EQ(in.push({0, number}), PushResult::accepted);
      if (std::string_view{end} == "drain") {
        engine.drain();
      } else {
        in.close();
        engine.wait();
      }
    }
    Engine engine{counting(), settings()};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    EXPECT_NE(engine.inlet<Item>("in").try_push({0, 50}), PushResult::accepted) << "it has come to its end";
    Outlet<Seen> out = engine.outlet<Seen>("out");
    std::uint32_t taken = 0;
    EXPECT_TRUE(eventually([&] {
      out.poll([&](const Seen&) { ++taken; });
      return out.ended();
    }));
    EXPECT_EQ(taken, 50U);
    engine.wait();
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(Checkpoint, OfAnotherPipelineOrShapeIsRefusedAndKept) {
  {
    Engine engine{counting(), settings()};
    engine.start();
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  const auto before = files();
  // A start that failed holds nothing of the directory, though its object lives.
  Engine another{counting("another"), settings()};
  EXPECT_THAT(error_of([&] { another.start(); }), HasSubstr("counting"));
  Engine wider{counting("counting", 2), settings()};
  EXPECT_THAT(error_of([&] { wider.start(); }),
              HasSubstr("stage count: 1 worker in the file, 2 workers now"));
  EXPECT_EQ(files(), before);
  Engine engine{counting(), settings()};
  engine.start();
  push_and_pull(engine, 100);
}

// The memory of another boot of the machine is nothing to go on with.
TEST_F(Checkpoint, TakesThePlaceOfASegmentOfAnotherBoot) {
  const fs::path segment = scratch_ / "segment";
  const std::string named = "segment.path=" + segment.string();
  {
    Engine engine{counting(), settings({named})};
    engine.start();
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  std::string id;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> id;
  std::fstream file{segment, std::ios::in | std::ios::out | std::ios::binary};
  std::string head(4096, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  const std::size_t at = head.find(id);
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at));
  file << (id.front() == '0' ? '1' : '0');
  file.close();
  Engine engine{counting(), settings({named})};
  engine.start();
  EXPECT_THAT(engine.resumed_from(), HasSubstr("checkpoint "));
  EXPECT_EQ(engine.inlet<Item>("in").position(), 500U);
  push_and_pull(engine, 100);
}

TEST_F(Checkpoint, IsAskedForByWhatWaitsForOneAndRefusedWhereNoneIsMade) {
  Settings none = test_settings();
  none.set("outside.after", "checkpoint");
  EXPECT_THAT(error_of([&] {
                Engine{counting(), none};
              }),
              AllOf(HasSubstr("out"), HasSubstr("checkpoint.path")));
  // Of all stages it holds for those that lead nowhere.
  Engine engine{counting(), settings({"outside.after=checkpoint"})};
  engine.start();
  push_and_pull(engine, 1000);
}

// Its workers have come to their end before a checkpoint has what they handed over.
TEST_F(Checkpoint, HandsOutTheLastEventsOfWhatHasFinished) {
  Engine engine{counting(), settings({"outside.after=checkpoint", "checkpoint.every=300ms"})};
  engine.start();
  Inlet<Item> in = engine.inlet<Item>("in");
  Outlet<Seen> out = engine.outlet<Seen>("out");
  for (std::uint32_t next = 0; next < 100; ++next)
    ASSERT_EQ(in.push({0, next}), PushResult::accepted);
  in.close();
  EXPECT_TRUE(eventually([&] {
    out.poll([](const Seen&) {});
    return out.position() == 100U;
  }));
  engine.wait();
}

// Nobody waits an hour for the end of what was drained, or has finished.
TEST_F(Checkpoint, IsTakenAtOnceForWhatComesToItsEnd) {
  for (const bool drained : {false, true}) {
    Engine engine{counting(), settings({"outside.after=checkpoint", "checkpoint.every=1h"})};
    engine.start();
    Inlet<Item> in = engine.inlet<Item>("in");
    Outlet<Seen> out = engine.outlet<Seen>("out");
    const std::uint64_t first = out.position();
    for (std::uint32_t next = 0; next < 100; ++next)
      ASSERT_EQ(in.push({0, next}), PushResult::accepted);
    if (drained) {
      engine.begin_drain();
    } else {
      in.close();
    }
    EXPECT_TRUE(eventually([&] {
      out.poll([](const Seen&) {});
      return out.position() == first + 100U;
    }));
    engine.wait();
  }
}

// What its workers have written into files is on the disk before a checkpoint is that knows of it.
TEST(WrittenFiles, AreFoundByWhatTheWorkersHaveOpen) {
  std::string name = (fs::temp_directory_path() / "sluice-written-XXXXXX").string();
  const Descriptor made{::mkstemp(name.data())};
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true)
      ::pause();
  }
  WrittenFiles files;
  files.bring_to_disk({child});
  EXPECT_GE(files.file_systems(), 1U);
  const std::size_t seen = files.file_systems();
  files.bring_to_disk({child, 0});  // One without a process: everything, then.
  EXPECT_EQ(files.file_systems(), seen);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  fs::remove(name);
}

}  // namespace
}  // namespace sluice::test
