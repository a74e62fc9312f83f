// SPDX-License-Identifier: Apache-2.0
// What a handler prints and nobody takes: a full disk, a reader that is gone. It is no end that counts as success.
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// How a host ends whose standard output is `path`: the text of its error, then the problems that it was told of, a line each.
class WhatIsPrinted : public WithOutside {
 protected:
  std::vector<std::string> end_of(const Pipeline& pipeline, const Settings& settings, int events,
                                  const std::string& path = "/dev/null") const {
    const std::string end = file("end");
    const pid_t host = ::fork();
    if (host == 0) {
      std::signal(SIGPIPE, SIG_DFL);
      if (std::freopen(path.c_str(), "w", stdout) == nullptr) ::_exit(1);
      log_line(end, "ended: " + error_of([&] {
                      Engine engine{pipeline, settings};
                      engine.start();
                      auto in = engine.inlet<Item>("in");
                      for (int i = 0; i < events; ++i)
                        if (in.push(Item{1, static_cast<std::uint32_t>(i)}) != PushResult::accepted) break;
                      in.close();
                      if (!engine.wait_for(kDeadline)) log_line(end, "goes on");
                      const Stats stats = engine.stats();
                      for (const std::string& problem : stats.problems)
                        log_line(end, problem);
                    }));
      ::_exit(0);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(host, &status, 0), host);
    EXPECT_EQ(status, 0);
    return lines_of(end);
  }
};

template <int kHow>
struct Says {
  void operator()(const Item& item) {
    if (kHow == 0) std::printf("item %u\n", item.number);
    if (kHow == 1) std::cout << "item " << item.number << "\n";
    if (kHow == 2 && full != nullptr) std::fprintf(full, "item %u\n", item.number);
  }
  std::FILE* full = kHow == 2 ? std::fopen("/dev/full", "w") : nullptr;
};

TEST_F(WhatIsPrinted, IsAProblemWhereTheDiskIsFull) {
  const auto lost =
      AllOf(StartsWith("say/0: what was printed could not all be written"), HasSubstr("standard output"));
  // More than a stream keeps, and less.
  for (const int events : {3, 2000}) {
    Pipeline by_stdio{"by-stdio"};
    by_stdio.inlet<Item>("in").to<Says<0>>("say");
    EXPECT_THAT(end_of(by_stdio, settings(), events, "/dev/full"), ElementsAre(lost, "ended: "));
    std::filesystem::remove(file("end"));
    Pipeline by_stream{"by-stream"};
    by_stream.inlet<Item>("in").to<Says<1>>("say");
    EXPECT_THAT(end_of(by_stream, settings(), events, "/dev/full"), ElementsAre(lost, "ended: "));
    std::filesystem::remove(file("end"));
  }
  Pipeline into_file{"into-file"};
  into_file.inlet<Item>("in").to<Says<2>>("say");
  EXPECT_THAT(end_of(into_file, settings(), 3), ElementsAre(lost, "ended: "));
}

TEST_F(WhatIsPrinted, IsAProblemOfAParkToo) {
  Pipeline pipeline{"parked"};
  pipeline.inlet<Item>("in").to<Says<0>>("say");
  const std::string end = file("end");
  const pid_t host = ::fork();
  if (host == 0) {
    if (std::freopen("/dev/full", "w", stdout) == nullptr) ::_exit(1);
    Engine engine{pipeline, settings({"segment.path=" + file("segment")})};
    engine.start();
    for (std::uint32_t i = 0; i < 3; ++i)
      std::ignore = engine.inlet<Item>("in").push(Item{1, i});
    const bool handled = eventually([&] { return worker_of(engine, "say/0").events_in == 3; });
    engine.park();
    log_line(end, handled && engine.end() == End::parked ? "parked" : "not parked");
    for (const std::string& problem : engine.stats().problems)
      log_line(end, problem);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(lines_of(end),
              ElementsAre("parked", StartsWith("say/0: what was printed could not all be written")));
}

TEST_F(WhatIsPrinted, IsNoProblemOfHandlersThatPrintNothing) {
  Pipeline pipeline{"silent"};
  pipeline.inlet<Item>("in").to("say", [](const Item&) {});
  EXPECT_THAT(end_of(pipeline, settings(), 3, "/dev/full"), ElementsAre("ended: "));
  std::filesystem::remove(file("end"));
  // Nor is what the host could not write.
  const std::string end = file("end");
  const pid_t host = ::fork();
  if (host == 0) {
    if (std::freopen("/dev/full", "w", stdout) == nullptr) ::_exit(1);
    std::printf("of the host\n");
    std::cout << std::flush;
    Engine engine{pipeline, settings()};
    engine.start();
    engine.inlet<Item>("in").close();
    engine.wait_for(kDeadline);
    log_line(end, "problems " + std::to_string(engine.stats().problem_count));
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(lines_of(end), ElementsAre("problems 0"));
}

// Dies in one event of ten, and in another one each time, as one does that fills a buffer and writes it out.
template <int kSignal>
struct Fills {
  void operator()(const Item&) {
    if (++kept == 10) std::raise(kSignal);
  }
  int kept = 0;
};

TEST_F(WhatIsPrinted, EndsThePipelineWhereWhatItIsWrittenToTakesNoMore) {
  const Settings with = settings({"restart.budget=3", "restart.window=1h", "log.level=off"});
  const auto ends = AllOf(StartsWith("ended: "), HasSubstr("fill/0 died 4 times within restart.window"),
                          HasSubstr("what it writes to takes no more"));
  Pipeline reader_gone{"reader-gone"};
  reader_gone.inlet<Item>("in").to<Fills<SIGPIPE>>("fill");
  EXPECT_THAT(end_of(reader_gone, with, 1000), ElementsAre(AllOf(ends, HasSubstr("signal 13"))));
  std::filesystem::remove(file("end"));
  Pipeline file_full{"file-full"};
  file_full.inlet<Item>("in").to<Fills<SIGXFSZ>>("fill");
  EXPECT_THAT(end_of(file_full, with, 1000), ElementsAre(AllOf(ends, HasSubstr("signal 25"))));
}

// What is the event's own doing has an end of its own: it becomes a letter, or the next attempt comes through.
TEST_F(WhatIsPrinted, EndsNoPipelineWhereTheEventsAreToBlame) {
  Pipeline pipeline{"crashes"};
  pipeline.inlet<Item>("in").to<Fills<SIGSEGV>>("fill");
  EXPECT_THAT(end_of(pipeline, settings({"restart.budget=3", "restart.window=1h", "log.level=off"}), 100),
              ElementsAre("ended: "));
}

}  // namespace
}  // namespace sluice::test
