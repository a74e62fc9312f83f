// SPDX-License-Identifier: Apache-2.0
// Partitions that move from host to host while payments go through them, and hosts that die meanwhile.
#include <chrono>
#include <csignal>
#include <random>
#include <regex>
#include <string>
#include <thread>

#include "hosts_world.hpp"
#include "kill_count.hpp"

namespace sluice::test {
namespace {

class Moves : public Hosts {
 protected:
  std::string owner_of(unsigned partition) {
    const std::string owned = R"("partition":)" + std::to_string(partition) + R"(,"owner":")";
    const std::string status = cluster({"status", "accounts", "--json"});
    const std::size_t at = status.find(owned);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + owned.size();
    return status.substr(begin, status.find('"', begin) - begin);
  }
  // Asked for, and not waited for.
  std::unique_ptr<Program> begin_move(unsigned partition, const std::string& to) {
    return std::make_unique<Program>(
        std::vector<std::string>{CLUSTER_PROGRAM, "move", "accounts", std::to_string(partition), to, "--nats",
                                 server().url()},
        file("move.out"), file("move.err"));
  }
};

TEST_F(Moves, GoOnFromWhatIsThereAlready) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  begin(3'000, 400);
  ASSERT_TRUE(flows(50));
  std::string owner;
  ASSERT_TRUE(within(60s, [&] { return (owner = owner_of(0)) == "alpha" || owner == "beta"; }));
  for (int move = 0; move < 4; ++move) {
    owner = owner == "alpha" ? "beta" : "alpha";
    // Again where a host was silent for longer than its lease, on a machine that has much to do.
    ASSERT_TRUE(within(100s, [&] { return told_by_cluster({"move", "accounts", "0", owner}).status == 0; }));
    ASSERT_TRUE(flows(balances() + 20));
  }
  end();
}

// Whichever of both dies, and whatever they were about.
TEST_F(Moves, AreExactWhoeverDiesInTheMidst) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  const unsigned kills = kills_asked(4);
  begin(std::uint64_t{kills} * 1'000, 400);
  for (unsigned kill = 0; kill < kills; ++kill) {
    ASSERT_TRUE(flows(balances() + dice() % 50)) << "nothing flows before kill " << kill;
    std::string from;
    ASSERT_TRUE(within(60s, [&] { return (from = owner_of(0)) == "alpha" || from == "beta"; }));
    const std::string to = from == "alpha" ? "beta" : "alpha";
    const auto move = begin_move(0, to);
    // Until it is parked a copy may be waited for, and that is over in a moment after it.
    const bool at_the_park = dice() % 2 == 0;
    if (at_the_park) {
      const std::string parking = "partition 0 is being parked for " + to;
      const std::string before = text_of(file(from + ".err"));
      within(3s,
             [&] { return text_of(file(from + ".err")).find(parking, before.size()) != std::string::npos; });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{dice() % 150});
    const std::string dies = dice() % 2 == 0 ? from : to;
    lose_host(dies);
    start_host(dies);
  }
  end();
}

// What its host keeps is a copy: to remove that would change nothing, and lose nothing.
TEST_F(Moves, ToAHostOfSmallerLanesAreToldWhatHelps) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  begin(600, 300);
  ASSERT_TRUE(within(60s, [this] { return fed() && balances() == 600; }));
  Program beta{{ACCOUNTS_PROGRAM, "host", "--name", "beta", "--nats", url(), "--data", file("beta"),
                "--lease", lease_, "--set", "lane.bytes=8KiB"},
               file("beta.out"),
               file("beta.err")};
  ASSERT_TRUE(within(100s, [this] { return says("beta", "of another shape"); }));
  ASSERT_TRUE(within(60s, [this] {
    return cluster({"status", "accounts"}).find("run the same program with the same Sluice on all hosts") !=
           std::string::npos;
  })) << cluster({"status", "accounts"});
}

// Between two tries nothing of it runs, though it began the last time.
TEST_F(Moves, ToWhereAPartitionFailsAlreadySucceedOnceItStaysAtWork) {
  lease_ = "5s";  // What fails while the server does not answer in time is not told.
  Program& alpha = start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  ASSERT_TRUE(within(60s, [this] {
    return told_by_cluster({"move", "accounts", "0", "alpha"}).status == 0;
  }));
  ASSERT_TRUE(within(100s, [&] {
    const pid_t partition = child_of(alpha.pid(), " partition 0 ");
    std::this_thread::sleep_for(500ms);  // At work.
    if (partition > 1) ::kill(partition, SIGKILL);
    const std::string status = cluster({"status", "accounts"});
    return std::regex_search(status, std::regex{"partition 0 has failed [3-9] times"});
  }));
  const Said said = told_by_cluster({"move", "accounts", "0", "alpha", "--patience", "5s"});
  EXPECT_EQ(said.status, 1) << said.text;
  EXPECT_NE(said.text.find("alpha has it, and it has failed before: it ended without a word"),
            std::string::npos)
      << said.text;
  EXPECT_NE(cluster({"move", "accounts", "0", "alpha"}).find("is owned by alpha, after "), std::string::npos);
}

// Whichever host has it next: what lies below --data is a copy.
TEST_F(Moves, OfAPartitionSayThatItGoesOnFromTheStream) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  begin(600, 300);
  ASSERT_TRUE(within(60s, [this] { return fed() && balances() == 600; }));
  std::string owner;
  ASSERT_TRUE(within(60s, [&] { return (owner = owner_of(0)) == "alpha" || owner == "beta"; }));
  const std::string to = owner == "alpha" ? "beta" : "alpha";
  ASSERT_TRUE(within(100s, [&] { return told_by_cluster({"move", "accounts", "0", to}).status == 0; }));
  EXPECT_TRUE(within(60s, [&] { return says(owner, "parked: the next start goes on with "); }));
  EXPECT_TRUE(says(owner, "parked: the next start goes on with the stream SLUICE_accounts, and with "))
      << text_of(file(owner + ".err"));
}

}  // namespace
}  // namespace sluice::test
