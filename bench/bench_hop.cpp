// SPDX-License-Identifier: Apache-2.0
// Question: what does exactness cost? Events go to a worker and back; the worker commits, keeps its progress
// word and counts.
//
// Baseline: a bare loop in the same place, over the same lanes of the same segment, that reads, writes and
// publishes and does nothing else. The benchmark is the neighbour on both sides of either, and uses the lanes
// directly (lone_worker.hpp). The table's baseline is the same table, changed behind the back of the undo
// log.
//
// Machine: two processing units, 0 for the benchmark and 1 for the worker, that nobody else uses.
//
//   through/SUBJECT/batch:N/HANDLER  events of 64 B, as many a second as come back. The benchmark publishes N
//       at a time, the worker commits after N; natural: whatever there is, up to 256. HANDLER: stateless
//       hands the event on, value also counts it in a plain recoverable value, table in a row of a
//       recoverable table.
//   one_thread/...                   the same with all parts in one thread, so that no cache line travels:
//       how much of a batch is the worker's own work.
//   round_trip/SUBJECT/64B           one event at a time, both sides spinning.
//   table/SUBJECT                    updates of a row in one process, 64 between two commits.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/ipc/waiting.hpp>
#include <sluice/pipeline.hpp>

#include "lone_worker.hpp"
#include "peer.hpp"
#include "suite.hpp"
#include "worker/worker_process.hpp"

namespace sluice::bench {

using namespace detail;
namespace {

constexpr std::uint64_t kNatural = 256;
constexpr std::uint64_t kEventsAnIteration = 16384;
constexpr std::uint64_t kRows = 1024;

struct Packet {
  std::uint64_t number;
  std::uint64_t words[7];
};
static_assert(sizeof(Packet) == 64);

struct Stateless {
  void operator()(const Packet& packet, Output<Packet>& out) { out.push(packet); }
};

class CountsInValue {
 public:
  explicit CountsInValue(Worker& worker) : count_{worker.state<std::uint64_t>("count")} {}
  void operator()(const Packet& packet, Output<Packet>& out) {
    ++count_.edit();
    out.push(packet);
  }

 private:
  Recoverable<std::uint64_t> count_;
};

class CountsInTable {
 public:
  explicit CountsInTable(Worker& worker)
      : counts_{worker.table<std::uint64_t, std::uint64_t>("counts", kRows)} {}
  void operator()(const Packet& packet, Output<Packet>& out) {
    ++counts_[packet.number % kRows];
    out.push(packet);
  }

 private:
  Table<std::uint64_t, std::uint64_t> counts_;
};

template <class H>
Graph graph_of() {
  Pipeline pipeline{"hop"};
  pipeline.inlet<Packet>("in").template to<H>("echo").outlet("out");
  return pipeline.graph();
}

Settings settings_of(std::uint64_t batch) {
  Settings settings;
  settings.set("wait.strategy", "spin");
  settings.set("batch.events", std::to_string(batch));
  return settings;
}

// What a worker would be without its promise: one batch; how many events it had.
std::uint64_t bare_step(ipc::LaneConsumer& in, ipc::LaneProducer& out, std::uint64_t batch) noexcept {
  std::uint64_t handled = 0;
  for (; handled < batch && in.readable() >= sizeof(Packet); ++handled) {
    std::byte* at = out.reserve(sizeof(Packet));
    if (at == nullptr) break;
    std::memcpy(at, in.data(), sizeof(Packet));
    out.advance(sizeof(Packet));
    in.advance(sizeof(Packet));
  }
  if (handled != 0) {
    out.publish();
    in.publish();
  }
  return handled;
}

LoneWorker::Instead bare_loop(std::uint64_t batch) {
  return [batch](ipc::LaneConsumer& in, ipc::LaneProducer& out) {
    while (true) {
      if (bare_step(in, out, batch) != 0) continue;
      if (in.readable() == 0 && in.at_end()) return;
      ipc::relax();
    }
  };
}

// The benchmark's side: what it sends and what it takes back, in order.
class Traffic {
 public:
  Traffic(ipc::LaneProducer& to, ipc::LaneConsumer& from) : to_{to}, from_{from} {}
  explicit Traffic(LoneWorker& worker) : Traffic{worker.inputs().front(), worker.outputs().front()} {}

  // Publishes `batch` events, if there is room for them.
  void send(std::uint64_t batch) noexcept {
    for (std::uint64_t i = 0; i < batch; ++i) {
      std::byte* at = to_.reserve(sizeof(Packet));
      if (at == nullptr) break;
      const Packet packet{sent_++, {}};
      std::memcpy(at, &packet, sizeof(packet));
      to_.advance(sizeof(packet));
    }
    to_.publish();
  }
  // Takes what is there; false when that is not what was sent.
  bool take() noexcept {
    std::uint64_t readable = from_.readable();
    if (readable == 0) return true;
    for (; readable >= sizeof(Packet); readable -= sizeof(Packet)) {
      Packet packet;
      std::memcpy(&packet, from_.data(), sizeof(packet));
      benchmark::DoNotOptimize(packet);
      from_.advance(sizeof(packet));
      if (packet.number != taken_++) return false;
    }
    from_.publish();
    return true;
  }
  // Until `count` events are back. False when they do not come, or are not what was sent.
  bool exchange(std::uint64_t count, std::uint64_t batch) {
    const std::uint64_t end = taken_ + count;
    bool sound = true;
    return spin_until([&] {
             send(batch);
             sound = take();
             return !sound || taken_ >= end;
           }) &&
           sound;
  }
  // Everything that was sent is back.
  bool settle() {
    bool sound = true;
    return spin_until([&] {
             sound = take();
             return !sound || taken_ == sent_;
           }) &&
           sound;
  }
  std::uint64_t taken() const noexcept { return taken_; }

 private:
  ipc::LaneProducer& to_;
  ipc::LaneConsumer& from_;
  std::uint64_t sent_ = 0;
  std::uint64_t taken_ = 0;
};

using MakeWorker = std::function<std::unique_ptr<LoneWorker>()>;

template <class H>
MakeWorker engine_worker(std::uint64_t batch) {
  return [batch] { return std::make_unique<LoneWorker>(graph_of<H>(), settings_of(batch), "echo/0"); };
}
MakeWorker bare_worker(std::uint64_t batch) {
  return [batch] {
    return std::make_unique<LoneWorker>(graph_of<Stateless>(), settings_of(batch), "echo/0",
                                        bare_loop(batch));
  };
}

constexpr const char* kWrong = "the worker gives back nothing, or not what was sent";
// Every page of the lanes is there, in both processes.
constexpr std::uint64_t kWarmUp = std::uint64_t{3} * 4096;

void through(benchmark::State& state, const MakeWorker& make_worker, std::uint64_t batch) {
  const std::unique_ptr<LoneWorker> worker = make_worker();
  Traffic traffic{*worker};
  bool sound = traffic.exchange(kWarmUp, batch);
  const std::uint64_t start = traffic.taken();
  for ([[maybe_unused]] auto _ : state) {
    sound = sound && traffic.exchange(kEventsAnIteration, batch);
    if (!sound) break;
  }
  if (!sound) state.SkipWithError(kWrong);
  state.SetItemsProcessed(static_cast<std::int64_t>(traffic.taken() - start));
}

constexpr WorkerIndex kOnlyWorker{0};

// The same work where no cache line travels: what a batch costs the worker itself.
class OneThread {
 public:
  OneThread(const Graph& graph, const Settings& settings) : host_{graph, settings} {
    host_.wiring().segment().open();
    host_.wiring().segment().prefault();
    host_.wiring().segment().own_everything();
    begin_life(memory().control(), process_of(kOnlyWorker));
  }
  ipc::LaneMemory in() const { return wiring().lane(memory().layout().lanes_in.front()); }
  ipc::LaneMemory out() const { return wiring().lane(memory().layout().lanes_out.front()); }
  const Wiring& wiring() const noexcept { return host_.wiring(); }

 private:
  WorkerMemory memory() const { return wiring().worker(kOnlyWorker); }

  Host host_;
};

class NobodyWaits final : public Waiter {
 public:
  ipc::Woken wait_until(const std::function<bool()>&, std::chrono::nanoseconds) override {
    return ipc::Woken::bound;
  }
  void pause(std::chrono::nanoseconds) override {}
};

template <class Step>
void one_thread(benchmark::State& state, const OneThread& scene, std::uint64_t batch, Step&& step) {
  ipc::LaneProducer to{scene.in()};
  ipc::LaneConsumer from{scene.out()};
  Traffic traffic{to, from};
  bool sound = true;
  std::uint64_t sent = 0;
  for ([[maybe_unused]] auto _ : state) {
    traffic.send(batch);
    step();
    sound = traffic.take() && traffic.taken() == (sent += batch);
    if (!sound) break;
  }
  if (!sound) state.SkipWithError(kWrong);
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

template <class H>
void worker_in_one_thread(benchmark::State& state, std::uint64_t batch) {
  const OneThread scene{graph_of<H>(), settings_of(batch)};
  NobodyWaits waiter;
  WorkerLoop loop{scene.wiring(), kOnlyWorker, waiter};
  one_thread(state, scene, batch, [&loop] { loop.step(); });
}

void bare_in_one_thread(benchmark::State& state, std::uint64_t batch) {
  const OneThread scene{graph_of<Stateless>(), settings_of(batch)};
  ipc::LaneConsumer in{scene.in()};
  ipc::LaneProducer out{scene.out()};
  one_thread(state, scene, batch, [&] { bare_step(in, out, batch); });
}

void count_quantiles(benchmark::State& state, std::vector<float>& times_ns) {
  std::sort(times_ns.begin(), times_ns.end());
  for (const auto& [name, part] : {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}}) {
    const auto rank = static_cast<std::size_t>(part * static_cast<double>(times_ns.size() - 1));
    state.counters[name] = times_ns.empty() ? 0 : times_ns[rank];
  }
}

void round_trip(benchmark::State& state, const MakeWorker& make_worker) {
  const std::unique_ptr<LoneWorker> worker = make_worker();
  Traffic traffic{*worker};
  bool sound = traffic.exchange(kWarmUp, 1) && traffic.settle();
  std::vector<float> times_ns(static_cast<std::size_t>(state.max_iterations));
  times_ns.clear();
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    traffic.send(1);
    sound = sound && traffic.settle();
    times_ns.push_back(
        std::chrono::duration<float, std::nano>(std::chrono::steady_clock::now() - start).count());
    if (!sound) break;
  }
  if (!sound) state.SkipWithError(kWrong);
  count_quantiles(state, times_ns);
}

// The state of a worker, with its commit, in this process's memory.
class TableScene {
 public:
  TableScene() {
    for (std::uint64_t key = 0; key < kRows; ++key)
      table_[key] = 0;
    commit_.commit();
  }
  using Counts = Table<std::uint64_t, std::uint64_t>;
  Counts& table() noexcept { return table_; }
  ipc::Commit& commit() noexcept { return commit_; }

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  struct alignas(4096) Block {
    std::byte bytes[kBytes];
  };
  std::unique_ptr<Block> entries_ = std::make_unique<Block>();
  std::unique_ptr<Block> state_ = std::make_unique<Block>();
  ipc::UndoHeader undo_header_{};
  ipc::CommitHeader commit_header_{};
  ipc::RedoEntry record_[4]{};
  std::atomic<std::uint64_t> cursors_[4]{};
  ipc::UndoLog log_{undo_header_, entries_->bytes, state_->bytes};
  ipc::Commit commit_{commit_header_, record_, cursors_, log_};
  StateArea area_{"bench", log_};
  Counts table_{area_, "counts", kRows};
};

void table(benchmark::State& state, bool undo) {
  constexpr std::uint64_t kUpdates = 64;
  TableScene scene;
  std::uint64_t key = 0;
  std::uint64_t updates = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (std::uint64_t i = 0; i < kUpdates; ++i) {
      key = (key + 389) % kRows;
      if (undo) {
        ++scene.table()[key];
      } else {
        ++const_cast<std::uint64_t&>(*scene.table().find(key));
      }
      benchmark::ClobberMemory();
    }
    if (undo) scene.commit().commit();
    updates += kUpdates;
  }
  std::uint64_t sum = 0;
  scene.table().for_each([&sum](std::uint64_t, std::uint64_t count) { sum += count; });
  if (sum != updates) state.SkipWithError("the rows do not add up to the updates");
  state.SetItemsProcessed(static_cast<std::int64_t>(updates));
}

void add_through(const std::string& name, MakeWorker make, std::uint64_t batch) {
  add("through/" + name,
      [make = std::move(make), batch](benchmark::State& state) { through(state, make, batch); });
}

void add_batch(std::uint64_t batch, bool quick) {
  const std::string text = batch == kNatural ? "natural" : std::to_string(batch);
  const auto name = [&text](const char* subject, const char* handler) {
    return fmt::format("{}/batch:{}/{}", subject, text, handler);
  };
  add_through(name("worker", "stateless"), engine_worker<Stateless>(batch), batch);
  add_through(name("baseline:bare_loop", "stateless"), bare_worker(batch), batch);
  const auto add_alone = [&name](const char* subject, void (*run)(benchmark::State&, std::uint64_t),
                                 std::uint64_t events) {
    add("one_thread/" + name(subject, "stateless"),
        [run, events](benchmark::State& state) { run(state, events); });
  };
  if (batch == 1 || batch == kNatural) {
    add_alone("worker", &worker_in_one_thread<Stateless>, batch);
    add_alone("baseline:bare_loop", &bare_in_one_thread, batch);
  }
  if (quick && batch != kNatural) return;
  add_through(name("worker", "value"), engine_worker<CountsInValue>(batch), batch);
  add_through(name("worker", "table"), engine_worker<CountsInTable>(batch), batch);
}

void add_all(const Options& options) {
  pin(0);
  for (const std::uint64_t batch : {std::uint64_t{1}, std::uint64_t{8}, std::uint64_t{32}, kNatural})
    add_batch(batch, options.quick);
  const MakeWorker worker = engine_worker<Stateless>(kNatural);
  const MakeWorker bare = bare_worker(kNatural);
  add("round_trip/worker/64B", [worker](benchmark::State& state) { round_trip(state, worker); });
  add("round_trip/baseline:bare_loop/64B", [bare](benchmark::State& state) { round_trip(state, bare); });
  add("table/undo", [](benchmark::State& state) { table(state, true); });
  add("table/baseline:no_undo", [](benchmark::State& state) { table(state, false); });
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
