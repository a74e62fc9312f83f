// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/outside.md is right: whatever is killed, each payment is in the store once.
#include "outside_guide.hpp"

#include <iterator>
#include <random>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class OutsideGuide : public WithOutside {
 protected:
  // How often each account was paid, in both workers' stores.
  std::map<std::uint64_t, unsigned> payments() const {
    std::map<std::uint64_t, unsigned> paid;
    for (const char* replica : {".0", ".1"}) {
      for (const std::string& line : lines_of(file("book") + replica)) {
        if (line.starts_with("row ")) ++paid[std::stoull(line.substr(4))];
      }
    }
    return paid;
  }
};

struct Relay {
  void operator()(const Payment& payment, Output<Payment>& out) const { out.push(payment); }
};

TEST_F(OutsideGuide, StoresEachPaymentOnceThroughTwoHundredKills) {
  constexpr unsigned kKills = 200;
  Pipeline pipeline{"payments"};
  pipeline.inlet<Payment>("in")
      .to<Relay>("relay", {.workers = 2})
      .to<Book>("book", {.workers = 2}, file("book"));
  Settings with = settings({"restart.budget=1000000", "batch.events=16"});
  Engine engine{pipeline, with};
  engine.start();
  auto in = engine.inlet<Payment>("in");
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 numbers{seed};
  const auto below = [&numbers](unsigned most) { return static_cast<unsigned>(numbers() % most); };
  const std::string workers[] = {"book/0", "book/1", "relay/0", "relay/1"};
  std::uint64_t account = 0;
  for (unsigned kills = 0; kills < kKills;) {
    for (unsigned n = below(400); n != 0; --n)
      EXPECT_EQ(in.push({account++, 100}), PushResult::accepted);
    // Three of four are of those that store.
    const unsigned which = below(8);
    const std::string& worker = workers[which < 6 ? which % 2 : which - 4];
    const std::uint32_t incarnation = worker_of(engine, worker).incarnation;
    // One that is dead already, and not replaced yet, would not count.
    if (!engine.signal_worker(worker, SIGKILL)) continue;
    ++kills;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, worker).incarnation != incarnation; }));
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_GE(engine.stats().stages[0].restarts() + engine.stats().stages[1].restarts(), kKills);
  const auto paid = payments();
  EXPECT_THAT(paid, SizeIs(account));
  for (const auto& [which, times] : paid)
    EXPECT_EQ(times, 1U) << "account " << which;
}

TEST_F(OutsideGuide, WaitsWhileAnotherHoldsTheStore) {
  Pipeline pipeline{"payments"};
  pipeline.inlet<Payment>("in").to<Book>("book", {}, file("book"));
  // Another process: what this one has open its workers have too.
  const pid_t other = ::fork();
  if (other == 0) {
    const Store held{file("book") + ".0"};
    log_line(file("held"), "held");
    while (true)
      ::pause();
  }
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("held")); }));
  Engine engine{pipeline, settings({"restart.budget=0"})};
  engine.start();
  auto in = engine.inlet<Payment>("in");
  std::ignore = in.push({1, 100});
  EXPECT_TRUE(
      eventually([&] { return worker_of(engine, "book/0").outside == file("book") + ".0 is in use"; }));
  ::kill(other, SIGKILL);
  EXPECT_EQ(::waitpid(other, nullptr, 0), other);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(payments(), SizeIs(1));
}

TEST_F(OutsideGuide, ForgetsATransactionThatWasNotWhole) {
  { std::ofstream{file("torn")} << "row 1 100\ndone 7 8\ncommit\nrow 2 100\ndone 7 16\ncomm"; }
  const Store store{file("torn")};
  EXPECT_TRUE(store.has({7, 0}));
  EXPECT_FALSE(store.has({7, 8}));
  EXPECT_THAT(lines_of(file("torn")), ElementsAre("row 1 100", "done 7 8", "commit"));
}

TEST_F(OutsideGuide, HasTheProgramThatIsTestedHere) {
  const auto text_of = [](const std::string& path) {
    std::ifstream text{path};
    return std::string{std::istreambuf_iterator<char>{text}, {}};
  };
  const std::string program = text_of(SLUICE_SOURCE_DIRECTORY "/tests/edges/outside_guide.hpp");
  const std::string mark = "// [guide]\n";
  const std::size_t from = program.find(mark) + mark.size();
  const std::string shown = program.substr(from, program.rfind(mark) - from);
  ASSERT_GT(shown.size(), 1000U);
  EXPECT_NE(text_of(SLUICE_SOURCE_DIRECTORY "/docs/guide/outside.md").find("```cpp\n" + shown + "```"),
            std::string::npos)
      << "the guide shows another program";
}

}  // namespace
}  // namespace sluice::test
