// SPDX-License-Identifier: Apache-2.0
#include "scene.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <tuple>

#include "worker/worker_access.hpp"

namespace sluice::test {

using namespace detail;
namespace {

constexpr int kMostTurns = 1'000;
constexpr std::uint32_t kKeys = 8;

// The one scene of this process: handlers are made by the engine and know nothing of who watches them.
Scene* watched = nullptr;

void tell(std::function<void()> Scene::*hook) {
  if (watched != nullptr && watched->*hook) (watched->*hook)();
}

// Odd numbers go to the host, all items to `count`; keeps a table and a value.
class SplitAndRemember {
 public:
  explicit SplitAndRemember(Worker& worker)
      : last_{worker.table<std::uint32_t, std::uint32_t>("last", 16)},
        seen_{worker.state<std::uint64_t>("seen")} {
    WorkerAccess::before_any_commit(worker, [] { tell(&Scene::before_commit); });
  }
  void operator()(const Item& item, Output<Record<Item>>& all, Output<Item>& odd) {
    last_[item.key % kKeys] = item.number;
    ++seen_.edit();
    all.push(item, std::string_view{"0123456789abcdef"}.substr(0, item.number % 16));
    tell(&Scene::in_event);
    if (item.number % 2 == 1) odd.push(item);
  }

 private:
  Table<std::uint32_t, std::uint32_t> last_;
  Recoverable<std::uint64_t> seen_;
};

class CountRecords {
 public:
  explicit CountRecords(Worker& worker)
      : replica_{worker.replica()}, seen_{worker.table<std::uint32_t, std::uint32_t>("seen", 16)} {}
  void operator()(const Record<Item>& record, Output<Counted>& out) {
    out.push({record.head, replica_, seen_[record.head.key % kKeys]++});
  }

 private:
  std::uint32_t replica_;
  Table<std::uint32_t, std::uint32_t> seen_;
};

Pipeline scene_pipeline() {
  Pipeline pipeline{"scene"};
  auto [all, odd] = pipeline.inlet<Item>("in").to<SplitAndRemember>("split");
  odd.outlet("odd");
  all.by([](const Record<Item>& record) { return record.head.key; })
      .to<CountRecords>("count", {.workers = 2})
      .outlet("out");
  return pipeline;
}

Settings scene_settings() {
  Settings settings = tiny_lanes();
  settings.set("state.bytes", "4096");
  settings.set("undo.bytes", "4096");
  settings.set("batch.events", "16");
  return settings;
}

}  // namespace

Scene::Scene() : host_{scene_pipeline().graph(), scene_settings()} {
  const Wiring& wiring = host_.wiring();
  wiring.segment().prefault();
  wiring.segment().own_everything();
  loops_.resize(wiring.processes().size());
  running_.resize(wiring.processes().size());
  watched = this;
  reopen(kHostProcess);
}

Scene::~Scene() {
  watched = nullptr;
}

ProcessIndex Scene::process(const std::string& name) const {
  for (const ProcessIndex process : wiring().processes()) {
    if (wiring().name(process) == name) return process;
  }
  throw std::logic_error{"no process " + name};
}

std::span<std::byte> Scene::part(ProcessIndex process, std::size_t offset, std::size_t bytes) const {
  return wiring().segment().plain(process.value()).subspan(offset, bytes);
}

Image Scene::image() const {
  Image image;
  const auto keep = [&image](const std::byte* data, std::size_t bytes) {
    image.emplace_back(data, data + bytes);
  };
  for (const ProcessIndex p : wiring().processes()) {
    const std::span<std::byte> plain = wiring().segment().plain(p.value());
    keep(plain.data(), plain.size());
    for (std::size_t ring = 0; ring < wiring().layout().processes[p].lanes_out.size(); ++ring) {
      const ipc::RingView view = wiring().segment().ring(p.value(), ring);
      keep(view.data, view.capacity_bytes);
    }
  }
  return image;
}

void Scene::restore(const Image& image) {
  auto piece = image.begin();
  for (const ProcessIndex p : wiring().processes()) {
    std::memcpy(wiring().segment().plain(p.value()).data(), piece->data(), piece->size());
    ++piece;
    for (std::size_t ring = 0; ring < wiring().layout().processes[p].lanes_out.size(); ++ring, ++piece)
      std::memcpy(wiring().segment().ring(p.value(), ring).data, piece->data(), piece->size());
  }
}

void Scene::reopen(ProcessIndex dead) {
  const Graph& graph = wiring().graph();
  inlet_ = std::make_unique<HostInlet>(host_, graph.find("in", NodeKind::inlet), *this);
  outlets_.clear();
  for (const char* name : {"odd", "out"}) {
    outlets_.push_back(std::make_unique<HostOutlet>(host_, graph.find(name, NodeKind::outlet), *this));
  }
  odd_.clear();
  counted_.clear();
  pushed_ = 0;
  for (const WorkerIndex worker : wiring().workers()) {
    const ProcessIndex p = process_of(worker);
    loops_[p].reset();
    running_[p] = 0;
    if (p != dead) loops_[p] = std::make_unique<WorkerLoop>(wiring(), worker, *this);
  }
}

void Scene::take_over(ProcessIndex process) {
  begin_life(wiring().process(process).control(), process);
  loops_[process] = std::make_unique<WorkerLoop>(wiring(), worker_of(process), *this);
}

void Scene::push(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    std::ignore = inlet_->push(Item{pushed_ % kKeys, pushed_});
    ++pushed_;
  }
}

void Scene::poll() {
  const auto keep_odd = [this](std::span<const std::byte> payload) {
    Item item;
    std::memcpy(&item, payload.data(), sizeof(item));
    odd_.push_back(item);
  };
  const auto keep_counted = [this](std::span<const std::byte> payload) {
    Counted counted;
    std::memcpy(&counted, payload.data(), sizeof(counted));
    counted_.push_back(counted);
  };
  outlets_[0]->poll_payloads(keep_odd, static_cast<std::size_t>(-1));
  outlets_[1]->poll_payloads(keep_counted, static_cast<std::size_t>(-1));
}

bool Scene::turn() {
  bool worked = false;
  for (const WorkerIndex worker : wiring().workers()) {
    const ProcessIndex p = process_of(worker);
    if (loops_[p] == nullptr || running_[p] != 0) continue;
    running_[p] = 1;
    struct Done {
      char& running;
      ~Done() { running = 0; }
    } done{running_[p]};
    // A worker that did nothing and has input does not wait either.
    const WorkerLoop::Step step = loops_[p]->step();
    worked = step == WorkerLoop::Step::worked ||
             (step == WorkerLoop::Step::nothing && loops_[p]->input_ready()) || worked;
  }
  const std::size_t before = odd_.size() + counted_.size();
  poll();
  return worked || odd_.size() + counted_.size() != before;
}

void Scene::finish() {
  inlet_->close();
  for (int turns = 0; turns < kMostTurns; ++turns) {
    if (!turn()) break;
  }
  const auto ended = [](const std::unique_ptr<HostOutlet>& outlet) { return outlet->ended(); };
  if (!std::all_of(outlets_.begin(), outlets_.end(), ended)) throw Stuck{};
}

ipc::Woken Scene::wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds) {
  if (in_wait) in_wait();
  for (int turns = 0; turns < kMostTurns; ++turns) {
    if (ready()) return ipc::Woken::ready;
    if (!turn()) break;
  }
  if (ready()) return ipc::Woken::ready;
  throw Stuck{};
}

}  // namespace sluice::test
