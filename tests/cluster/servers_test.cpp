// SPDX-License-Identifier: Apache-2.0
// A cluster that stands on three servers, which are one by NATS: input is in all three, and any of them may die.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hosts_world.hpp"
#include "kill_count.hpp"

namespace sluice::test {
namespace {

class Servers : public Hosts {
 protected:
  static constexpr std::size_t kServers = 3;

  // nats-server 2.9.10 does not survive every SIGKILL as one of several: in 1 of 83 runs its snapshot of what streams there are was torn
  // ("RAFT [_meta_] Snapshot corrupt, too short"), and a stream of one replica was forgotten.
  void SetUp() override {
    if (kills_asked(0) == 0)
      GTEST_SKIP() << "the server may lose a stream when it is killed: set SLUICE_CONNECT_KILLS to try it";
    Hosts::SetUp();
  }
  void serve() override { add_servers_that_are_one(kServers); }
  std::uint64_t told(const std::string& stream) { return count_if_told(url(), stream).value_or(0); }

  // Every balance that the payments make which the server has, each behind the one before it.
  void expect_all_balances() {
    std::map<std::string, std::vector<std::string>> expected;
    std::map<std::string, std::vector<std::string>> found;
    std::map<std::string, std::int64_t> sums;
    for (const StreamMessage& payment : messages_of(url(), "PAYMENTS")) {
      const std::size_t blank = payment.data.find(' ');
      const std::string account = payment.data.substr(0, blank);
      auto& balances = expected[account];
      sums[account] += std::stoll(payment.data.substr(blank + 1));
      balances.push_back(account + " " + std::to_string(balances.size() + 1) + " " +
                         std::to_string(sums[account]));
    }
    for (const StreamMessage& balance : messages_of(url(), "BALANCES"))
      found[balance.data.substr(0, balance.data.find(' '))].push_back(balance.data);
    EXPECT_EQ(expected.size(), found.size());
    for (const auto& [account, balances] : expected) {
      const auto& others = found[account];
      const auto [one, other] = std::mismatch(balances.begin(), balances.end(), others.begin(), others.end());
      EXPECT_TRUE(balances == others)
          << account << " has " << others.size() << " balances of " << balances.size() << ": '"
          << (other == others.end() ? "nothing" : *other) << "' instead of '"
          << (one == balances.end() ? "nothing" : *one) << "'";
    }
  }
};

// The one that has the checkpoints, of which there is one copy: what stands on them stands still, and input goes on.
TEST_F(Servers, ThatAreThreeMayLoseOne) {
  for (const char* name : {"alpha", "beta", "gamma"})
    start_host(name);
  constexpr std::uint64_t kPayments = 2'000;
  feed_ = load("feed", "payments", kPayments, {"--rate", "250", "--accounts", "50"});
  ASSERT_TRUE(within(60s, [this] { return told("BALANCES") > 50; }));
  const std::size_t dies = leader("SLUICE_accounts");
  const std::uint64_t before = told("PAYMENTS");
  server(dies).kill();
  EXPECT_TRUE(within(60s, [&] { return told("PAYMENTS") > before + 20 || fed(); }))
      << "two of three take no input";
  server(dies).start();
  ASSERT_TRUE(within(100s, [this] { return fed(); }));
  ASSERT_TRUE(within(100s,
                     [&] {
                       const std::uint64_t payments = told("PAYMENTS");
                       return payments >= kPayments && told("BALANCES") >= payments;
                     }))
      << told("BALANCES") << " balances of " << told("PAYMENTS") << " payments";
  expect_all_balances();
}

}  // namespace
}  // namespace sluice::test
