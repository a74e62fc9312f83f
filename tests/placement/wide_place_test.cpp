// SPDX-License-Identifier: Apache-2.0
// The threads of a wide worker keep to its place, and are no more than its place and its quota have room for.

#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/quota.hpp>
#include <sluice/wide.hpp>

#include "units.hpp"

namespace sluice::test {
namespace {

struct Leisurely {
  void operator()(const Item& item, Output<Item>& out) const {
    std::this_thread::sleep_for(100us);
    out.push(item);
  }
};

std::vector<pid_t> threads_of_process(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/task", error})
    threads.push_back(static_cast<pid_t>(std::stol(task.path().filename())));
  return threads;
}

// Pushes until the worker has as many threads as it will get.
class WidePlace : public WithProcesses {
 protected:
  void begin(unsigned threads, Settings settings) {
    pipeline_.inlet<Item>("in").to<Wide<Leisurely>>("wide", {.threads = threads}).outlet("out");
    settings.set("batch.events", "64");
    engine_.emplace(pipeline_, settings);
    engine_->start();
    out_.emplace(*engine_, "out");
    in_.emplace(engine_->inlet<Item>("in"));
    push(400);
  }
  void push(std::uint32_t count) {
    sent_ += count;
    ASSERT_EQ(in_->push_batch(items(count, 1)), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return out_->count() == sent_; }));
  }
  void end() {
    in_->close();
    EXPECT_TRUE(engine_->wait_for(kDeadline));
    out_.reset();
  }
  WorkerStats worker() const { return worker_of(*engine_, "wide/0"); }

  Pipeline pipeline_{"wide"};
  std::optional<Engine> engine_;
  std::optional<Collector<Item>> out_;
  std::optional<Inlet<Item>> in_;
  std::size_t sent_ = 0;
};

TEST_F(WidePlace, IsWhereItsThreadsAreAndWhereOneIsPutBackThatWasMoved) {
  if (grantable_units().count() < 2) GTEST_SKIP() << "there is one unit here, and one thread";
  begin(2, placed_settings());
  const WorkerStats before = worker();
  const CpuSet place = CpuSet::parse(before.place);
  ASSERT_EQ(place.count(), 2U);
  const std::vector<pid_t> threads = threads_of_process(before.pid);
  ASSERT_EQ(threads.size(), 2U);
  for (const pid_t thread : threads)
    EXPECT_EQ(units_of(thread), place);

  const pid_t moved = threads[0] == before.pid ? threads[1] : threads[0];
  ASSERT_TRUE(set_units(moved, CpuSet{place.to_vector().front()}));
  EXPECT_TRUE(eventually([&] { return units_of(moved) == place; }));
  EXPECT_TRUE(eventually([&] { return worker().put_back >= 1; }));
  push(400);
  EXPECT_EQ(worker().restarts, 0U);
  end();
}

TEST_F(WidePlace, WithOneUnitHasOneThread) {
  const CpuSet before = units_of(0);
  ASSERT_TRUE(set_units(0, CpuSet{before.to_vector().front()}));
  begin(4, test_settings());
  EXPECT_EQ(threads_of_process(worker().pid).size(), 1U);
  end();
  EXPECT_TRUE(set_units(0, before));
}

TEST(WideThreads, AreNoMoreThanUnitsNorThanTheQuotaPaysFor) {
  EXPECT_EQ(pinning::threads_that_run({4, 4, 8}, {}), 4U);
  EXPECT_EQ(pinning::threads_that_run({4, 4, 3}, {}), 3U);
  EXPECT_EQ(pinning::threads_that_run({4, 4, 8}, 2.5), 2U);
  EXPECT_EQ(pinning::threads_that_run({4, 4, 8}, 1.0), 1U);
  EXPECT_EQ(pinning::threads_that_run({4, 4, 8}, 0.2), 1U);
  // Two workers of four, and two of one, share it.
  EXPECT_EQ(pinning::threads_that_run({4, 8, 8}, 4.0), 2U);
  EXPECT_EQ(pinning::threads_that_run({4, 10, 8}, 4.0), 1U);
  EXPECT_EQ(pinning::threads_that_run({4, 10, 8}, 16.0), 4U);
  EXPECT_EQ(pinning::threads_that_run({0, 0, 0}, {}), 1U);
}

std::string remarks_of(const std::string& machine, std::optional<double> quota) {
  pinning::Topology topology = pinning::topology_from_synthetic(machine);
  topology.quota_cores = quota;
  std::string text;
  for (const std::string& remark :
       pinning::plan(topology, {.stages = {{.name = "parse", .threads = 4}}}).remarks)
    text += remark + "\n";
  return text;
}

TEST(WideThreads, ThatHaveNoRoomAreNamedByThePlan) {
  EXPECT_EQ(remarks_of("pack:1 core:8 pu:1", {}).find("parse wants"), std::string::npos);
  EXPECT_THAT(
      remarks_of("pack:1 core:2 pu:1", {}),
      testing::HasSubstr("parse wants 4 threads a worker, and its worker runs 2 threads: its place 0-1 has "
                         "no more units\n"));
  EXPECT_THAT(
      remarks_of("pack:1 core:8 pu:1", 1.5),
      testing::HasSubstr("parse wants 4 threads a worker, and its worker runs 1 thread: the CPU quota is 1.5 "
                         "cores\n"));
}

}  // namespace
}  // namespace sluice::test
