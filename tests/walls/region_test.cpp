// SPDX-License-Identifier: Apache-2.0
// What becomes of regions between two lives, in one process: what the next worker checks before it takes one over,
// whom it rings, and what a resumed pipeline forgets and keeps.
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "death/crash_note.hpp"
#include "host/resume.hpp"
#include "observer/observer_socket.hpp"
#include "scene.hpp"
#include "support/clear_away.hpp"
#include "worker/region_check.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

struct Sinks {
  void operator()(const Item&) {}
};

// host -> pass -> sink, in memory that this process may write.
struct RegionsAtRest {
  RegionsAtRest() : host{pipeline().graph(), tiny_lanes()} {
    wiring().segment().prefault();
    wiring().segment().own_everything();
  }
  static Pipeline pipeline() {
    Pipeline made{"rest"};
    made.inlet<Item>("in").to<Echo>("pass").to<Sinks>("sink");
    return made;
  }
  const Wiring& wiring() const { return host.wiring(); }
  std::string fault(WorkerIndex worker) const { return fault_of_region(wiring(), worker); }
  std::atomic<std::uint64_t>& word(WorkerIndex worker, std::uint64_t word) const {
    return wiring().worker(worker).cursors()[word];
  }
  ipc::LaneMemory between() const { return wiring().lane(wiring().worker(kSink).layout().lanes_in.at(0)); }

  static constexpr WorkerIndex kPass{0};
  static constexpr WorkerIndex kSink{1};
  Host host;
};

TEST(RegionCheck, FindsNothingInARegionThatIsSound) {
  const RegionsAtRest rest;
  EXPECT_EQ(rest.fault(RegionsAtRest::kPass), "");
  EXPECT_EQ(rest.fault(RegionsAtRest::kSink), "");
  rest.between().producer->tail = 3 * sizeof(Item);
  rest.between().consumer->head = 2 * sizeof(Item);
  EXPECT_EQ(rest.fault(RegionsAtRest::kPass), "");
  EXPECT_EQ(rest.fault(RegionsAtRest::kSink), "");
}

TEST(RegionCheck, FindsASinkThatHasFinishedBeforeItsLanesHaveEnded) {
  const RegionsAtRest rest;
  rest.word(RegionsAtRest::kSink, kFinished) = 1;
  EXPECT_THAT(rest.fault(RegionsAtRest::kSink),
              HasSubstr("the worker has finished and the lane has not ended"));
  rest.between().producer->ended = ipc::kEnded;
  EXPECT_EQ(rest.fault(RegionsAtRest::kSink), "");
  rest.between().producer->tail = sizeof(Item);
  EXPECT_THAT(rest.fault(RegionsAtRest::kSink), HasSubstr("the lane has not ended"))
      << "it is not read to its end";
}

TEST(RegionCheck, FindsAnEndThatItsWorkerKnowsNothingOf) {
  const RegionsAtRest rest;
  rest.between().producer->ended = ipc::kEnded;
  EXPECT_EQ(rest.fault(RegionsAtRest::kPass),
            "the lane from pass/0 to sink/0 is corrupt: its end and the worker's do not agree");
  rest.word(RegionsAtRest::kPass, kFinished) = 1;
  EXPECT_EQ(rest.fault(RegionsAtRest::kPass), "");
}

TEST(RegionCheck, FindsWordsThatNoWorkerWrites) {
  const RegionsAtRest rest;
  rest.word(RegionsAtRest::kSink, kFinished) = kCutShort + 1;
  EXPECT_EQ(rest.fault(RegionsAtRest::kSink), "the word that says whether it has finished is corrupt");
  rest.between().producer->ended = 2;
  EXPECT_THAT(rest.fault(RegionsAtRest::kPass), HasSubstr("whether it has ended is corrupt"));
}

TEST(RegionCheck, FindsCursorsWhereTheyCannotBe) {
  const RegionsAtRest rest;
  const ipc::LaneMemory lane = rest.between();
  lane.producer->tail = sizeof(Item) / 2;
  EXPECT_THAT(rest.fault(RegionsAtRest::kPass), HasSubstr("what was produced ends in the midst of an event"));
  lane.producer->tail = 2 * sizeof(Item);
  lane.consumer->head = sizeof(Item) / 2;
  EXPECT_THAT(rest.fault(RegionsAtRest::kSink), HasSubstr("what was consumed ends in the midst of an event"));
  lane.consumer->head = 3 * sizeof(Item);
  EXPECT_THAT(rest.fault(RegionsAtRest::kSink), HasSubstr("stand where they cannot"));
  lane.consumer->head = 0;
  lane.producer->tail = lane.capacity_bytes + sizeof(Item);
  EXPECT_THAT(rest.fault(RegionsAtRest::kPass), HasSubstr("stand where they cannot"));
}

TEST(ForgottenProcesses, LeaveAWorkerShedThatWasAndEveryOtherToBeStarted) {
  const RegionsAtRest rest;
  WorkerEntry& shed = rest.wiring().entry(RegionsAtRest::kPass);
  WorkerEntry& other = rest.wiring().entry(RegionsAtRest::kSink);
  shed.shed = 1;
  for (WorkerEntry* entry : {&shed, &other}) {
    entry->done = 1;
    entry->pid = 4711;
    entry->restarts = DeathCount{3, 0};
    entry->blames[0].event = 17;
  }
  forget_processes(rest.wiring());
  EXPECT_EQ(shed.done, 1U) << "its neighbours may have ended without what it would make";
  EXPECT_EQ(other.done, 0U);
  for (const WorkerEntry* entry : {&shed, &other}) {
    EXPECT_EQ(entry->pid, 0);
    EXPECT_EQ(entry->restarts.load().deaths, 3U);
    EXPECT_EQ(entry->blames[0].event, 17U) << "how often an event has killed its worker is remembered";
  }
}

TEST(ForgottenProcesses, LeaveNoStackAndNoSleeperBehind) {
  const RegionsAtRest rest;
  const WorkerMemory worker = rest.wiring().worker(RegionsAtRest::kSink);
  worker.crash_note().frame_count = 1;  // Its addresses mean nothing in the next life.
  worker.control().sleeping = 1;
  worker.control().wakefulness = ipc::Wakefulness::may_sleep;
  ipc::Control& end = rest.wiring().end(rest.wiring().layout().ends.front().node).control;
  end.sleeping = 1;
  worker.control().lives[0].ready_ns = 17;
  rest.wiring().requests().drain = 1;
  rest.wiring().requests().stop = 1;
  rest.wiring().master().state = RunState::failed;
  forget_processes(rest.wiring());
  EXPECT_EQ(worker.crash_note().frame_count, 0U);
  EXPECT_EQ(worker.control().sleeping, 0U);
  EXPECT_EQ(worker.control().wakefulness, ipc::Wakefulness::awake);
  EXPECT_EQ(end.sleeping, 0U);
  EXPECT_EQ(worker.control().lives[0].ready_ns, 0) << "or the start would not wait for it";
  EXPECT_EQ(rest.wiring().requests().drain, 1U) << "a drain stays asked for";
  EXPECT_EQ(rest.wiring().requests().stop, 0U);
  EXPECT_EQ(rest.wiring().master().state, RunState::starting);
}

// The predecessor may have died between publishing and ringing.
TEST(Replacements, RingEveryNeighbourAndNoOther) {
  Scene scene;
  const auto taken = [&scene](ProcessIndex process) {
    return scene.wiring().bell(process).wait(std::chrono::nanoseconds{0});
  };
  // Of the host's ends of that kind; all of them are taken.
  const auto ends_taken = [&scene](NodeKind kind) {
    bool rang = false;
    for (const EndLayout& end : scene.wiring().layout().ends) {
      if (scene.wiring().node(end.node).kind != kind) continue;
      rang = scene.wiring().end_bell(end.node).wait(std::chrono::nanoseconds{0}) || rang;
    }
    return rang;
  };
  for (const char* name : {"split/0", "count/0"}) {
    for (const ProcessIndex process : scene.wiring().processes())
      taken(process);
    ends_taken(NodeKind::inlet);
    ends_taken(NodeKind::outlet);
    scene.take_over(scene.process(name));
    const bool middle = std::string{name} == "split/0";
    EXPECT_EQ(ends_taken(NodeKind::inlet), middle) << name << " is fed by it";
    EXPECT_TRUE(ends_taken(NodeKind::outlet)) << name << " feeds one";
    EXPECT_FALSE(taken(kHostProcess)) << name;
    EXPECT_EQ(taken(scene.process("count/1")), middle) << name;
    EXPECT_EQ(taken(scene.process(middle ? "count/0" : "split/0")), true) << name;
    EXPECT_FALSE(taken(kMasterProcess)) << name;
  }
}

// A directory for sockets that the environment names for as long as this lives.
class RuntimeDirectory {
 public:
  RuntimeDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-runtime-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    if (const char* before = std::getenv("XDG_RUNTIME_DIR")) before_ = before;
    ::setenv("XDG_RUNTIME_DIR", path_.c_str(), 1);
    std::filesystem::create_directory(sockets());
  }
  ~RuntimeDirectory() {
    if (before_.empty()) {
      ::unsetenv("XDG_RUNTIME_DIR");
    } else {
      ::setenv("XDG_RUNTIME_DIR", before_.c_str(), 1);
    }
    clear_away(path_);
  }
  RuntimeDirectory(const RuntimeDirectory&) = delete;
  RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;
  std::filesystem::path sockets() const { return path_ / "sluice"; }

 private:
  std::filesystem::path path_;
  std::string before_;
};

TEST(ObserverSockets, AreInNoDirectoryThatOthersMayWrite) {
  const RuntimeDirectory runtime;
  using std::filesystem::perms;
  for (const perms mode :
       {perms::owner_all | perms::group_write, perms::owner_all | perms::others_write, perms::all}) {
    std::filesystem::permissions(runtime.sockets(), mode);
    EXPECT_THAT(observer_socket_directories(), Not(Contains(runtime.sockets())));
    const ObserverSocket made{{ObserverSettings::Socket::by_itself, {}}, "rest", {}, "nothing"};
    EXPECT_NE(std::filesystem::path{made.path()}.parent_path(), runtime.sockets());
    if (made.open()) ::unlink(made.path().c_str());
  }
  std::filesystem::permissions(runtime.sockets(), perms::owner_all | perms::group_read | perms::others_read);
  EXPECT_THAT(observer_socket_directories(), Contains(runtime.sockets()));
}

TEST(ObserverSockets, AreInNoDirectoryBehindALink) {
  const RuntimeDirectory runtime;
  const std::filesystem::path elsewhere = runtime.sockets().parent_path() / "elsewhere";
  std::filesystem::rename(runtime.sockets(), elsewhere);
  std::filesystem::create_directory_symlink(elsewhere, runtime.sockets());
  EXPECT_THAT(observer_socket_directories(), Not(Contains(runtime.sockets())));
}

}  // namespace
}  // namespace sluice::test
