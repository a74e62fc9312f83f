// SPDX-License-Identifier: Apache-2.0
// A cpuset that shrinks and grows again while a pipeline runs.

#include <atomic>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <sluice/pinning/claims.hpp>

#include "child_status.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

class LostUnits : public WithProcesses {};

constexpr int kNoCpuset = 6;

bool is_at(const Engine& engine, const CpuSet& units) {
  const WorkerStats worker = echo_of(engine);
  return CpuSet::parse(worker.place) == units && units_of(worker.pid) == units;
}

// The unit of a worker is taken out of the cpuset; later it is there again.
int run_in_a_cpuset(const std::string& mounted) {
  OwnCpuset cpuset;
  if (!cpuset.enter(mounted)) return kNoCpuset;
  const CpuSet all = grantable_units();
  int failures = 0;
  {
    Engine engine{echo_pipeline(), placed_settings("10ms")};
    engine.start();
    const WorkerStats first = echo_of(engine);
    const CpuSet place = CpuSet::parse(first.place);
    const CpuSet rest = all - place;
    if (!cpuset.set_units(rest)) failures |= 1;
    if (!eventually([&] { return is_at(engine, rest); })) failures |= 2;
    if (!eventually([&] { return echo_of(engine).planned_anew != 0; })) failures |= 4;
    if (echo_of(engine).planned_anew != 1 || echo_of(engine).pid != first.pid) failures |= 4;
    engine.signal_worker("echo/0", SIGKILL);
    if (!eventually([&] {
          return echo_of(engine).incarnation == 2 && echo_of(engine).lives.back().ready.count() != 0 &&
                 is_at(engine, rest);
        }))
      failures |= 8;
    if (!cpuset.set_units(all)) failures |= 16;
    if (!eventually([&] { return is_at(engine, place); })) failures |= 32;
    engine.stop();
  }
  cpuset.leave(mounted);
  return failures == 0 ? 0 : 64 + failures;
}

// The units that only the master had are taken out of the cpuset.
int run_without_the_masters_units(const std::string& mounted) {
  OwnCpuset cpuset;
  if (!cpuset.enter(mounted)) return kNoCpuset;
  const CpuSet all = grantable_units();
  int failures = 0;
  {
    const Reports reports;
    Settings settings = placed_settings("10ms");
    settings.set("report.path", reports.path);
    Engine engine{echo_pipeline(), settings};
    engine.start();
    const CpuSet rest = CpuSet::parse(echo_of(engine).place);
    if (!eventually([&] { return engine.stats().master_at_work.count() != 0; })) failures |= 1;
    if (units_of(master_of(engine)).intersects(rest)) failures |= 2;
    if (!cpuset.set_units(rest)) failures |= 4;
    const auto told = [&](const char* did) {
      return reports.deaths().find(std::string{"\"did\":\""} + did) != std::string::npos;
    };
    // The worker is where it was, but not alone any more.
    if (!eventually([&] { return told("units are gone") && told("planned anew"); })) failures |= 8;
    if (engine.stats().masters_displaced == 0 || !cpuset.set_units(all)) failures |= 16;
    if (!eventually([&] { return !units_of(master_of(engine)).intersects(rest); })) failures |= 32;
    engine.stop();
  }
  cpuset.leave(mounted);
  return failures == 0 ? 0 : 64 + failures;
}

// The claim follows what was planned anew, also by the next master.
int run_in_a_cpuset_and_claim(const std::string& mounted) {
  [[maybe_unused]] const int without = ::unshare(CLONE_NEWNET);  // Claims of other tests are not seen.
  OwnCpuset cpuset;
  if (!cpuset.enter(mounted)) return kNoCpuset;
  const CpuSet all = grantable_units();
  const auto claimed = [] {
    CpuSet units;
    for (const pinning::Claim& claim : pinning::claims_of_others({}))
      units |= claim.units;
    return units;
  };
  int failures = 0;
  {
    Settings settings = placed_settings("10ms");
    settings.set("placement.claims", "yes");
    Engine engine{echo_pipeline(), settings};
    engine.start();
    const CpuSet place = CpuSet::parse(echo_of(engine).place);
    const CpuSet rest = all - place;
    if (claimed() != place) failures |= 1;
    if (!cpuset.set_units(rest)) failures |= 2;
    if (!eventually([&] { return is_at(engine, rest) && claimed() == rest; })) failures |= 4;
    ::kill(master_of(engine), SIGKILL);
    if (!eventually([&] { return engine.stats().masters == 2 && claimed() == rest; })) failures |= 8;
    if (!cpuset.set_units(all)) failures |= 16;
    if (!eventually([&] { return is_at(engine, place) && claimed() == place; })) failures |= 32;
    engine.stop();
  }
  cpuset.leave(mounted);
  return failures == 0 ? 0 : 64 + failures;
}

// A plan that is made and never done: one fork of whoever has asked for it.
struct Hanging {
  std::atomic<bool> next;  // The next fork hangs.
  std::atomic<pid_t> pid;
};
Hanging* hanging = nullptr;  // In memory that all processes of a test have.

void hang_if_asked() {
  if (!hanging->next.exchange(false)) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  hanging->pid = ::getpid();
  while (true)
    ::pause();
}

// The worker's units are gone and back, and the first plan with them hangs: what `goes_on` says then of the engine, whose worker
// was at `place` first, and at `rest` without it.
template <class GoesOn>
int run_with_a_plan_that_hangs(const std::string& mounted, const GoesOn& goes_on) {
  OwnCpuset cpuset;
  if (!cpuset.enter(mounted)) return kNoCpuset;
  const CpuSet all = grantable_units();
  void* shared = ::mmap(nullptr, sizeof(Hanging), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  hanging = new (shared) Hanging{};
  ::pthread_atfork(nullptr, nullptr, &hang_if_asked);
  int failures = 0;
  {
    Engine engine{echo_pipeline(), placed_settings("10ms")};
    engine.start();
    const CpuSet place = CpuSet::parse(echo_of(engine).place);
    const CpuSet rest = all - place;
    if (!cpuset.set_units(rest) || !eventually([&] { return is_at(engine, rest); })) failures |= 1;
    hanging->next = true;
    if (!cpuset.set_units(all) || !eventually([] { return hanging->pid != 0; })) failures |= 2;
    failures |= goes_on(engine, place, rest);
    engine.stop();
  }
  cpuset.leave(mounted);
  return failures == 0 ? 0 : 64 + failures;
}

// Somebody moves the worker meanwhile.
int run_and_move_the_worker(const std::string& mounted) {
  return run_with_a_plan_that_hangs(mounted, [](Engine& engine, const CpuSet& place, const CpuSet& rest) {
    int failures = 0;
    const WorkerStats worker = echo_of(engine);
    if (!set_units(worker.pid, place)) failures |= 4;
    if (!eventually([&] { return echo_of(engine).put_back > worker.put_back; })) failures |= 8;
    // The master ends it after a second, and would only then look again.
    if (!is_alive(hanging->pid)) failures |= 16;
    if (!is_at(engine, rest)) failures |= 32;
    return failures;
  });
}

// It is never done.
int run_to_the_next_plan(const std::string& mounted) {
  return run_with_a_plan_that_hangs(mounted, [](Engine& engine, const CpuSet& place, const CpuSet&) {
    return eventually([&] { return is_at(engine, place); }) ? 0 : 4;
  });
}

void expect_in_a_cpuset(int (*run)(const std::string&)) {
  if (grantable_units().count() < 2 || units_of(0).count() < 2) GTEST_SKIP() << "there is one unit here";
  const Reports mounted;
  const int status = status_in_child([&] { return run(mounted.path); });
  if (status == kNoCpuset)
    GTEST_SKIP() << "no cpuset of one's own can be had here: it takes root and version 1";
  EXPECT_EQ(status, 0) << "a bit for each step that failed, and 64";
}

TEST_F(LostUnits, OfTheCpusetLeadToANewPlanAndToOneMoreWhenTheyAreBack) {
  expect_in_a_cpuset(run_in_a_cpuset);
}

TEST_F(LostUnits, ThatOnlyTheMasterHadLeadToANewPlan) {
  expect_in_a_cpuset(run_without_the_masters_units);
}

TEST_F(LostUnits, KeepTheMasterFromNoLookWhileANewPlanIsMade) {
  expect_in_a_cpuset(run_and_move_the_worker);
}

TEST_F(LostUnits, ThatAreBackLeadToANewPlanAlsoWhereTheFirstOneHangs) {
  expect_in_a_cpuset(run_to_the_next_plan);
}

TEST_F(LostUnits, AreNotClaimedAnyMoreButThoseThatWereGivenAnew) {
  expect_in_a_cpuset(run_in_a_cpuset_and_claim);
}

}  // namespace
}  // namespace sluice::test
