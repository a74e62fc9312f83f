// SPDX-License-Identifier: Apache-2.0
// Bits flip in the region of a worker, and it dies, at any instant of its work: the pipeline goes on to its
// end, or ends with an Error that names the worker, stage or lane. The master, the host and the other workers
// live.
#include <cstdlib>
#include <random>

#include <sluice/detail/sanitizers.hpp>

#include "engine/pipelines.hpp"
#include "engine/processes.hpp"
#include "fault.hpp"
#include "ipc/child.hpp"
#include "layout/segment_map.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using ipc::test::Child;

constexpr const char* kName = "sabotage";
constexpr std::uint32_t kKeys = 8;
constexpr std::uint32_t kItems = 600;
constexpr std::uint64_t kChildren = 6;
constexpr std::uint64_t kDeathsPerChild = SLUICE_ADDRESS_SANITIZER ? 10 : 60;

std::uint64_t seed() {
  const char* text = std::getenv("WALLS_SEED");
  return text == nullptr ? 20'240'229 : std::strtoull(text, nullptr, 10);
}

class Split {
 public:
  Split(Worker& worker, const Orders* orders)
      : last_{worker.table<std::uint32_t, std::uint32_t>("last", 16)} {
    orders->obey(kName);
  }
  void operator()(const Item& item, Output<Record<Item>>& all, Output<Item>& odd) {
    last_[item.key % kKeys] = item.number;
    all.push(item, std::string_view{"0123456789abcdef"}.substr(0, item.number % 16));
    if (item.number % 2 == 1) odd.push(item);
  }

 private:
  Table<std::uint32_t, std::uint32_t> last_;
};

class Tell {
 public:
  explicit Tell(Worker& worker) : seen_{worker.table<std::uint32_t, std::uint32_t>("seen", 16)} {}
  void operator()(const Record<Item>& record, Output<Counted>& out) {
    out.push({record.head, 0, seen_[record.head.key % kKeys]++});
  }

 private:
  Table<std::uint32_t, std::uint32_t> seen_;
};

Pipeline sabotage_pipeline(const Orders* orders) {
  Pipeline pipeline{kName};
  auto [all, odd] =
      pipeline.inlet<Item>("in").to<Split>("split", {.descriptors = orders->descriptors()}, orders);
  odd.outlet("odd");
  all.by([](const Record<Item>& record) { return record.head.key; })
      .to<Tell>("tell", {.workers = 2})
      .outlet("out");
  return pipeline;
}

Settings sabotage_settings() {
  Settings settings = tiny_lanes();
  settings.set("placement.policy", "none");
  settings.set("state.bytes", "4096");
  settings.set("undo.bytes", "4096");
  settings.set("restart.budget", "20");
  settings.set("watchdog.deadline", "2s");
  return settings;
}

// Offsets and sizes of the parts of a region, so that the small ones are hit as often as the large ones.
std::vector<std::pair<std::uint64_t, std::uint64_t>> parts_of(const ProcessLayout& parts) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all{
      {0, sizeof(ipc::Control)},
      {parts.cursors, parts.cursor_words * sizeof(std::uint64_t)},
      {parts.cursors, parts.cursor_words * sizeof(std::uint64_t)},
      {parts.commit, sizeof(ipc::CommitHeader)},
      {parts.record, 8 * sizeof(ipc::RedoEntry)},
      {parts.undo, sizeof(ipc::UndoHeader)},
      {parts.entries, 512},
      {parts.state, 256},
      {parts.state, parts.state_bytes}};
  const std::uint64_t plain = (parts.plain_bytes + 4095) / 4096 * 4096;
  for (std::size_t ring = 0; ring < parts.lanes_out.size(); ++ring)
    all.emplace_back(plain + ring * 8192, 4096);
  return all;
}

Damage random_damage(std::mt19937_64& random, const Layout& layout) {
  const auto parts = parts_of(layout.worker(WorkerIndex{0}));
  const auto& part = parts[random() % parts.size()];
  Damage damage;
  damage.flips = 1 + static_cast<std::uint32_t>(random() % 8);
  for (std::uint32_t i = 0; i < damage.flips; ++i) {
    const auto& hit = random() % 4 == 0 ? parts[random() % parts.size()] : part;
    damage.offsets[i] = hit.first + random() % hit.second;
    damage.bits[i] = static_cast<std::uint8_t>(random() % 8);
  }
  return damage;
}

// What a child tells its parent, in this order of lines.
struct Tally {
  std::uint64_t deaths = 0;
  std::uint64_t went_on = 0;
  std::uint64_t refused = 0;
};

void check_others(const Engine& engine) {
  for (const char* other : {"tell/0", "tell/1"})
    EXPECT_EQ(worker_of(engine, other).restarts, 0U) << other << " died of what split/0 did";
}

// Pushes, has the worker damaged on the way, and polls to the end.
void push_and_pull(Engine& engine, const Orders& orders, const Damage& damage, std::uint32_t when) {
  auto in = engine.inlet<Item>("in");
  auto odd = engine.outlet<Item>("odd");
  auto out = engine.outlet<Counted>("out");
  const auto pull = [&] {
    odd.poll([](const Item&) {});
    out.poll([](const Counted&) {});
  };
  for (std::uint32_t number = 0; number < kItems; ++number) {
    if (number == when) orders.give(damage);
    if (in.push({number % kKeys, number}) != PushResult::accepted) break;
    pull();
  }
  // The end comes after the damage, or the worker would have finished before.
  EXPECT_TRUE(eventually([&] {
    pull();
    return engine.over() || worker_of(engine, "split/0").restarts != 0;
  }));
  in.close();
  while (!engine.wait_for(1ms))
    pull();
}

void one_death(std::uint64_t number, Tally& tally) {
  SCOPED_TRACE("WALLS_SEED=" + std::to_string(seed()) + ", death " + std::to_string(number));
  std::mt19937_64 random{seed() * 0x9e3779b97f4a7c15U + number};  // Seeds that are neighbours share no death.
  const Orders orders;
  const Pipeline pipeline = sabotage_pipeline(&orders);
  const Settings settings = sabotage_settings();
  const Damage damage = random_damage(random, lay_out(pipeline.graph(), resolve(settings, pipeline.graph())));
  Engine engine{pipeline, settings};
  engine.start();
  ++tally.deaths;
  try {
    push_and_pull(engine, orders, damage, static_cast<std::uint32_t>(random() % kItems));
    ++tally.went_on;
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.find("split") != std::string::npos || text.find("tell") != std::string::npos) << text;
    EXPECT_EQ(text.find("its master"), std::string::npos) << text;
    ++tally.refused;
  }
  check_others(engine);
}

class Sabotage : public WithProcesses {};

TEST_F(Sabotage, OfOneWorkerEndsInAnErrorOrNotAtAll) {
  std::cout << "seed " << seed() << std::endl;
  for (std::uint64_t child = 0; child < kChildren; ++child) {
    // A host of its own, so that a push that would never return is found out.
    Child host{[child] {
      Tally tally;
      for (std::uint64_t i = 0; i < kDeathsPerChild && !testing::Test::HasFailure(); ++i)
        one_death(child * kDeathsPerChild + i, tally);
      std::cout << tally.deaths << " deaths: " << tally.went_on << " went on, " << tally.refused
                << " ended with an error" << std::endl;
      return testing::Test::HasFailure() ? 1 : 0;
    }};
    ASSERT_EQ(host.ending(), "exit 0") << "child " << child;
  }
}

}  // namespace
}  // namespace sluice::test
