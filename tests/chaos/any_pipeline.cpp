// SPDX-License-Identifier: Apache-2.0
#include "any_pipeline.hpp"

#include <random>

namespace sluice::test {
namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_{seed} {}
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::uint64_t number() { return random_(); }
  bool chance(unsigned percent) { return below(100) < percent; }
  std::string one_of(const std::vector<std::string>& all) { return all[below(all.size())]; }

 private:
  std::mt19937_64 random_;
};

Faults draw_faults(Draw& draw) {
  Faults faults;
  faults.throws = draw.chance(20);
  faults.throws_late = draw.chance(20);
  faults.crashes = draw.chance(15);
  faults.exits = draw.chance(10);
  faults.refuses = draw.chance(15);
  faults.away = draw.chance(10);
  faults.stumbles = draw.chance(15);
  faults.flushes = draw.chance(25);
  return faults;
}

Way draw_way(Draw& draw) {
  return static_cast<Way>(draw.below(3));
}

struct Open {
  std::size_t stage;
  std::size_t output;
  bool taken = false;
};

void add_inlet(Draw& draw, AnyPlan& plan, std::vector<Open>& open) {
  AnyStage inlet;
  inlet.name = "inlet";
  inlet.shape = Shape::inlet;
  inlet.seed = draw.number();
  inlet.events = 500 + draw.below(3000);
  open.push_back({plan.stages.size(), 0});
  plan.stages.push_back(inlet);
}

// What it pulls comes to the sink, too: a pipeline is over when all stages behind its inlets and sources are.
void add_outlet(Draw& draw, AnyPlan& plan, const std::vector<Open>& open) {
  AnyStage outlet;
  outlet.name = "outlet";
  outlet.shape = Shape::outlet;
  const Open& from = open[draw.below(open.size())];
  outlet.inputs.push_back({from.stage, from.output, Way::in_turn});
  plan.stages.push_back(outlet);
}

void add_sources(Draw& draw, AnyPlan& plan, std::vector<Open>& open) {
  const std::uint64_t sources = 1 + draw.below(2);
  for (std::uint64_t i = 0; i < sources; ++i) {
    AnyStage source;
    source.name = "source" + std::to_string(i);
    source.shape = Shape::source;
    source.seed = draw.number();
    source.workers = draw.chance(25) ? 2 : 1;
    source.events = 500 + draw.below(5000);
    open.push_back({plan.stages.size(), 0});
    plan.stages.push_back(source);
  }
}

void add_stage(Draw& draw, AnyPlan& plan, std::vector<Open>& open, const std::string& name) {
  AnyStage stage;
  stage.name = name;
  const std::uint64_t shape = draw.below(5);
  stage.shape = shape < 3 ? Shape::each : shape < 4 ? Shape::spans : Shape::split;
  // A span of records is none.
  if (stage.shape == Shape::spans && plan.kind == Kind::record) stage.shape = Shape::each;
  stage.work = stage.shape == Shape::split ? Work::hand_on : static_cast<Work>(draw.below(5));
  stage.faults = draw_faults(draw);
  stage.seed = draw.number();
  stage.workers = 1 + static_cast<unsigned>(draw.below(3));
  const std::uint64_t inputs = 1 + draw.below(2);
  for (std::uint64_t i = 0; i < inputs; ++i) {
    Open& from = open[draw.below(open.size())];
    const bool again = !stage.inputs.empty() && stage.inputs.back().stage == from.stage &&
                       stage.inputs.back().output == from.output;
    if (again) continue;
    from.taken = true;
    stage.inputs.push_back({from.stage, from.output, draw.chance(10) ? Way::to_all : draw_way(draw)});
  }
  open.push_back({plan.stages.size(), 0});
  if (stage.shape == Shape::split) open.push_back({plan.stages.size(), 1});
  plan.stages.push_back(stage);
}

void add_sink(Draw& draw, AnyPlan& plan, const std::vector<Open>& open, bool databases) {
  AnyStage sink;
  sink.name = "sink";
  sink.shape = Shape::sink;
  sink.faults = draw_faults(draw);
  sink.seed = draw.number();
  sink.workers = 1 + static_cast<unsigned>(draw.below(2));
  sink.database = draw.chance(35) && databases;
  for (const Open& from : open) {
    if (!from.taken) sink.inputs.push_back({from.stage, from.output, draw_way(draw)});
  }
  plan.stages.push_back(sink);
}

bool is_lost(const AnyStage& stage, const Token& token) noexcept {
  if (stage.shape == Shape::outlet) return false;
  if (stage.database && mark_of(token) == kRefusedMark) return true;
  const std::uint64_t fate = fate_of(stage, token);
  const Faults& faults = stage.faults;
  return throws_at(faults, fate) || throws_late_at(faults, fate) || crashes_at(faults, fate) ||
         exits_at(faults, fate) || refuses_at(faults, fate);
}

}  // namespace

AnyPlan plan_of(std::uint64_t seed, bool databases) {
  Draw draw{seed};
  AnyPlan plan;
  plan.kind = static_cast<Kind>(draw.below(3));
  plan.kept = static_cast<Kept>(draw.below(3));
  plan.larger = draw.chance(30);
  std::vector<Open> open;
  add_sources(draw, plan, open);
  if (draw.chance(35)) add_inlet(draw, plan, open);
  const std::uint64_t stages = draw.below(5);
  for (std::uint64_t i = 0; i < stages; ++i)
    add_stage(draw, plan, open, "stage" + std::to_string(i));
  if (draw.chance(35)) add_outlet(draw, plan, open);
  add_sink(draw, plan, open, databases);
  plan.settings = {{"batch.events", draw.one_of({"1", "2", "7", "32", "256", "2048"})},
                   {"lane.slots", draw.one_of({"512", "4096"})},
                   {"lane.bytes", draw.one_of({"256KiB", "1MiB"})},
                   {"undo.bytes", draw.one_of({"64KiB", "1MiB"})},
                   {"checkpoint.every", draw.one_of({"20ms", "100ms"})},
                   {"checkpoint.sync", draw.one_of({"yes", "no"})},
                   {"wait.strategy", draw.one_of({"sleep", "sleep", "yield", "spin"})},
                   {"wait.preempt", draw.one_of({"yes", "no"})},
                   {"latency.sample", draw.one_of({"off", "100", "1000"})}};
  // Rows that a checkpoint does not know would be there twice.
  if (plan.stages.back().database && plan.kept != Kept::segment)
    plan.settings.emplace_back("stage.sink.outside.after", "checkpoint");
  return plan;
}

Answer answer_of(const AnyPlan& plan) {
  Answer answer;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Token>> streams;
  for (std::size_t index = 0; index < plan.stages.size(); ++index) {
    const AnyStage& stage = plan.stages[index];
    for (std::uint64_t number = 0; number < stage.events; ++number)
      streams[{index, 0}].push_back(token_of(stage, number));
    std::vector<Token> in;
    for (const Input& input : stage.inputs) {
      const std::vector<Token>& stream = streams[{input.stage, input.output}];
      const unsigned copies = input.way == Way::to_all ? stage.workers : 1;
      for (unsigned copy = 0; copy < copies; ++copy)
        in.insert(in.end(), stream.begin(), stream.end());
    }
    Made made;
    for (const Token& token : in) {
      if (is_lost(stage, token)) {
        ++answer.dead_letters;
        continue;
      }
      if (stage.shape == Shape::sink) ++answer.out[token];
      if (stage.shape == Shape::outlet) ++answer.pulled[token];
      made.clear();
      make_of(stage, token, made);
      for (const auto& [output, event] : made)
        streams[{index, output}].push_back(event);
      if (has_keys(stage)) streams[{index, 0}].push_back(said_of(stage, key_of(stage, token)));
    }
  }
  return answer;
}

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t x = a ^ (b * 0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111eb;
  return x ^ (x >> 31U);
}

std::uint64_t fate_of(const AnyStage& stage, const Token& token) noexcept {
  return mixed(mixed(token.id, token.weight), stage.seed);
}

Token token_of(const AnyStage& source, std::uint64_t number) noexcept {
  return {mixed(source.seed, number), number % 5};
}

void make_of(const AnyStage& stage, const Token& token, Made& made) {
  if (stage.shape == Shape::sink || stage.shape == Shape::outlet) return;
  const std::uint64_t id = mixed(token.id, stage.seed);
  const std::size_t output = stage.shape == Shape::split ? id % 2 : 0;
  switch (stage.work) {
    case Work::hand_on:
      made.push_back({output, {id, token.weight + 1}});
      break;
    case Work::filter:
      if (id % 3 != 0) made.push_back({output, {id, token.weight}});
      break;
    case Work::repeat:
      for (std::uint64_t copy = 0; copy < id % 3; ++copy)
        made.push_back({output, {mixed(id, copy), token.weight}});
      break;
    case Work::count:
    case Work::gather:
      if (id % 2 == 0) made.push_back({output, {id, token.weight}});
      break;
  }
}

std::uint64_t key_of(const AnyStage& stage, const Token& token) noexcept {
  return mixed(token.id, stage.seed + 1) % 61;
}

Token said_of(const AnyStage& stage, std::uint64_t key) noexcept {
  return {mixed(stage.seed, key), 7};
}

}  // namespace sluice::test
