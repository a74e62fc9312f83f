// SPDX-License-Identifier: Apache-2.0
// FileSink and drains: a run that was interrupted publishes nothing more, and one that has come to its end does, whatever is
// killed meanwhile.
#include <random>

#include <sluice/connect/generator_source.hpp>

#include "file_sink_world.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kFar = 1'000'000'000;  // No test comes to this end.

// Lets events pass once the file `go` is there.
class Gate {
 public:
  Gate(Worker& worker, std::string go) : worker_{worker}, go_{std::move(go)} {}
  void operator()(const Item& item, Output<Item>& out) {
    const auto call = worker_.outside(30s);
    while (!fs::exists(go_))
      std::this_thread::sleep_for(1ms);
    out.push(item);
  }

 private:
  Worker& worker_;
  std::string go_;
};

class FileSinksThatDrain : public FileSinks {
 protected:
  using Sink = FileSink<Item>;

  Stream<Item> numbers(Pipeline& pipeline, const std::string& name, std::uint32_t count) const {
    return pipeline.source<Numbers>(name, count);
  }
  static Stream<Item> generated(Pipeline& pipeline, const GeneratorOptions& options) {
    return pipeline.source<GeneratorSource>("make", options)
        .to("item", [](const Generated& made, Output<Item>& out) {
          out.push({0, static_cast<std::uint32_t>(made.number)});
        });
  }
  static Stream<Item> endless(Pipeline& pipeline) { return generated(pipeline, {.rate = 20'000}); }
  Pipeline far_from_its_end(const RollingFileOptions& options) const {
    Pipeline pipeline{"job"};
    numbers(pipeline, "numbers", kFar).to<Sink>("items", options, text_of_item);
    return pipeline;
  }
  static bool has_written(const Engine& engine, const std::string& worker, std::uint64_t events = 100) {
    return eventually([&] { return worker_of(engine, worker).events_in >= events; });
  }
  // The lines of the one file that is there, and whether they are the first numbers.
  void expect_first_numbers(const std::string& name, std::size_t at_least) const {
    const std::vector<std::string> lines = lines_of(file("out/" + name));
    EXPECT_GE(lines.size(), at_least);
    for (std::uint32_t number = 0; number < lines.size(); ++number)
      ASSERT_EQ(lines[number], text_of_item({number % 7, number}));
  }
};

TEST_F(FileSinksThatDrain, PublishNothingOfASourceThatHadMore) {
  Engine engine{far_from_its_end(options()), settings()};
  engine.start();
  ASSERT_TRUE(has_written(engine, "items/0"));
  engine.drain();
  EXPECT_EQ(engine.end(), End::drained);
  EXPECT_TRUE(engine.interrupted());
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log.part", "items-0.manifest"));
  EXPECT_THAT(lines_of(file("out/items-0.manifest")), IsEmpty());
  expect_first_numbers("items-0-000001.log.part", worker_of(engine, "items/0").events_in);
  EXPECT_THAT(engine.stats().problems, ElementsAre(HasSubstr("items-0-000001.log.part is not published")));
}

TEST_F(FileSinksThatDrain, LeaveACompleteEarlierAnswerTheOnlyOne) {
  run_inline(archive(options()), items(10, 1));
  Engine engine{far_from_its_end(options()), settings()};
  engine.start();
  ASSERT_TRUE(has_written(engine, "items/0"));
  engine.drain();
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0-000002.log.part", "items-0.manifest"));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log")), lines_of_key(items(10, 1), {0}));
}

TEST_F(FileSinksThatDrain, PublishFilesThatAreLargeEnoughAndNotTheLast) {
  RollingFileOptions rolling = options();
  rolling.rotate_bytes = 2000;
  Engine engine{far_from_its_end(rolling), settings({"batch.events=16"})};
  engine.start();
  ASSERT_TRUE(has_written(engine, "items/0", 5000));
  engine.drain();
  std::size_t published = 0;
  std::size_t parts = 0;
  for (const std::string& name : names()) {
    if (name.ends_with(".log")) ++published;
    if (name.ends_with(".part")) ++parts;
    if (name.ends_with(".log")) {
      EXPECT_GE(bytes_of(file("out/" + name)).size(), rolling.rotate_bytes) << name;
    }
  }
  EXPECT_EQ(published, lines_of(file("out/items-0.manifest")).size());
  EXPECT_GT(published, 2U);
  EXPECT_LE(parts, 1U);
}

TEST_F(FileSinksThatDrain, PublishWhatASourceHasBroughtToItsEnd) {
  Pipeline pipeline{"job"};
  numbers(pipeline, "numbers", 50U).to<Gate>("gate", file("go")).to<Sink>("items", options(), text_of_item);
  Engine engine{pipeline, settings()};
  engine.start();
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "numbers/0").finished; }));
  engine.begin_drain();
  log_line(file("go"), "go");
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.end(), End::drained);
  EXPECT_FALSE(engine.interrupted());
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0.manifest"));
  EXPECT_THAT(lines_of(file("out/items-0-000001.log")), testing::SizeIs(50));
  EXPECT_THAT(engine.stats().problems, IsEmpty());
}

TEST_F(FileSinksThatDrain, PublishWhatAnEndlessSourceHadByThen) {
  Pipeline pipeline{"service"};
  endless(pipeline).to<Sink>("items", options(), text_of_item);
  Engine engine{pipeline, settings()};
  engine.start();
  ASSERT_TRUE(has_written(engine, "items/0"));
  engine.drain();
  EXPECT_FALSE(engine.interrupted());
  EXPECT_THAT(names(), ElementsAre("items-0-000001.log", "items-0.manifest"));
  EXPECT_EQ(lines_of(file("out/items-0-000001.log")).size(), worker_of(engine, "items/0").events_in);
}

// By what leads to each of them.
TEST_F(FileSinksThatDrain, KnowWhichOfSeveralSourcesWasInterrupted) {
  Pipeline pipeline{"several"};
  auto forever = endless(pipeline);
  auto far = numbers(pipeline, "far", kFar);
  auto near = numbers(pipeline, "near", 50U);
  forever.merge(near).to<Sink>("whole", options(), text_of_item);
  forever.merge(far).to<Echo>("echo", {.workers = 2}).to<Sink>("cut", options(), text_of_item);
  Engine engine{pipeline, settings()};
  engine.start();
  ASSERT_TRUE(has_written(engine, "whole/0"));
  ASSERT_TRUE(has_written(engine, "cut/0"));
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "near/0").finished; }));
  engine.drain();
  EXPECT_TRUE(engine.interrupted());
  EXPECT_THAT(names(), ElementsAre("cut-0-000001.log.part", "cut-0.manifest", "whole-0-000001.log",
                                   "whole-0.manifest"));
}

TEST_F(FileSinksThatDrain, PublishNothingWhoeverIsKilledMeanwhile) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    clear_away(file("out"));
    fs::create_directory(file("out"));
    Pipeline pipeline{"job"};
    numbers(pipeline, "numbers", kFar).to<Echo>("echo").to<Sink>("items", options(), text_of_item);
    Engine engine{pipeline, settings({"restart.budget=1000000", "batch.events=8"})};
    engine.start();
    ASSERT_TRUE(has_written(engine, "items/0"));
    engine.begin_drain();
    for (const char* worker : {"numbers/0", "echo/0", "items/0"}) {
      std::this_thread::sleep_for(std::chrono::microseconds{random() % 500});
      engine.signal_worker(worker, SIGKILL);
    }
    ASSERT_TRUE(engine.wait_for(kDeadline));
    EXPECT_TRUE(engine.interrupted());
    EXPECT_THAT(names(), ElementsAre("items-0-000001.log.part", "items-0.manifest"));
    expect_first_numbers("items-0-000001.log.part", worker_of(engine, "items/0").events_in);
  }
}

// A drain goes on in the next life, and so does what it has interrupted.
TEST_F(FileSinksThatDrain, RememberThatTheyWereInterruptedWhenEverythingIsKilled) {
  const Settings kept =
      settings({"segment.path=" + file("segment"), "state.bytes=64KiB", "undo.bytes=64KiB"});
  Pipeline pipeline{"job"};
  generated(pipeline, {.count = kFar, .rate = 2000})
      .to<Gate>("gate", file("go"))
      .to<Sink>("items", options(), text_of_item);
  {
    total_loss::Host host{{}, [&] {
                            Engine engine{pipeline, kept};
                            engine.start();
                            EXPECT_TRUE(has_written(engine, "item/0"));
                            engine.begin_drain();
                            if (eventually([&] { return worker_of(engine, "item/0").finished; }))
                              log_line(file("ended"), "yes");
                            engine.wait();
                          }};
    ASSERT_TRUE(eventually([&] { return fs::exists(file("ended")); }));
    host.kill();
    ASSERT_TRUE(host.gone());
  }
  log_line(file("go"), "go");
  Engine engine{pipeline, kept};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_TRUE(engine.interrupted());
  for (const std::string& name : names())
    EXPECT_FALSE(name.ends_with(".log")) << name;
}

}  // namespace
}  // namespace sluice::test
