// SPDX-License-Identifier: Apache-2.0
// A store outside its own region faults in the worker that makes it: for every other region, at both ends of
// its plain part and of its rings, through both of their mappings. Nothing changes, and the flow goes on.
#include <csignal>
#include <fcntl.h>
#include <poll.h>

#include <sluice/detail/sanitizers.hpp>

#include "engine/pipelines.hpp"
#include "engine/processes.hpp"
#include "layout/layout.hpp"
#include "support/maps.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::HasSubstr;

constexpr const char* kName = "stray-stores";

// Asks the worker in its incarnation `incarnation` to write a byte of the segment.
struct Shot {
  std::uint32_t key = 0;
  std::uint32_t incarnation = 0;  // 0: no shot, only an event.
  std::uint64_t offset = 0;
  std::uint32_t replica = 0;  // Who had it in the end.
};

// Where a worker says that it went on after its store.
int survivors[2];

class Stray {
 public:
  explicit Stray(Worker& worker)
      : incarnation_{worker.incarnation()},
        replica_{worker.replica()},
        base_{segment_base(::getpid(), kName)} {}
  void operator()(const Shot& shot, Output<Shot>& out) const {
    if (shot.incarnation == incarnation_) {
      // The sanitizer's handler would make an exit of it.
      if (SLUICE_ADDRESS_SANITIZER) std::signal(SIGSEGV, SIG_DFL);
      auto* target = const_cast<volatile std::byte*>(base_) + shot.offset;
      *target = ~*target;
      const char word = 'x';
      if (::write(survivors[1], &word, 1) != 1) std::terminate();
    }
    Shot done = shot;
    done.replica = replica_;
    out.push(done);
  }

 private:
  std::uint32_t incarnation_;
  std::uint32_t replica_;
  const std::byte* base_;
};

Pipeline stray_pipeline() {
  Pipeline pipeline{kName};
  pipeline.inlet<Shot>("in")
      .by(&Shot::key)
      .to<Stray>("stray", {.workers = 2, .descriptors = {survivors[1]}})
      .outlet("out");
  return pipeline;
}

// Offsets from the segment's first byte: those of the same layout are the same in every segment.
class Map {
 public:
  explicit Map(const Settings& settings)
      : layout_{lay_out(stray_pipeline().graph(), resolve(settings, stray_pipeline().graph()))},
        scratch_{"scratch", region_specs(layout_)} {}

  const Layout& layout() const noexcept { return layout_; }
  // First byte and the one behind the last.
  std::pair<std::uint64_t, std::uint64_t> region(ProcessIndex process) const {
    const std::span<std::byte> plain = scratch_.plain(process.value());
    const std::size_t rings = layout_.processes[process].lanes_out.size();
    if (rings == 0) return {offset_of(plain.data()), offset_of(plain.data() + plain.size())};
    const ipc::RingView last = scratch_.ring(process.value(), rings - 1);
    return {offset_of(plain.data()), offset_of(last.data + 2 * last.capacity_bytes)};
  }
  // The ends of everything that a region consists of.
  std::vector<std::uint64_t> ends(ProcessIndex process) const {
    std::vector<std::uint64_t> offsets;
    const auto add = [&](const std::byte* data, std::size_t bytes) {
      offsets.push_back(offset_of(data));
      offsets.push_back(offset_of(data) + bytes - 1);
    };
    add(scratch_.plain(process.value()).data(), scratch_.plain(process.value()).size());
    for (std::size_t ring = 0; ring < layout_.processes[process].lanes_out.size(); ++ring) {
      const ipc::RingView view = scratch_.ring(process.value(), ring);
      add(view.data, view.capacity_bytes);
      add(view.data + view.capacity_bytes, view.capacity_bytes);
    }
    return offsets;
  }

 private:
  std::uint64_t offset_of(const std::byte* address) const {
    return static_cast<std::uint64_t>(address - segment_base(::getpid(), "scratch"));
  }

  Layout layout_;
  ipc::Segment scratch_;
};

class StrayStore : public WithProcesses {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe2(survivors, O_CLOEXEC | O_NONBLOCK), 0); }
  void TearDown() override {
    ::close(survivors[0]);
    ::close(survivors[1]);
    WithProcesses::TearDown();
  }
  static bool anybody_survived() {
    char word = 0;
    return ::read(survivors[0], &word, 1) == 1;
  }
};

// A running pipeline, and one event after the other through it.
class Range {
 public:
  explicit Range(const Settings& settings) : engine_{stray_pipeline(), settings} {
    engine_.start();
    in_.emplace(engine_.inlet<Shot>("in"));
    out_.emplace(engine_.outlet<Shot>("out"));
    for (std::uint32_t key = 0; key_of_.size() < 2 && key < 1000; ++key)
      key_of_.try_emplace(pass({key, 0, 0, 0}).replica, key);
  }

  Engine& engine() noexcept { return engine_; }
  // Through the worker `replica`; what comes out.
  Shot shoot(std::uint32_t replica, std::uint64_t offset) {
    const std::string name = "stray/" + std::to_string(replica);
    return pass({key_of_.at(replica), worker_of(engine_, name).incarnation, offset, 9});
  }

 private:
  Shot pass(const Shot& shot) {
    EXPECT_EQ(in_->push(shot), PushResult::accepted);
    Shot result;
    EXPECT_TRUE(eventually([&] { return out_->poll([&](const Shot& got) { result = got; }, 1) == 1; }));
    return result;
  }

  Engine engine_;
  std::optional<Inlet<Shot>> in_;
  std::optional<Outlet<Shot>> out_;
  std::map<std::uint32_t, std::uint32_t> key_of_;  // By replica.
};

TEST_F(StrayStore, FaultsInTheWorkerThatMakesItForEveryOtherRegion) {
  const Settings settings = test_settings();
  const Map map{settings};
  Range range{settings};
  const std::byte* base = segment_base(::getpid(), kName);
  std::uint32_t shots = 0;
  for (std::uint32_t replica = 0; replica < 2; ++replica) {
    const std::string name = "stray/" + std::to_string(replica);
    for (const ProcessIndex process : map.layout().processes.indices()) {
      if (process == process_of(WorkerIndex{replica})) continue;
      for (const std::uint64_t offset : map.ends(process)) {
        SCOPED_TRACE(name + " into " + map.layout().processes[process].name + " at " +
                     std::to_string(offset - map.region(process).first));
        const std::byte before = *(base + offset);
        const std::uint32_t restarts = worker_of(range.engine(), name).restarts;
        ASSERT_EQ(range.shoot(replica, offset).replica, replica);
        ASSERT_FALSE(anybody_survived());
        EXPECT_EQ(worker_of(range.engine(), name).restarts, restarts + 1);
        EXPECT_EQ(*(base + offset), before);
        ++shots;
      }
    }
  }
  EXPECT_GE(shots, 2U * 3U * 2U) << "three other regions, two ends each";
  std::cout << shots << " stores, each of them the end of its worker and of nobody else\n";
}

TEST_F(StrayStore, IsReportedAsTheSignalThatItIs) {
  Settings settings = test_settings();
  settings.set("restart.budget", "0");
  settings.set("poison.attempts", "0");  // The event would be moved out of the way instead.
  const Map map{settings};
  EXPECT_THAT(error_of([&] {
                Range range{settings};
                auto in = range.engine().inlet<Shot>("in");
                for (std::uint32_t key = 0; key < 100; ++key)
                  std::ignore = in.push({key, 1, map.region(kMasterProcess).first, 0});
                range.engine().wait();
              }),
              HasSubstr("signal 11"));
  EXPECT_FALSE(anybody_survived());
}

TEST_F(StrayStore, IsPossibleForNoProcessBeyondItsOwnRegion) {
  const Settings settings = test_settings();
  const Map map{settings};
  Range range{settings};
  const auto base = reinterpret_cast<std::uintptr_t>(segment_base(::getpid(), kName));
  const auto writes_only = [&](pid_t pid, ProcessIndex process) {
    SCOPED_TRACE(map.layout().processes[process].name);
    const std::vector<Mapping> ranges = writable_ranges(pid, kName);
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].begin - base, map.region(process).first);
    EXPECT_EQ(ranges[0].end - base, map.region(process).second);
  };
  const pid_t master = master_of(range.engine());
  writes_only(::getpid(), kHostProcess);
  writes_only(master, kMasterProcess);
  const std::vector<pid_t> workers = pids_of(range.engine());
  ASSERT_EQ(workers.size(), 2U);
  for (std::size_t worker = 0; worker < workers.size(); ++worker)
    writes_only(workers[worker], process_of(WorkerIndex{worker}));
  // The standby still is what it was forked from: a copy of the master.
  for (const pid_t child : children_of(master)) {
    for (const Mapping& mapping : writable_ranges(child, kName)) {
      const bool worker = std::find(workers.begin(), workers.end(), child) != workers.end();
      EXPECT_TRUE(worker || mapping.begin - base >= map.region(kMasterProcess).first);
      EXPECT_TRUE(worker || mapping.end - base <= map.region(kMasterProcess).second);
    }
  }
}

}  // namespace
}  // namespace sluice::test
