// SPDX-License-Identifier: Apache-2.0
// How a handler is tested, from one thread to workers that are killed: docs/guide/testing.md.
#include "book.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <stdlib.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/dead_letter.hpp>

namespace {

using namespace std::chrono_literals;

// What comes of each account, in order. In which order accounts come says nothing: they have different workers.
using Histories = std::map<std::uint32_t, std::vector<std::int64_t>>;

Histories histories(const std::vector<Balance>& balances) {
  Histories all;
  for (const Balance& balance : balances)
    all[balance.account].push_back(balance.cents);
  return all;
}

std::vector<Payment> some_payments(unsigned seed, std::size_t count) {
  std::mt19937 random{seed};
  std::uniform_int_distribution<std::uint32_t> account{1, 100};
  std::uniform_int_distribution<std::int32_t> cents{1, 10'000};
  std::vector<Payment> payments;
  while (payments.size() < count)
    payments.push_back({account(random), cents(random)});
  return payments;
}

// Settings of a test: a directory of its own for reports, which goes with it, and as many deaths as it likes.
class BookTest : public testing::Test {
 protected:
  BookTest() {
    std::string name = (std::filesystem::temp_directory_path() / "book-test-XXXXXX").string();
    reports_ = ::mkdtemp(name.data());
    settings_.set("report.path", reports_);
    settings_.set("restart.budget", "100000");
    settings_.set("placement.policy", "none");
    settings_.set("log.level", "off");
  }
  ~BookTest() override { std::filesystem::remove_all(reports_); }

  std::string reports_;
  sluice::Settings settings_;
};

// Pushes all of them, and pulls until the end; gives up after a minute. `meanwhile` gets how many came so far.
std::vector<Balance> through(sluice::Engine& engine, const std::vector<Payment>& payments,
                             const std::function<void(std::size_t)>& meanwhile = {}) {
  auto in = engine.inlet<Payment>("payments");
  auto out = engine.outlet<Balance>("balances");
  std::size_t pushed = 0;
  std::vector<Balance> got;
  const auto until = std::chrono::steady_clock::now() + 1min;
  while (!out.ended() && std::chrono::steady_clock::now() < until) {
    while (pushed < payments.size() && in.try_push(payments[pushed]) == sluice::PushResult::accepted)
      ++pushed;
    if (pushed == payments.size()) in.close();
    out.wait(1ms);
    out.poll([&got](const Balance& balance) { got.push_back(balance); }, 100);
    if (meanwhile) meanwhile(got.size());
  }
  return got;
}

TEST(Book, AddsUpEachAccount) {
  const std::array payments{Payment{7, 100}, Payment{8, 1}, Payment{7, -30}};
  const sluice::InlineRun run = sluice::run_inline(bookkeeping(), payments);
  EXPECT_EQ(histories(run.events<Balance>("balances")), (Histories{{7, {100, 70}}, {8, {1}}}));
}

TEST(Book, RefusesAPaymentWithoutAnAccount) {
  const std::array payments{Payment{0, 100}};
  EXPECT_THROW(sluice::run_inline(bookkeeping(), payments), std::exception);
}

TEST_F(BookTest, SetsAsideTheEventThatKillsItAndGoesOn) {
  sluice::Engine engine{bookkeeping(), settings_};
  engine.start();
  const std::vector<Balance> balances = through(engine, {{7, 100}, {7, 0}, {7, 5}});
  engine.wait();
  EXPECT_EQ(histories(balances), (Histories{{7, {100, 105}}}));
  const std::vector<sluice::DeadLetter> letters = sluice::find_dead_letters(engine.stats().reports);
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(letters[0].signal, SIGABRT);
  EXPECT_EQ(letters[0].stage, "book");
}

TEST_F(BookTest, IsRightHoweverOftenItsWorkersAreKilled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::vector<Payment> payments = some_payments(seed, 20'000);
  // One thread, in which nothing is killed, says what is right.
  const Histories right = histories(sluice::run_inline(bookkeeping(), payments).events<Balance>("balances"));

  sluice::Engine engine{bookkeeping(), settings_};
  engine.start();
  std::mt19937 random{seed};
  std::size_t next_kill = 1;
  const auto kill_sometimes = [&](std::size_t so_far) {
    if (so_far < next_kill || so_far == payments.size()) return;
    if (engine.signal_worker(random() % 2 == 0 ? "book/0" : "book/1", SIGKILL))
      next_kill = so_far + random() % 500;
  };
  const std::vector<Balance> balances = through(engine, payments, kill_sometimes);
  engine.wait();
  EXPECT_EQ(histories(balances), right);
  EXPECT_GT(engine.stats().stages[0].restarts(), 0U) << "nobody was killed: this has shown nothing";
}

}  // namespace
