// SPDX-License-Identifier: Apache-2.0
// Pipelines drawn by chance, whose handlers fail at events drawn by chance: each event takes effect once or is one dead
// letter. With SLUICE_ANY_PIPELINES=FIRST-LAST those of other seeds, and with workers, masters and hosts killed meanwhile:
//
//     SLUICE_ANY_PIPELINES=1000-1999 build/release/tests/any_pipeline_test

#include "any_pipeline.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include <sluice/dead_letter.hpp>

#include "any_ends.hpp"
#include "any_stages.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"
#if ANY_PIPELINE_DATABASES
#include "any_rows.hpp"
#endif

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLimit{120};
constexpr bool kDatabases = ANY_PIPELINE_DATABASES;
constexpr int kLives = 12;
constexpr int kHurtLives = 8;
constexpr int kParked = 3;  // The status of a host.

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
void add_sink(const Stream<Event>& in, const AnyStage& stage, const std::filesystem::path& directory) {
  const StageOptions options{.workers = stage.workers};
#if ANY_PIPELINE_DATABASES
  if (stage.database) {
    in.template to<AnyRows<Event>>(stage.name, options, stage, directory / "database");
    return;
  }
#endif
  in.template to<AnySink<Event>>(stage.name, options, stage, directory);
}

template <class Event>
Pipeline pipeline_of(const AnyPlan& plan, const std::filesystem::path& directory) {
  Pipeline pipeline{"any"};
  std::map<std::pair<std::size_t, std::size_t>, Stream<Event>> streams;
  for (std::size_t index = 0; index < plan.stages.size(); ++index) {
    const AnyStage& stage = plan.stages[index];
    const StageOptions options{.workers = stage.workers};
    const auto add = [&](std::size_t output, const Stream<Event>& stream) {
      streams.emplace(std::pair{index, output}, stream);
    };
    std::optional<Stream<Event>> in;
    for (const Input& input : stage.inputs) {
      const Stream<Event> stream = routed(streams.at({input.stage, input.output}), input.way);
      in.emplace(in ? in->merge(stream) : stream);
    }
    if (stage.shape == Shape::source) {
      add(0, pipeline.source<AnySource<Event>>(stage.name, options, stage));
    } else if (stage.shape == Shape::inlet) {
      add(0, pipeline.inlet<Event>(stage.name));
    } else if (stage.shape == Shape::each) {
      add(0, in->template to<AnyEach<Event>>(stage.name, options, stage));
    } else if (stage.shape == Shape::split) {
      auto [even, odd] = in->template to<AnySplit<Event>>(stage.name, options, stage);
      add(0, even);
      add(1, odd);
    } else if (stage.shape == Shape::outlet) {
      in->outlet(stage.name);
    } else if (stage.shape == Shape::sink) {
      add_sink(*in, stage, directory);
    } else if constexpr (!std::is_same_v<Event, Parcel>) {
      add(0, in->template to<AnySpans<Event>>(stage.name, options, stage));
    }
  }
  return pipeline;
}

// Empty if they are the same.
std::string difference(const std::map<Token, std::uint64_t>& found,
                       const std::map<Token, std::uint64_t>& expected) {
  std::uint64_t lost = 0;
  std::uint64_t extra = 0;
  std::map<Token, std::int64_t> more;
  for (const auto& [token, times] : found)
    more[token] += static_cast<std::int64_t>(times);
  for (const auto& [token, times] : expected)
    more[token] -= static_cast<std::int64_t>(times);
  for (const auto& [token, times] : more) {
    if (times < 0) lost += static_cast<std::uint64_t>(-times);
    if (times > 0) extra += static_cast<std::uint64_t>(times);
  }
  return lost + extra == 0 ? "" : fmt::format("{} are lost, {} are there once too often", lost, extra);
}

class AnyPipeline : public testing::Test {
 protected:
  AnyPipeline() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-any-pipeline-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~AnyPipeline() override { clear_away(directory_); }

  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  Settings settings(const AnyPlan& plan, int life) const {
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
    if (plan.kept != Kept::checkpoints) settings.set("segment.path", file("segment").string());
    if (plan.kept != Kept::segment) settings.set("checkpoint.path", file("checkpoints").string());
    if (plan.larger && life != 0) {
      const int times = 1 << std::min(life, 3);
      settings.set("lane.slots", fmt::format("{}K", 4 * times));
      settings.set("lane.bytes", fmt::format("{}MiB", times));
      settings.set("state.bytes", fmt::format("{}MiB", 8 * times));
    }
    return settings;
  }

  // One life of the host: to the end of the pipeline, or, false, until it was parked. Kills a worker now and then, and parks
  // the pipeline at last, if `random` is there.
  template <class Event>
  bool live(const AnyPlan& plan, int life, std::mt19937_64* random) const {
    Engine engine{pipeline_of<Event>(plan, directory_), settings(plan, life)};
    engine.start();
    AnyEnds<Event> ends{engine, plan, file("outlet")};
    auto next_blow = std::chrono::steady_clock::now();
    for (;;) {
      const bool pulled = ends.pull_some();
      const bool moved = ends.push_some() || pulled;
      if (engine.wait_for(moved ? 0ms : ends.any() || random != nullptr ? 1ms : 100ms)) break;
      if (random == nullptr || std::chrono::steady_clock::now() < next_blow) continue;
      next_blow = std::chrono::steady_clock::now() + std::chrono::milliseconds{1 + (*random)() % 20};
      if ((*random)() % 200 == 0) {
        engine.park();
        return false;
      }
      const AnyStage& stage = plan.stages[(*random)() % plan.stages.size()];
      if (stage.shape == Shape::inlet || stage.shape == Shape::outlet) continue;
      engine.signal_worker(fmt::format("{}/{}", stage.name, (*random)() % stage.workers), SIGKILL);
    }
    while (ends.pull_some()) {
    }
    std::ofstream(file("dead letters")) << engine.stats().dead_letters();
    return true;
  }
  bool live(const AnyPlan& plan, int life, std::mt19937_64* random) const {
    if (plan.kind == Kind::token) return live<Token>(plan, life, random);
    if (plan.kind == Kind::crate) return live<Crate>(plan, life, random);
    return live<Parcel>(plan, life, random);
  }

  // Lives until one comes to the end: the first ones are lost as a whole after a while, or parked, and the later ones are
  // left alone.
  void run(const AnyPlan& plan, std::uint64_t seed, bool hurt) {
    std::mt19937_64 random{seed};
    for (lives_ = 0; lives_ < kLives; ++lives_) {
      const bool hurts = hurt && lives_ < kHurtLives;
      total_loss::Host host{{}, [&] {
                              std::mt19937_64 own{seed + static_cast<std::uint64_t>(lives_)};
                              if (!live(plan, lives_, hurts ? &own : nullptr)) ::_exit(kParked);
                            }};
      const bool over = host.wait_for_end(hurts ? std::chrono::milliseconds{20 + random() % 1500} : kLimit);
      if (over && WIFEXITED(host.status()) && WEXITSTATUS(host.status()) != kParked) {
        ASSERT_EQ(WEXITSTATUS(host.status()), 0);
        return;
      }
      ASSERT_TRUE(hurts) << "it came to no end";
      host.kill();
      ASSERT_TRUE(host.gone());
      if (plan.kept == Kept::both && random() % 3 == 0) std::filesystem::remove(file("segment"));
      if (!goes_on()) clear();
    }
    FAIL() << "it came to no end";
  }

  // The next start finds something of the last life.
  bool goes_on() const {
    if (std::filesystem::exists(file("segment"))) return true;
    if (!std::filesystem::exists(file("checkpoints"))) return false;
    for (const auto& each : std::filesystem::directory_iterator{file("checkpoints")}) {
      const std::filesystem::path kind = each.path().extension();
      if (kind == ".checkpoint" || kind == ".base") return true;
    }
    return false;
  }
  void clear() const {
    for (const auto& left : std::filesystem::directory_iterator{directory_})
      std::filesystem::remove_all(left);
  }

  void read_lines(const std::string& name, std::map<Token, std::uint64_t>& tokens) const {
    std::ifstream lines{file(name)};
    Token token;
    while (lines >> token.id >> token.weight)
      ++tokens[token];
    EXPECT_TRUE(!lines.is_open() || lines.eof()) << "a line that is none";
  }
  Answer found(const AnyStage& sink) const {
    Answer answer;
    for (unsigned worker = 0; worker < sink.workers; ++worker)
      read_lines(fmt::format("sink.{}", worker), answer.out);
#if ANY_PIPELINE_DATABASES
    if (sink.database) read_rows(file("database"), answer.out);
#endif
    read_lines("outlet", answer.pulled);
    std::ifstream{file("dead letters")} >> answer.dead_letters;
    return answer;
  }
  void expect_letters(const AnyPlan& plan, std::uint64_t expected) const {
    // There is no such directory where nobody has died.
    if (expected == 0) return;
    const std::uint64_t letters = find_dead_letters(file("reports")).size();
    // Behind a checkpoint an event can come at another place than before, and become a letter once more.
    if (plan.kept == Kept::segment || lives_ == 0) {
      EXPECT_EQ(letters, expected);
    } else {
      EXPECT_GE(letters, expected);
    }
  }

  std::filesystem::path directory_;
  int lives_ = 0;  // That were lost or parked.
};

TEST_F(AnyPipeline, HandlesEachEventOnceOrMakesItOneDeadLetter) {
  for (std::uint64_t seed = seeds().first; seed <= seeds().last && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("SLUICE_ANY_PIPELINES={}", seed));
    clear();
    const AnyPlan plan = plan_of(seed, kDatabases);
    ASSERT_NO_FATAL_FAILURE(run(plan, seed, seeds().hurt));
    const Answer expected = answer_of(plan);
    const Answer answer = found(plan.stages.back());
    EXPECT_EQ(answer.dead_letters, expected.dead_letters);
    expect_letters(plan, expected.dead_letters);
    EXPECT_EQ(difference(answer.out, expected.out), "");
    EXPECT_EQ(difference(answer.pulled, expected.pulled), "") << "from the outlet";
  }
}

}  // namespace
}  // namespace sluice::test
