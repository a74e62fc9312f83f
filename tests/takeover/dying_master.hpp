// SPDX-License-Identifier: Apache-2.0
// What a master has to do in a small pipeline, for tests in which it dies while it does it; and what comes out of that pipeline
// whatever dies.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "host/host.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/checkpointer.hpp"
#include "support/maps.hpp"

namespace sluice::test {

namespace fs = std::filesystem;

inline constexpr std::uint32_t kKeys = 7;
inline constexpr std::uint32_t kCrash = 100;
inline constexpr std::uint32_t kHang = 101;

// Counts, and does not survive what it is not meant to.
class Frail {
 public:
  explicit Frail(Worker& worker) : count_{worker} {}
  void operator()(const Item& item, Output<Counted>& out) {
    if (item.key == kCrash) std::abort();
    while (item.key == kHang)
      ::pause();
    count_(item, out);
  }

 private:
  Count count_;
};

// Where the host, and so each process of its pipeline, has the master's register and what lies behind it.
class Register {
 public:
  Register(const Pipeline& pipeline, const Settings& settings) {
    const std::string path = settings.text("segment.path");
    const detail::Host unopened{pipeline.graph(), settings, path};
    const detail::ProcessLayout& region = unopened.wiring().layout().processes[detail::kMasterProcess];
    first_byte_ =
        unopened.wiring().segment().in_file(detail::kMasterProcess.value()).first_byte + region.extra;
    bytes_ = detail::register_bytes(unopened.wiring().layout());
    // A file that got its name later is told by its directory alone.
    name_ = path.empty() ? "sluice:" + pipeline.graph().name : fs::path{path}.parent_path().string();
  }

  // Of the pipeline that this process runs now.
  std::uintptr_t address() const {
    for (const Mapping& mapping : mappings_of(::getpid(), name_)) {
      if (mapping.offset <= first_byte_ &&
          first_byte_ + bytes_ <= mapping.offset + (mapping.end - mapping.begin))
        return mapping.begin + (first_byte_ - mapping.offset);
    }
    ADD_FAILURE() << "no mapping of the register";
    return 0;
  }
  std::size_t words() const noexcept { return bytes_ / sizeof(std::uint64_t); }

 private:
  std::size_t first_byte_ = 0;
  std::size_t bytes_ = 0;
  std::string name_;
};

class Life;

inline pid_t master_in(const Life& life);

// What a master has to do, and how it can be seen that it is done.
struct Task {
  std::string name;
  std::vector<std::pair<std::string, std::string>> settings{};
  std::function<void(Life&)> begin{};
  std::function<bool(Life&)> done{};
  std::function<pid_t(const Life&)> victim = master_in;
  bool is_the_next_masters = false;  // Begun by the death of the one that is there.
  bool kills_a_worker = false;       // Each time that it begins.
  bool can_be_stepped = true;        // Others wait for it as long as that takes.
  bool may_leave_nobody =
      false;  // Master and supervisor are dead at once: the pipeline ends, and the next start goes on.
  End end = End::none;  // The pipeline's, that the task leads to.
};

// What has been pushed, and what has to come out for it.
struct Ledger {
  std::uint32_t pushed = 0;
  std::uint32_t pulled = 0;
  std::vector<std::uint32_t> seen = std::vector<std::uint32_t>(kKeys, 0);
};

class Life {
 public:
  Life(const Pipeline& pipeline, const Settings& settings, Ledger& ledger)
      : engine_{pipeline, settings}, ledger_{ledger} {
    engine_.start();
    flow();
  }

  Engine& engine() noexcept { return engine_; }
  const Engine& engine() const noexcept { return engine_; }
  std::uint32_t dead_letters() const { return static_cast<std::uint32_t>(engine_.stats().dead_letters()); }
  void push_bad(std::uint32_t key) {
    EXPECT_EQ(engine_.inlet<Item>("in").push({key, 0}), PushResult::accepted);
    ++bad_;
  }
  std::uint32_t bad() const noexcept { return bad_; }
  // All that it says before a task is compared with what it says later.
  void remember() { before_ = engine_.stats(); }
  const Stats& before() const noexcept { return before_; }

  void push() {
    constexpr std::uint32_t kEvents = 3 * kKeys;
    Inlet<Item> in = engine_.inlet<Item>("in");
    for (std::uint32_t i = 0; i < kEvents; ++i, ++ledger_.pushed)
      ASSERT_EQ(in.push({ledger_.pushed % kKeys, ledger_.pushed}), PushResult::accepted);
  }
  // Pushes some and pulls all that were pushed: each comes out once, counted as the next of its key.
  void flow() {
    push();
    Outlet<Counted> out = engine_.outlet<Counted>("out");
    EXPECT_TRUE(eventually([&] {
      out.poll([this](const Counted& counted) {
        EXPECT_EQ(counted.nth, ledger_.seen[counted.item.key]++);
        EXPECT_EQ(counted.item.number, counted.nth * kKeys + counted.item.key);
        ++ledger_.pulled;
      });
      out.ack();
      return ledger_.pulled >= ledger_.pushed;
    }));
    EXPECT_EQ(ledger_.pulled, ledger_.pushed);
  }

 private:
  Engine engine_;
  Ledger& ledger_;
  Stats before_;
  std::uint32_t bad_ = 0;
};

// 0 while there is none.
inline pid_t master_in(const Life& life) {
  return life.engine().stats().master;
}

inline bool is_replaced(Life& life, const std::string& worker) {
  const auto find = [&](const Stats& stats) {
    for (const StageStats& stage : stats.stages) {
      for (const WorkerStats& each : stage.workers) {
        if (each.name == worker) return each;
      }
    }
    return WorkerStats{};
  };
  const WorkerStats now = find(life.engine().stats());
  return now.pid > 1 && now.pid != find(life.before()).pid && is_alive(now.pid);
}

inline bool has_two_more_checkpoints(Life& life) {
  return life.engine().stats().checkpoints.written >= life.before().checkpoints.written + 2;
}

inline bool has_ended(Life& life) {
  return life.engine().over();
}

inline bool has_the_next_master(Life& life) {
  const Stats now = life.engine().stats();
  return now.masters > life.before().masters && now.master_at_work > life.before().master_at_work;
}

inline const std::vector<Task>& tasks() {
  const std::vector<std::pair<std::string, std::string>> with_checkpoints{
      {"checkpoint.path", "checkpoints"}, {"checkpoint.every", "5ms"}, {"checkpoint.sync", "no"}};
  static const std::vector<Task> all{
      {.name = "ReplacesAWorker",
       .begin = [](Life& life) { kill_worker_of(life.engine(), "count/0"); },
       .done = [](Life& life) { return is_replaced(life, "count/0"); },
       .kills_a_worker = true},
      {.name = "BlamesAnEventForACrash",
       .begin = [](Life& life) { life.push_bad(kCrash); },
       .done = [](Life& life) { return life.dead_letters() >= life.bad(); },
       .kills_a_worker = true},
      // A master that is followed by the instruction has no time for shorter ticks, and judges nobody then.
      {.name = "EndsAWorkerThatHangs",
       .settings = {{"watchdog.deadline", "100ms"}, {"watchdog.tick", "50ms"}},
       .begin = [](Life& life) { life.push_bad(kHang); },
       .done = [](Life& life) { return life.dead_letters() >= life.bad(); },
       .kills_a_worker = true},
      {.name = "LetsCheckpointsBeTaken",
       .settings = with_checkpoints,
       .begin = [](Life& life) { life.push(); },
       .done = has_two_more_checkpoints},
      {.name = "IsTheCheckpointer",
       .settings = with_checkpoints,
       .begin = [](Life& life) { life.push(); },
       .done = has_two_more_checkpoints,
       .victim = [](const Life& life) { return checkpointer_of(life.engine()); },
       .can_be_stepped = false},
      {.name = "TakesOver",
       .begin =
           [](Life& life) {
             kill_worker_of(life.engine(), "count/1");
             ::kill(master_of(life.engine()), SIGKILL);
           },
       .done = [](Life& life) { return has_the_next_master(life) && is_replaced(life, "count/1"); },
       .is_the_next_masters = true,
       .kills_a_worker = true},
      {.name = "BecomesTheSupervisor",
       .settings = {{"segment.path", "segment"}},
       .begin = [](Life& life) { ::kill(supervisor_of(life.engine()), SIGKILL); },
       .done = has_the_next_master,
       .may_leave_nobody = true},
      {.name = "IsTheSupervisor",
       .settings = {{"segment.path", "segment"}},
       .begin = [](Life& life) { ::kill(master_of(life.engine()), SIGKILL); },
       .done = has_the_next_master,
       .victim = [](const Life& life) { return pid_t{life.engine().stats().supervisor}; },
       .may_leave_nobody = true},
      {.name = "Parks",
       .settings = {{"segment.path", "segment"}},
       .begin = [](Life& life) { life.engine().begin_park(); },
       .done = has_ended,
       .end = End::parked},
      {.name = "Drains",
       .begin = [](Life& life) { life.engine().begin_drain(); },
       .done = has_ended,
       .end = End::drained},
  };
  return all;
}

}  // namespace sluice::test
