// SPDX-License-Identifier: Apache-2.0
#include "sluice/inline.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>

#include <sluice/error.hpp>

#include "graph/loose_ends.hpp"
#include "host/host.hpp"
#include "host/resume.hpp"
#include "log/log_line.hpp"

namespace sluice {

using namespace detail;

namespace {

// There is no process to make them, and nothing waits for one.
Settings without_checkpoints(Settings settings) {
  settings.set("checkpoint.path", "", Origin::command_line);
  return settings;
}

// On standard error, where the log of a pipeline in processes is.
void say_loose_ends(const Wiring& wiring) {
  const LogSettings& log = wiring.settings().log;
  if (log.level < LogLevel::warning) return;
  for (const std::string& text : loose_ends(wiring.graph())) {
    const LogLine line{LogLevel::warning, kLooseEnd, wiring.graph().name, {}, text};
    const std::string said = to_text(line, log.format, std::chrono::system_clock::now());
    std::fwrite(said.data(), 1, said.size(), stderr);
  }
}

}  // namespace

// All workers of a pipeline, taking turns. Who waits lets the others have theirs.
struct InlineRun::Parts final : Waiter {
  Parts(const Pipeline& pipeline, const Settings& settings)
      : name{pipeline.name()}, host{pipeline.graph(), without_checkpoints(pipeline.with_defaults(settings))} {
    const Wiring& wiring = host.wiring();
    say_loose_ends(wiring);
    wiring.segment().populate_huge();
    wiring.segment().own_everything();
    draw_hash_seed(wiring);
    host.open_ends(*this);
    for (const WorkerIndex worker : wiring.workers()) {
      // relaxed: one thread.
      wiring.worker(worker).control().incarnation.store(1, std::memory_order_relaxed);
      loops.emplace_back().emplace(wiring, worker, *this);
      running.push_back(false);
    }
  }

  // One batch of each worker behind the last one that is in the midst of a batch; false when none had any
  // work. Loops stand in the order of flow. A worker that waits for room is helped by those behind it: one
  // before it could come to wait for it in turn.
  bool turn() {
    bool worked = false;
    const auto last = std::find(running.rbegin(), running.rend(), true);
    for (auto i = static_cast<std::size_t>(running.rend() - last); i < loops.size(); ++i) {
      running[i] = true;
      struct Done {
        std::vector<bool>& running;
        std::size_t i;
        ~Done() { running[i] = false; }
      } done{running, i};
      worked = step(i) || worked;
    }
    return collect() || worked;
  }

  // As a worker's process does it.
  bool step(std::size_t i) {
    std::optional<WorkerLoop>& loop = loops[i];
    // A constructor that throws leaves none.
    if (!loop) return false;
    try {
      return loop->step() == WorkerLoop::Step::worked;
    } catch (const DoAgain&) {
      loop.emplace(host.wiring(), WorkerIndex{i}, *this);
      return true;
    }
  }

  // Takes what has come to the outlets; false when that was nothing.
  bool collect() {
    bool worked = false;
    for (HostOutlet& outlet : host.outlets()) {
      std::vector<std::vector<std::byte>>& into = collected[outlet.node()];
      const auto keep = [&into](std::span<const std::byte> payload) {
        into.emplace_back(payload.begin(), payload.end());
      };
      worked = outlet.poll_payloads(keep, static_cast<std::size_t>(-1)) != 0 || worked;
      outlet.ack();  // Its room is free at once: a turn in which no worker can go on is the last.
    }
    return worked;
  }

  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds) override {
    while (!ready()) {
      if (!turn()) {
        throw Error{{"go on with", name, "a lane is full and the stage behind it cannot run",
                     "raise lane.slots or lane.bytes"}};
      }
    }
    return ipc::Woken::ready;
  }

  void wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds) override {
    while (!ready() && turn()) {
    }
  }

  void pause(std::chrono::nanoseconds) override {}

  std::string name;
  Host host;
  std::deque<std::optional<WorkerLoop>> loops;
  std::vector<bool> running;
  std::map<NodeIndex, std::vector<std::vector<std::byte>>> collected;
};

InlineRun::InlineRun(const Pipeline& pipeline, const Settings& settings)
    : parts_{std::make_unique<Parts>(pipeline, settings)} {}
InlineRun::~InlineRun() = default;
InlineRun::InlineRun(InlineRun&&) noexcept = default;
InlineRun& InlineRun::operator=(InlineRun&&) noexcept = default;

void InlineRun::run() {
  try {
    while (parts_->turn()) {
    }
  } catch (...) {
    parts_->collect();  // What was committed before counts.
    throw;
  }
}

void InlineRun::finish() {
  parts_->host.close_inlets();
  run();
  if (!std::all_of(parts_->loops.begin(), parts_->loops.end(),
                   [](const std::optional<WorkerLoop>& loop) { return loop && loop->finished(); })) {
    throw Error{{"finish", parts_->name, "a source has nothing now and has not ended", "run it with Engine"}};
  }
}

Stats InlineRun::stats() const {
  return parts_->host.stats();
}

HostInlet& InlineRun::inlet_end(std::string_view name, const EventType& type) {
  return parts_->host.inlet(name, type);
}

const std::vector<std::vector<std::byte>>& InlineRun::payloads(std::string_view outlet,
                                                               const EventType& type) const {
  return parts_->collected[parts_->host.outlet(outlet, type).node()];
}

InlineRun run_inline(const Pipeline& pipeline, const Settings& settings) {
  InlineRun run{pipeline, settings};
  run.finish();
  return run;
}

}  // namespace sluice
