// SPDX-License-Identifier: Apache-2.0
// Places are kept while the pipeline runs: what somebody moves is put back, what cannot be had is planned anew.

#include <fcntl.h>
#include <sys/syscall.h>

#include <sluice/detail/descriptor.hpp>

#include "child_status.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

class PlaceKeeper : public WithProcesses {};

TEST_F(PlaceKeeper, PutsAWorkerBackWhoseMaskWasRewrittenAndCountsIt) {
  const Reports reports;
  Settings settings = placed_settings();
  settings.set("report.path", reports.path);
  Engine engine{echo_pipeline(), settings};
  const std::string log = reports.path + ".log";
  const detail::Descriptor said{::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  engine.log_to(said.get());
  engine.start();
  const WorkerStats before = echo_of(engine);
  const CpuSet place = CpuSet::parse(before.place);
  EXPECT_EQ(units_of(before.pid), place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";

  ASSERT_TRUE(set_units(before.pid, others));
  EXPECT_TRUE(eventually([&] { return units_of(before.pid) == place; }));
  EXPECT_TRUE(eventually([&] { return echo_of(engine).put_back == 1; }));
  const WorkerStats after = echo_of(engine);
  EXPECT_EQ(after.displaced, 1U);
  EXPECT_EQ(after.planned_anew, 0U);
  EXPECT_EQ(after.place_refused, "");
  EXPECT_THAT(to_text(engine.stats(), {}, 0),
              testing::HasSubstr("echo/0: place " + before.place + ", found elsewhere once"));
  EXPECT_TRUE(eventually([&] { return reports.deaths().find("\"report\":\"place\"") != std::string::npos; }));
  EXPECT_THAT(reports.deaths(), testing::HasSubstr("\"did\":\"put back\""));
  engine.stop();
  EXPECT_THAT(text_of_file(log),
              testing::HasSubstr("echo/0 was found on the processing units " + others.to_string() +
                                 ", and its place is " + place.to_string() + ": put back\n"));
  std::filesystem::remove(log);
}

TEST_F(PlaceKeeper, PutsMasterAndSupervisorBackCountsItAndTells) {
  const Reports reports;
  Settings settings = placed_settings();
  settings.set("report.path", reports.path);
  Engine engine{echo_pipeline(), settings};
  engine.start();
  ASSERT_TRUE(eventually([&] { return engine.stats().master_at_work.count() != 0; }));
  std::uint32_t times = 0;
  for (const bool of_master : {true, false}) {
    const pid_t pid = of_master ? master_of(engine) : supervisor_of(engine);
    const CpuSet place = units_of(pid);
    const CpuSet others = other_units(place);
    if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
    ASSERT_TRUE(set_units(pid, others));
    EXPECT_TRUE(eventually([&] { return units_of(pid) == place; }));
    ++times;
    EXPECT_TRUE(eventually([&] { return engine.stats().masters_displaced == times; }));
    const std::string name = of_master ? "\"master\"" : "\"supervisor\"";
    EXPECT_TRUE(eventually([&] { return reports.deaths().find("\"worker\":" + name) != std::string::npos; }));
  }
  EXPECT_EQ(echo_of(engine).displaced, 0U);
  engine.stop();
}

TEST_F(PlaceKeeper, LooksOftenEnoughByItself) {
  Settings settings = pinned_settings();
  Engine engine{echo_pipeline(), settings};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet others = other_units(CpuSet::parse(worker.place));
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  ASSERT_TRUE(set_units(worker.pid, others));
  EXPECT_TRUE(eventually([&] { return units_of(worker.pid) == CpuSet::parse(worker.place); }));
  engine.stop();
}

TEST_F(PlaceKeeper, DoesNotLookWhereItIsToldNotTo) {
  Engine engine{echo_pipeline(), placed_settings("0s")};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet others = other_units(CpuSet::parse(worker.place));
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  ASSERT_TRUE(set_units(worker.pid, others));
  EXPECT_FALSE(eventually([&] { return units_of(worker.pid) != others; }, 700ms));
  EXPECT_EQ(echo_of(engine).displaced, 0U);
  engine.stop();
}

// Has a thread, which says its number.
class Threaded {
 public:
  void operator()(const Item&, Output<std::int32_t>& out) {
    std::atomic<pid_t> id{0};
    threads_.emplace_back([&id, this] {
      id = static_cast<pid_t>(::syscall(SYS_gettid));
      while (!stop_.load())
        std::this_thread::sleep_for(1ms);
    });
    while (id.load() == 0)
      std::this_thread::yield();
    out.push(id.load());
  }
  ~Threaded() {
    stop_ = true;
    for (std::thread& thread : threads_)
      thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

TEST_F(PlaceKeeper, PutsThreadsOfAHandlerBackWithIt) {
  Pipeline pipeline{"threaded"};
  pipeline.inlet<Item>("in").to<Threaded>("echo").outlet("out");
  Engine engine{pipeline, placed_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<std::int32_t>("out");
  ASSERT_EQ(in.push({0, 0}), PushResult::accepted);
  pid_t thread = 0;
  ASSERT_TRUE(eventually([&] {
    out.poll([&thread](std::int32_t id) { thread = id; });
    return thread != 0;
  }));
  const WorkerStats worker = echo_of(engine);
  const CpuSet place = CpuSet::parse(worker.place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  if (!place.includes(others)) {
    ASSERT_TRUE(set_units(thread, others));  // As taskset -a does it.
    ASSERT_TRUE(set_units(worker.pid, others));
    EXPECT_TRUE(eventually([&] { return units_of(thread) == place; }));
  }
  engine.stop();
}

TEST_F(PlaceKeeper, BringsAReplacementToTheSamePlace) {
  Engine engine{echo_pipeline(), placed_settings()};
  engine.start();
  const WorkerStats before = echo_of(engine);
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGKILL));
  ASSERT_TRUE(eventually(
      [&] { return echo_of(engine).incarnation == 2 && echo_of(engine).lives.back().ready.count() != 0; }));
  const WorkerStats after = echo_of(engine);
  EXPECT_NE(after.pid, before.pid);
  EXPECT_EQ(after.place, before.place);
  EXPECT_EQ(units_of(after.pid), CpuSet::parse(before.place));
  EXPECT_EQ(after.displaced, 0U) << "a newborn that has not bound itself yet is not displaced";
  engine.stop();
}

TEST_F(PlaceKeeper, IsTakenOverByTheNextMaster) {
  Engine engine{echo_pipeline(), placed_settings()};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet place = CpuSet::parse(worker.place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  ASSERT_TRUE(set_units(worker.pid, others));
  ASSERT_TRUE(eventually([&] { return echo_of(engine).put_back == 1; }));
  ::kill(master_of(engine), SIGKILL);
  ASSERT_TRUE(
      eventually([&] { return engine.stats().masters == 2 && engine.stats().master_at_work.count() != 0; }));
  ASSERT_TRUE(set_units(worker.pid, others));
  EXPECT_TRUE(eventually([&] { return units_of(worker.pid) == place && echo_of(engine).put_back == 2; }));
  engine.stop();
}

// A pipeline whose workers may not be bound; whether it says so once, and works.
int run_denied(const std::string& reports) {
  if (!deny_call(SYS_sched_setaffinity, EPERM)) return kNoFilterHere;
  Settings settings = placed_settings("5ms");
  settings.set("report.path", reports);
  Engine engine{echo_pipeline(), settings};
  engine.start();
  const bool refused = eventually([&] { return echo_of(engine).place_refused == std::strerror(EPERM); });
  std::this_thread::sleep_for(50ms);  // Ten looks more.
  const WorkerStats after = echo_of(engine);
  engine.stop();
  return refused && after.displaced == 1 && after.put_back == 0 ? 0 : 1;
}

TEST_F(PlaceKeeper, SaysOnceThatItIsRefused) {
  if (grantable_units().count() < 2 || units_of(0).count() < 2)
    GTEST_SKIP() << "one unit: every place is all there is";
  const Reports reports;
  const int status = status_in_child([&] { return run_denied(reports.path); });
  if (status == kNoFilterHere) GTEST_SKIP() << "no filter of system calls can be had here";
  ASSERT_EQ(status, 0);
  const std::string said = reports.deaths();
  const std::string line = "\"report\":\"place\"";
  const std::size_t first = said.find(line);
  ASSERT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find(line, first + 1), std::string::npos) << said;
  EXPECT_THAT(said, testing::HasSubstr(std::strerror(EPERM)));
}

}  // namespace
}  // namespace sluice::test
