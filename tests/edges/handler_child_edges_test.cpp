// SPDX-License-Identifier: Apache-2.0
// A handler that forks: its child may do what it likes with its own copy of the process, and is never the worker.

#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

// What the child does that the handler forks.
enum class Child : std::uint32_t { comes_back, throws, aborts, reads };

constexpr std::uint32_t kEvents = 1000;
// The first one is a batch of its own, the second one in the midst of a batch.
constexpr std::uint32_t kForks[] = {kEvents / 4, kEvents / 2};
constexpr int kHasRead = 7;

// Says the sum so far. Its flush, an effect outside, tells whose child made it.
class Forks {
 public:
  Forks(Worker& worker, Child child, const std::string& log)
      : child_{child}, sum_{worker.state<std::uint64_t>("sum")} {
    worker.before_commit([log] { log_line(log, std::to_string(::getppid())); });
  }
  void operator()(const Item& item, Output<std::uint64_t>& out) {
    sum_.edit() += item.number;
    if (item.number == kForks[0] || item.number == kForks[1]) have_a_child(item);
    out.push(*sum_);
  }

 private:
  void have_a_child(const Item& item) const {
    const pid_t child = ::fork();
    if (child != 0) {
      int status = 0;
      ::waitpid(child, &status, 0);
      if (child_ == Child::reads && WEXITSTATUS(status) != kHasRead)
        throw std::runtime_error{"it cannot read"};
      return;
    }
    if (child_ == Child::throws) throw std::runtime_error{"of the child"};
    if (child_ == Child::aborts) std::abort();
    if (child_ == Child::reads) ::_exit(*sum_ != 0 && item.number != 0 ? kHasRead : 1);
  }

  Child child_;
  Recoverable<std::uint64_t> sum_;
};

class ForkInAHandler : public WithOutside, public testing::WithParamInterface<Child> {};

TEST_P(ForkInAHandler, LeavesTheEventsToTheWorkerAlone) {
  Pipeline pipeline{"children"};
  pipeline.inlet<Item>("in").to<Forks>("work", GetParam(), log()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<std::uint64_t> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::vector<std::uint64_t> expected;
  for (std::uint32_t i = 0, sum = 0; i < kEvents; ++i) {
    const bool alone = i == kForks[0] || i == kForks[0] + 1;
    ASSERT_TRUE(!alone || eventually([&] { return out.count() == i; }));
    ASSERT_EQ(in.push({0, i}), PushResult::accepted);
    expected.push_back(sum += i);
  }
  engine.wait();
  EXPECT_EQ(out.all(), expected);
  EXPECT_EQ(worker_of(engine, "work/0").restarts, 0U);
  const std::vector<std::string> flushes = lines_of(log());
  EXPECT_EQ(std::set<std::string>(flushes.begin(), flushes.end()).size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(AChildThat, ForkInAHandler,
                         testing::Values(Child::comes_back, Child::throws, Child::aborts, Child::reads),
                         [](const testing::TestParamInfo<Child>& info) -> std::string {
                           switch (info.param) {
                             case Child::comes_back:
                               return "ComesBack";
                             case Child::throws:
                               return "Throws";
                             case Child::aborts:
                               return "Aborts";
                             case Child::reads:
                               return "Reads";
                           }
                           return "";
                         });

// Its first event has a child that lives on, and says which.
class ForksOnce {
 public:
  ForksOnce(Worker& worker, const std::string& path, const std::string& log)
      : file_{worker, "file", path}, log_{log} {}
  void operator()(const Item& item) {
    file_.append(std::to_string(item.number) + "\n");
    if (item.number != 0) return;
    const pid_t child = ::fork();
    if (child != 0) return log_line(log_, std::to_string(child));
    ::alarm(100);  // It outlives a test that fails, but not for long.
    while (true)
      ::pause();
  }

 private:
  AppendFile file_;
  std::string log_;
};

class AChildThatLivesOn : public WithOutside {};

TEST_F(AChildThatLivesOn, DoesNotHoldTheFileOfItsWorkerBeyondTheWorkersDeath) {
  Pipeline pipeline{"children"};
  pipeline.inlet<Item>("in").to<ForksOnce>("write", file("numbers"), log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 0}), PushResult::accepted);
  ASSERT_TRUE(eventually([&] { return lines_of(file("numbers")).size() == 1; }));
  ASSERT_TRUE(engine.signal_worker("write/0", SIGKILL));
  ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
  EXPECT_NO_THROW(engine.wait());
  EXPECT_EQ(lines_of(file("numbers")), (std::vector<std::string>{"0", "1"}));
  const std::vector<std::string> children = lines_of(log());
  ASSERT_EQ(children.size(), 1U);
  const auto child = static_cast<pid_t>(std::stol(children[0]));
  EXPECT_TRUE(is_alive(child));
  ::kill(child, SIGKILL);
}

}  // namespace
}  // namespace sluice::test
