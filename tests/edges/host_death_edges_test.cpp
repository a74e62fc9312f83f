// SPDX-License-Identifier: Apache-2.0
// A host that dies, with host.death=drain and a named segment: what the next host finds. Nothing that was
// accepted is lost, and nothing is accepted that no stage is left to handle.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <sluice/detail/descriptor.hpp>

#include "census.hpp"
#include "host/host.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

class NumberFile {
 public:
  NumberFile(Worker& worker, const fs::path& path) : file_{worker, "numbers", path} {}
  void operator()(const Item& item) { file_.append(std::to_string(item.number) + "\n"); }
  void finish() { file_.append("end\n"); }

 private:
  AppendFile file_;
};

class NamedHostDeath : public WithProcesses {
 protected:
  NamedHostDeath()
      : accepted_{static_cast<std::atomic<std::uint32_t>*>(
            ::mmap(nullptr, sizeof(*accepted_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))} {
    std::string name = "/dev/shm/sluice-host-death-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~NamedHostDeath() override {
    ::munmap(accepted_, sizeof(*accepted_));
    clear_away(directory_);
  }

  Settings settings(const char* death) const {
    Settings settings = test_settings();
    settings.set("state.bytes", "64KiB");
    settings.set("undo.bytes", "64KiB");
    settings.set("lane.slots", "64");
    settings.set("segment.path", (directory_ / "segment").string());
    settings.set("host.death", death);
    return settings;
  }
  bool kept() const { return fs::exists(directory_ / "segment"); }

  // A host in a process of its own that pushes `count` items, or as many as find room.
  pid_t push_in_a_child(const Pipeline& pipeline, const Settings& settings, std::uint32_t count,
                        const std::function<void(Engine&)>& then = {}) const {
    accepted_->store(0);
    const pid_t host = ::fork();
    if (host != 0) return host;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Engine engine{pipeline, settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    // By a limit, since nobody pulls: a push that would wait for ever is refused after a while.
    for (std::uint32_t i = 0; i < count && in.push_for({i % 7, i}, 1h) == PushResult::accepted; ++i)
      accepted_->store(i + 1);
    if (then) then(engine);
    while (true)
      ::pause();
  }
  // Kills it, and waits until its pipeline has come to its end without it.
  void kill_host(pid_t host) const {
    ::kill(host, SIGKILL);
    ::waitpid(host, nullptr, 0);
    EXPECT_TRUE(eventually([this] { return processes_of(name_).empty(); })) << "its pipeline lives on";
    ASSERT_TRUE(kept());
  }
  // All lanes are full: the push blocks, since no process pulls.
  void await_a_push_that_blocks() const {
    std::uint32_t before = 0;
    EXPECT_TRUE(eventually([&] {
      const std::uint32_t now = accepted_->load();
      const bool blocked = now != 0 && now == before;
      before = now;
      std::this_thread::sleep_for(50ms);
      return blocked;
    }));
  }

  const std::string name_ = "named-host-death-" + std::to_string(::getpid());
  fs::path directory_;
  std::atomic<std::uint32_t>* accepted_;
};

TEST_F(NamedHostDeath, ThatDrainsClosesTheInletsOfTheNextHost) {
  const fs::path path = directory_ / "numbers";
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<Echo>("echo").to<NumberFile>("write", path);
  const pid_t host = push_in_a_child(pipeline, settings("drain"), 1000);
  EXPECT_TRUE(eventually([this] { return accepted_->load() == 1000; }));
  kill_host(host);
  Engine engine{pipeline, settings("drain")};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_TRUE(engine.draining());
  auto in = engine.inlet<Item>("in");
  EXPECT_TRUE(in.closed());
  EXPECT_EQ(in.position(), 1000U);
  EXPECT_EQ(in.push({0, 1000}), PushResult::ended) << "the stages have said their last words";
  engine.wait();
  EXPECT_FALSE(kept());
  std::ifstream file{path};
  std::uint32_t count = 0;
  std::string line;
  for (; std::getline(file, line) && line != "end"; ++count)
    EXPECT_EQ(line, std::to_string(count));
  EXPECT_EQ(count, 1000U);
  EXPECT_EQ(line, "end");
}

// Holds the first item until the file `go` is there.
class HoldsTheFirst {
 public:
  HoldsTheFirst(Worker& worker, fs::path begun, fs::path go)
      : worker_{worker}, begun_{std::move(begun)}, go_{std::move(go)} {}
  void operator()(const Item& item, Output<Item>& out) {
    if (item.number == 0) {
      const auto call = worker_.outside(kDeadline);
      { std::ofstream{begun_}; }
      while (!fs::exists(go_))
        std::this_thread::sleep_for(1ms);
    }
    out.push(item);
  }

 private:
  Worker& worker_;
  fs::path begun_;
  fs::path go_;
};

// Of the last push of a pipeline's only inlet, takes back what the host stores behind the step by which it counts: as it is
// when the host dies there. By the file of the segment, which the host has mapped.
void take_back_behind_the_commit(const Pipeline& pipeline, const Settings& settings) {
  detail::Host unopened{pipeline.graph(), settings, settings.text("segment.path")};
  const detail::Layout& layout = unopened.wiring().layout();
  const detail::ProcessLayout& region = layout.processes[detail::kHostProcess];
  const auto in_file = unopened.wiring().segment().in_file(detail::kHostProcess.value());
  const detail::Descriptor file{::open(settings.text("segment.path").c_str(), O_RDWR | O_CLOEXEC)};
  void* const mapped = ::mmap(nullptr, region.plain_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(),
                              static_cast<off_t>(in_file.first_byte));
  ASSERT_NE(mapped, MAP_FAILED);
  auto* const bytes = static_cast<std::byte*>(mapped);
  const detail::EndLayout& end = layout.ends.front();
  auto& commit = *reinterpret_cast<ipc::CommitHeader*>(bytes + end.commit);
  const auto* const record = reinterpret_cast<const ipc::RedoEntry*>(bytes + end.record);
  auto* const cursors = reinterpret_cast<std::atomic<std::uint64_t>*>(bytes + region.cursors);
  EXPECT_EQ(commit.count, 2U) << "a tail and how many were pushed";
  for (std::uint64_t i = 0; i < commit.count; ++i) {
    EXPECT_EQ(cursors[record[i].word].load(), record[i].value);
    cursors[record[i].word].fetch_sub(record[i].word == end.count_word ? 1 : sizeof(Item));
  }
  commit.applied.fetch_sub(1);
  ::munmap(mapped, region.plain_bytes);
}

TEST_F(NamedHostDeath, ThatDrainsHandlesWhatWasPushedWhereverThePushWas) {
  const fs::path path = directory_ / "numbers";
  const fs::path begun = directory_ / "begun";
  const fs::path go = directory_ / "go";
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<HoldsTheFirst>("hold", {}, begun, go).to<NumberFile>("write", path);
  const pid_t host = push_in_a_child(pipeline, settings("drain"), 1, [&](Engine& engine) {
    if (!eventually([&] { return fs::exists(begun); })) ::_exit(1);
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t i = 1; i < 3 && in.push({i % 7, i}) == PushResult::accepted; ++i)
      accepted_->store(i + 1);
  });
  EXPECT_TRUE(eventually([this] { return accepted_->load() == 3; }));
  take_back_behind_the_commit(pipeline, settings("drain"));
  ::kill(host, SIGKILL);
  { std::ofstream{go}; }
  kill_host(host);
  Engine engine{pipeline, settings("drain")};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").position(), 3U);
  engine.wait();
  std::ifstream file{path};
  EXPECT_EQ((std::string{std::istreambuf_iterator<char>{file}, {}}), "0\n1\n2\nend\n");
}

TEST_F(NamedHostDeath, ThatDrainsKeepsWhatTheNextHostIsToPull) {
  Settings tiny = settings("drain");
  tiny.set("lane.slots", "2");
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<Multiply>("multiply", 100U).to<Echo>("echo").outlet("out");
  const pid_t host = push_in_a_child(pipeline, tiny, ~std::uint32_t{0});
  await_a_push_that_blocks();
  kill_host(host);
  std::uint32_t pulled = 0;
  const auto take = [&](const Item& item) { EXPECT_EQ(item.number, pulled++); };
  Engine engine{pipeline, tiny};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  auto in = engine.inlet<Item>("in");
  EXPECT_EQ(in.push({0, 0}), PushResult::ended);
  auto out = engine.outlet<Item>("out");
  EXPECT_TRUE(eventually([&] {
    out.poll(take);
    return out.ended();
  }));
  EXPECT_EQ(pulled, in.position() * 100) << "a lane that was full has lost nothing";
  EXPECT_GE(in.position(), accepted_->load());
  engine.wait();
  EXPECT_FALSE(kept());
}

TEST_F(NamedHostDeath, InTheMidstOfADrainGoesOnWithIt) {
  for (const char* death : {"stop", "drain"}) {
    Settings tiny = settings(death);
    tiny.set("lane.slots", "2");
    Pipeline pipeline{name_};
    pipeline.inlet<Item>("in").to<Multiply>("multiply", 100U).outlet("out");
    const pid_t host = push_in_a_child(pipeline, tiny, 3, [this](Engine& engine) {
      engine.begin_drain();
      accepted_->store(100);
    });
    EXPECT_TRUE(eventually([this] { return accepted_->load() == 100; }));
    kill_host(host);
    Engine engine{pipeline, tiny};
    engine.start();
    EXPECT_TRUE(engine.draining()) << death;
    EXPECT_EQ(engine.inlet<Item>("in").push({0, 0}), PushResult::ended);
    EXPECT_EQ(Collector<Item>(engine, "out").all().size(), 300U);
    engine.wait();
    EXPECT_FALSE(kept());
  }
}

}  // namespace
}  // namespace sluice::test
