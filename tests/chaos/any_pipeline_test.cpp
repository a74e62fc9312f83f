// SPDX-License-Identifier: Apache-2.0
// Pipelines drawn by chance, whose handlers fail at events drawn by chance: each event takes effect once or is one dead
// letter. With SLUICE_ANY_PIPELINES=FIRST-LAST those of other seeds, and with workers, masters and hosts killed meanwhile:
//
//     SLUICE_ANY_PIPELINES=1000-1999 build/release/tests/any_pipeline_test

#include "any_pipeline.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include <sluice/dead_letter.hpp>

#include "any_stages.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLimit{120};

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t last = 6;
  bool hurt = false;
};

// What SLUICE_ANY_PIPELINES says, which is no setting of a pipeline.
Seeds seeds() {
  static const Seeds asked = [] {
    Seeds seeds;
    const char* const said = std::getenv("SLUICE_ANY_PIPELINES");
    if (said == nullptr) return seeds;
    const std::string text = said;
    ::unsetenv("SLUICE_ANY_PIPELINES");
    const std::size_t dash = text.find('-');
    seeds.first = std::stoull(text);
    seeds.last = dash == std::string::npos ? seeds.first : std::stoull(text.substr(dash + 1));
    seeds.hurt = true;
    return seeds;
  }();
  return asked;
}

template <class Event>
Stream<Event> routed(const Stream<Event>& stream, Way way) {
  switch (way) {
    case Way::by_key:
      return stream.by([](const Event& event) { return token_in(event).id % 1009; });
    case Way::least_loaded:
      return stream.least_loaded();
    case Way::to_all:
      return stream.broadcast();
    default:
      return stream.round_robin();
  }
}

template <class Event>
Pipeline pipeline_of(const AnyPlan& plan, const std::filesystem::path& directory) {
  Pipeline pipeline{"any"};
  std::map<std::pair<std::size_t, std::size_t>, Stream<Event>> streams;
  for (std::size_t index = 0; index < plan.stages.size(); ++index) {
    const AnyStage& stage = plan.stages[index];
    const StageOptions options{.workers = stage.workers};
    if (stage.shape == Shape::source) {
      streams.emplace(std::pair{index, 0}, pipeline.source<AnySource<Event>>(stage.name, options, stage));
      continue;
    }
    std::optional<Stream<Event>> in;
    for (const Input& input : stage.inputs) {
      const Stream<Event> stream = routed(streams.at({input.stage, input.output}), input.way);
      in.emplace(in ? in->merge(stream) : stream);
    }
    if (stage.shape == Shape::sink) {
      in->template to<AnySink<Event>>(stage.name, options, stage, directory);
    } else if (stage.shape == Shape::split) {
      auto [even, odd] = in->template to<AnySplit<Event>>(stage.name, options, stage);
      streams.emplace(std::pair{index, 0}, even);
      streams.emplace(std::pair{index, 1}, odd);
    } else if (stage.shape == Shape::spans) {
      streams.emplace(std::pair{index, 0}, in->template to<AnySpans<Event>>(stage.name, options, stage));
    } else {
      streams.emplace(std::pair{index, 0}, in->template to<AnyEach<Event>>(stage.name, options, stage));
    }
  }
  return pipeline;
}

class AnyPipeline : public testing::Test {
 protected:
  AnyPipeline() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-any-pipeline-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~AnyPipeline() override { clear_away(directory_); }

  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  Settings settings(const AnyPlan& plan) const {
    Settings settings;
    for (const auto& [key, value] : plan.settings)
      settings.set(key, value);
    // A worker that stumbles does so twice at the same event.
    settings.set("poison.attempts", "3");
    settings.set("poison.budget", "1000000");
    settings.set("restart.budget", "1000000");
    settings.set("restart.backoff", "100us");
    settings.set("restart.backoff_max", "2ms");
    settings.set("log.level", "off");
    settings.set("report.path", file("reports").string());
    settings.set("segment.path", file("segment").string());
    return settings;
  }

  // One life of the host, to the end of the pipeline. Kills a worker now and then, if `random` is there.
  template <class Event>
  void live(const AnyPlan& plan, std::mt19937_64* random) const {
    Engine engine{pipeline_of<Event>(plan, directory_), settings(plan)};
    engine.start();
    while (!engine.wait_for(random == nullptr ? 100ms : std::chrono::milliseconds{1 + (*random)() % 20})) {
      if (random == nullptr) continue;
      const AnyStage& stage = plan.stages[(*random)() % plan.stages.size()];
      engine.signal_worker(fmt::format("{}/{}", stage.name, (*random)() % stage.workers), SIGKILL);
    }
    std::ofstream(file("dead letters")) << engine.stats().dead_letters();
  }

  // Lives until one comes to the end: the first ones are lost as a whole after a while, and the later ones are left alone.
  void run(const AnyPlan& plan, std::uint64_t seed, bool hurt) const {
    std::mt19937_64 random{seed};
    for (int life = 0; life < 12; ++life) {
      const bool hurts = hurt && life < 8;
      total_loss::Host host{{}, [&] {
                              std::mt19937_64 own{seed + static_cast<std::uint64_t>(life)};
                              if (plan.large)
                                live<Crate>(plan, hurts ? &own : nullptr);
                              else
                                live<Token>(plan, hurts ? &own : nullptr);
                            }};
      const bool over = host.wait_for_end(hurts ? std::chrono::milliseconds{20 + random() % 1500} : kLimit);
      if (over && WIFEXITED(host.status())) {
        ASSERT_EQ(WEXITSTATUS(host.status()), 0);
        return;
      }
      ASSERT_TRUE(hurts) << "it came to no end";
      host.kill();
      ASSERT_TRUE(host.gone());
    }
    FAIL() << "it came to no end";
  }

  Answer found(unsigned workers) const {
    Answer answer;
    for (unsigned worker = 0; worker < workers; ++worker) {
      std::ifstream lines{file(fmt::format("sink.{}", worker))};
      Token token;
      while (lines >> token.id >> token.weight)
        ++answer.out[token];
      EXPECT_TRUE(lines.eof()) << "a line that is none";
    }
    std::ifstream{file("dead letters")} >> answer.dead_letters;
    return answer;
  }

  std::filesystem::path directory_;
};

TEST_F(AnyPipeline, HandlesEachEventOnceOrMakesItOneDeadLetter) {
  for (std::uint64_t seed = seeds().first; seed <= seeds().last && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("SLUICE_ANY_PIPELINES={}", seed));
    for (const auto& left : std::filesystem::directory_iterator{directory_})
      std::filesystem::remove_all(left);
    const AnyPlan plan = plan_of(seed);
    ASSERT_NO_FATAL_FAILURE(run(plan, seed, seeds().hurt));
    const Answer expected = answer_of(plan);
    const Answer answer = found(plan.stages.back().workers);
    EXPECT_EQ(answer.dead_letters, expected.dead_letters);
    // There is no such directory where nobody has died.
    if (expected.dead_letters != 0) {
      EXPECT_EQ(find_dead_letters(file("reports")).size(), expected.dead_letters);
    }
    EXPECT_TRUE(answer.out == expected.out) << "other events have come out, or not so often";
  }
}

}  // namespace
}  // namespace sluice::test
