// SPDX-License-Identifier: Apache-2.0
// Who else is on the machine: a host that has a place already, and other pipelines, of this host or of others.

#include <sched.h>

#include <sluice/pinning/claims.hpp>

#include "child_status.hpp"
#include "support/clear_away.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

// Gives this process its mask back.
class OwnUnits {
 public:
  OwnUnits() = default;
  ~OwnUnits() { set_units(0, before_); }
  OwnUnits(const OwnUnits&) = delete;
  OwnUnits& operator=(const OwnUnits&) = delete;
  const CpuSet& before() const { return before_; }

 private:
  CpuSet before_ = units_of(0);
};

Settings claiming_settings() {
  Settings settings = placed_settings();
  settings.set("placement.claims", "yes");
  return settings;
}

CpuSet place_of_echo(const Engine& engine) {
  return CpuSet::parse(worker_of(engine, "echo/0").place);
}

// Claims are those of a network namespace: with one of its own a test sees no other test's.
void be_alone() {
  [[maybe_unused]] const int without = ::unshare(CLONE_NEWNET);
}

std::string owners_of_claims() {
  std::string text;
  for (const pinning::Claim& claim : pinning::claims_of_others({}))
    text += claim.owner + " " + claim.units.to_string() + "\n";
  return text;
}

bool is_claimed(const std::string& pipeline) {
  return owners_of_claims().find("pipeline " + pipeline + " ") != std::string::npos;
}

// Bits for the steps that went wrong; 100 for a machine on which there is nothing to be seen.
constexpr int kOneUnit = 100;

template <class Work>
void expect_all_steps(Work&& work) {
  const int status = status_in_child(work);
  if (status == kOneUnit) GTEST_SKIP() << "there is one unit here, and every place is on it";
  EXPECT_EQ(status, 0) << "a bit for each step that failed";
}

int run_with_a_bound_host() {
  be_alone();
  const OwnUnits own;
  if (own.before().count() < 2) return kOneUnit;
  Engine engine{echo_pipeline(), claiming_settings()};
  const CpuSet first = place_of_echo(engine);
  if (!set_units(0, first)) return 1;  // Exactly where the worker would be.
  engine.start();
  int failures = 0;
  const WorkerStats worker = worker_of(engine, "echo/0");
  if (place_of_echo(engine).intersects(first)) failures |= 2;
  if (units_of(worker.pid) != place_of_echo(engine)) failures |= 4;
  if (engine.place_of_host().units != first) failures |= 8;
  if (units_of(0) != first) failures |= 16;  // Left where it was.
  const std::string all = (place_of_echo(engine) | first).to_string();
  if (owners_of_claims().find(") " + all + "\n") == std::string::npos) failures |= 32;
  engine.stop();
  return failures;
}

TEST(HostsPlace, IsPlannedAroundWhereTheHostHasBoundItselfBeforeTheStart) {
  expect_all_steps(run_with_a_bound_host);
}

int run_and_bind_the_host() {
  be_alone();
  const OwnUnits own;
  if (own.before().count() < 2) return kOneUnit;
  Engine engine{echo_pipeline(), claiming_settings()};
  int failures = 1;
  try {
    engine.bind_host();
  } catch (const Error&) {
    failures = 0;
  }
  engine.start();
  const CpuSet place = engine.place_of_host().units;
  if (place.empty() || place.intersects(place_of_echo(engine))) failures |= 2;
  if (!engine.bind_host()) failures |= 4;
  if (units_of(0) != place) failures |= 8;
  // Where the host has one core it cannot go out of anybody's way.
  const bool is_claimed = owners_of_claims().find("the host of pipeline placed ") != std::string::npos;
  if (place.count() == 1 && !is_claimed) failures |= 16;
  engine.stop();
  return failures;
}

TEST(HostsPlace, CanBeTakenByTheHostOnceItIsStarted) {
  expect_all_steps(run_and_bind_the_host);
}

int run_two_of_one_host() {
  be_alone();
  if (units_of(0).count() < 2) return kOneUnit;
  Engine first{echo_pipeline("first"), claiming_settings()};
  first.start();
  Engine second{echo_pipeline("second"), claiming_settings()};
  second.start();
  int failures = 0;
  if (place_of_echo(first).intersects(place_of_echo(second))) failures |= 1;
  if (second.placement().find("planned around pipeline first (pid ") == std::string::npos) failures |= 2;
  if (!is_claimed("first") || !is_claimed("second")) failures |= 4;
  // Whoever is replaced, the claim stands.
  first.signal_worker("echo/0", SIGKILL);
  ::kill(master_of(first), SIGKILL);
  if (!eventually([&] { return first.stats().masters == 2 && worker_of(first, "echo/0").incarnation >= 2; }))
    failures |= 8;
  if (!is_claimed("first")) failures |= 16;
  first.stop();
  if (!eventually([] { return !is_claimed("first"); })) failures |= 32;
  second.stop();
  return failures;
}

TEST(Pipelines, OfOneHostArePlannedAroundEachOther) {
  expect_all_steps(run_two_of_one_host);
}

int run_where_all_is_claimed() {
  be_alone();
  const pinning::HeldClaim claim{"elsewhere", grantable_units()};
  Engine engine{echo_pipeline(), claiming_settings()};
  engine.start();
  const bool told = engine.placement().find("pipeline elsewhere (pid ") != std::string::npos &&
                    engine.placement().find("shares ") != std::string::npos;
  engine.stop();
  Engine other{echo_pipeline(), placed_settings()};
  other.start();
  const bool ignored = other.placement().find("elsewhere") == std::string::npos && !is_claimed("placed");
  other.stop();
  return (told ? 0 : 1) + (ignored ? 0 : 2);
}

TEST(Pipelines, SayWhatTheyShareWhereNoOtherUnitIsLeft) {
  EXPECT_EQ(status_in_child(run_where_all_is_claimed), 0);
}

// A host that runs a pipeline until it is killed; tells of all its processes by `said`.
[[noreturn]] void be_a_host(int said) {
  Engine engine{echo_pipeline("killed"), claiming_settings()};
  engine.start();
  const Stats stats = engine.stats();
  const pid_t pids[] = {stats.supervisor, stats.master, worker_of(engine, "echo/0").pid};
  if (::write(said, pids, sizeof(pids)) != sizeof(pids)) ::_exit(1);
  while (true)
    ::pause();
}

int run_and_kill_all() {
  be_alone();
  int ends[2];
  if (::pipe(ends) != 0) return 1;
  const pid_t host = ::fork();
  if (host == 0) be_a_host(ends[1]);
  pid_t pids[3];
  if (::read(ends[0], pids, sizeof(pids)) != sizeof(pids)) return 2;
  int failures = is_claimed("killed") ? 0 : 4;
  ::kill(host, SIGKILL);
  for (const pid_t pid : pids)
    ::kill(pid, SIGKILL);
  ::waitpid(host, nullptr, 0);
  // No file, no timeout: the kernel lets go of it with the last of them.
  if (!eventually([] { return !is_claimed("killed"); })) failures |= 8;
  return failures;
}

TEST(Pipelines, ThatAreKilledWithAllTheirProcessesClaimNothing) {
  EXPECT_EQ(status_in_child(run_and_kill_all), 0);
}

int run_and_park(const std::string& segment) {
  be_alone();
  Settings settings = claiming_settings();
  settings.set("segment.path", segment);
  int failures = 0;
  {
    Engine engine{echo_pipeline("parked"), settings};
    engine.start();
    if (!is_claimed("parked")) failures |= 1;
    auto in = engine.inlet<Item>("in");
    if (in.push({1, 1}) != PushResult::accepted) failures |= 16;
    // A pipeline that has done nothing leaves nothing to go on with.
    if (!eventually([&] { return worker_of(engine, "echo/0").events_in == 1; })) failures |= 32;
    engine.park();
    if (!eventually([] { return !is_claimed("parked"); })) failures |= 2;
  }
  Engine again{echo_pipeline("parked"), settings};
  again.start();
  if (!again.resumed()) failures |= 4;
  if (!is_claimed("parked")) failures |= 8;
  again.stop();
  return failures;
}

TEST(Pipelines, ThatAreParkedClaimNothingUntilTheyGoOn) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-parked-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  EXPECT_EQ(status_in_child([&] { return run_and_park(directory + "/segment"); }), 0);
  clear_away(directory);
}

}  // namespace
}  // namespace sluice::test
