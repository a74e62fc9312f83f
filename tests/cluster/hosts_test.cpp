// SPDX-License-Identifier: Apache-2.0
// Hosts that die, freeze, leave and join while payments go through them: every balance once, in order, and right.
#include <nats/nats.h>
#include <random>

#include <sluice/error.hpp>
#include <sluice/observer.hpp>

#include "hosts_world.hpp"
#include "kill_count.hpp"
#include "owners.hpp"
#include "state_log.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Whether that agent started the host of a pipeline, which is named with its pid.
bool is_below(pid_t agent, const std::string& pipeline) {
  std::ifstream stat{"/proc/" + pipeline.substr(pipeline.rfind('.') + 1) + "/stat"};
  std::string pid, name, state;
  pid_t parent = 0;
  return stat >> pid >> name >> state >> parent && parent == agent;
}

TEST_F(Hosts, ShareThePartitionsAndTakeOverFromOneThatDies) {
  for (const char* name : {"alpha", "beta", "gamma"})
    start_host(name);
  begin(2'000, 800);
  ASSERT_TRUE(flows(0) && own({"beta"}));
  lose_host("beta");
  const std::uint64_t before = balances();
  EXPECT_TRUE(within(60s, [this] { return says("alpha", ", after beta") || says("gamma", ", after beta"); }));
  ASSERT_TRUE(flows(before + 50));
  end();
  const std::string status = cluster({"status", "accounts"});
  EXPECT_THAT(status, Not(HasSubstr("orphaned")));
}

TEST_F(Hosts, GoOnFromTheCopiesThatTheyKeep) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  begin(2'500, 500);
  ASSERT_TRUE(flows(50));
  const auto copies = [this] {
    unsigned found = 0;
    for (const char* name : {"alpha", "beta"}) {
      for (unsigned number = 0; number < 6; ++number)
        found += exists(file(name) / "accounts" / name / ("partition-" + std::to_string(number)) / "copied");
    }
    return found;
  };
  ASSERT_TRUE(within(60s, [&] { return copies() == 12; }))
      << "not all partitions have a copy where they are, and one elsewhere";
  ASSERT_TRUE(own({"beta"}));
  lose_host("beta");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", ", after beta") && says("alpha", " were here"); }));
  end();
  EXPECT_FALSE(says("alpha", "has no copy here")) << text_of(file("alpha.err"));
}

// How much longer a host is away than until others have its partitions: long enough for the server to forget its consumers, where it is
// asked for.
std::chrono::seconds longer_away(std::chrono::seconds asked) {
  return kills_asked(0) == 0 ? 0s : asked;
}

// It goes on with what it had, and is refused: nothing of it is seen.
TEST_F(Hosts, ThatWereFrozenAndGoOnWriteNothing) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  const auto longer = longer_away(60s);
  begin(static_cast<std::uint64_t>(2'500 + 500 * longer.count()), 500);
  ASSERT_TRUE(flows(100) && own({"alpha"}));
  host("alpha").signal_all(SIGSTOP);
  ASSERT_TRUE(within(60s, [this] { return says("beta", ", after alpha"); }));
  const std::uint64_t before = balances();
  ASSERT_TRUE(flows(before + 50));
  std::this_thread::sleep_for(longer);
  host("alpha").signal_all(SIGCONT);
  ASSERT_TRUE(within(60s, [this] { return has_noticed("alpha"); })) << "it has not noticed";
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "was silent for "); }))
      << "nor said why others have them";
  end();
}

// What it sends while it is cut off arrives once others have its partitions, and comes behind nothing.
TEST_F(Hosts, ThatWereCutOffWriteNothingLater) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  const auto longer = longer_away(30s);
  begin(static_cast<std::uint64_t>(2'500 + 500 * longer.count()), 500);
  ASSERT_TRUE(flows(100) && own({"alpha"}));
  link("alpha").pause();
  ASSERT_TRUE(within(60s, [this] { return says("beta", ", after alpha"); }));
  const std::uint64_t before = balances();
  ASSERT_TRUE(flows(before + 50));
  std::this_thread::sleep_for(longer);
  link("alpha").resume();
  ASSERT_TRUE(within(60s, [this] { return has_noticed("alpha"); })) << "it has not noticed";
  end();
}

TEST_F(Hosts, LeaveAndJoinWhilePaymentsFlow) {
  start_host("alpha");
  begin(3'000, 600);
  ASSERT_TRUE(flows(50));
  start_host("beta");
  // As it is given, or after the other one, which is silent for longer than its lease on a machine that has much to do.
  ASSERT_TRUE(within(60s, [this] { return says("beta", "with epoch"); }));
  EXPECT_THAT(cluster({"move", "accounts", "0", "beta"}), HasSubstr("partition 0 is owned by beta"));
  host("alpha").ask_to_end();
  EXPECT_EQ(host("alpha").wait(), 0);
  EXPECT_THAT(text_of(file("alpha.err")), HasSubstr("has left"));
  const std::uint64_t before = balances();
  ASSERT_TRUE(flows(before + 50));
  start_host("gamma");
  ASSERT_TRUE(within(60s, [this] { return says("gamma", "with epoch"); }));
  EXPECT_THAT(cluster({"drain", "accounts", "beta"}), HasSubstr("beta has left"));
  EXPECT_EQ(host("beta").wait(), 0);
  end();
}

TEST_F(Hosts, AreExactWhateverHappensToThemAndTheServer) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  const std::vector<std::string> names{"alpha", "beta", "gamma"};
  for (const std::string& name : names)
    start_host(name);
  const unsigned harms = kills_asked(5);
  begin(std::uint64_t{harms} * 1'000, 400);
  for (unsigned harm = 0; harm < harms; ++harm) {
    ASSERT_TRUE(flows(balances() + dice() % 100)) << "nothing flows before harm " << harm;
    const std::string& name = names[dice() % names.size()];
    switch (dice() % 6) {
      case 0:
        lose_host(name);
        start_host(name);
        break;
      case 1:
        host(name).signal_all(SIGSTOP);
        std::this_thread::sleep_for(1500ms);  // Longer than its lease.
        host(name).signal_all(SIGCONT);
        break;
      case 2:
        server().kill();
        std::this_thread::sleep_for(std::chrono::milliseconds{dice() % 1000});
        server().start();
        break;
      case 3:
        link(name).pause();
        std::this_thread::sleep_for(std::chrono::milliseconds{dice() % 2000});
        link(name).resume();
        break;
      case 4:  // The agent alone: the kernel takes its partitions along.
        host(name).signal(SIGKILL);
        static_cast<void>(host(name).wait());
        start_host(name);
        break;
      default:
        host(name).ask_to_end();
        EXPECT_EQ(host(name).wait(), 0);
        start_host(name);
    }
  }
  end();
}

TEST_F(Hosts, OfOneNameAreRefused) {
  start_host("alpha");
  ASSERT_TRUE(
      within(60s, [this] { return text_of(file("alpha.err")).find("is here") != std::string::npos; }));
  Program second{{ACCOUNTS_PROGRAM, "host", "--name", "alpha", "--nats", server().url(), "--data",
                  file("second"), "--lease", kLease},
                 file("second.out"),
                 file("second.err")};
  EXPECT_EQ(second.wait(), 1);
  EXPECT_THAT(second.err(), HasSubstr("another process is a host of that name"));
}

TEST_F(Hosts, OfAnotherNumberOfPartitionsAreRefused) {
  run_apart([this] {
    detail::Owners owners{{.url = server().url()}, "accounts", detail::Owners::Missing::make, "test"};
    owners.look(0ms);
    owners.agree_on({5, 600ms});
    return std::string{};
  });
  Program& alpha = start_host("alpha");
  EXPECT_EQ(alpha.wait(), 1);
  EXPECT_THAT(alpha.err(), HasSubstr("it has 5 partitions, and this program 6"));
}

// It would take partitions over, fail with them, and hand them back: time in which nothing of them goes on.
TEST_F(Hosts, OfAnotherProgramAreRefused) {
  run_apart([this] {
    detail::Owners owners{{.url = server().url()}, "accounts", detail::Owners::Missing::make, "test"};
    owners.look(0ms);
    owners.agree_on({6, 600ms, "market-0"});
    return std::string{};
  });
  Program& alpha = start_host("alpha");
  EXPECT_EQ(alpha.wait(), 1);
  EXPECT_THAT(alpha.err(),
              testing::AllOf(HasSubstr("is the pipeline 'market-0'"), HasSubstr("is 'accounts-0'"),
                             HasSubstr("a cluster of its own name")));
}

// The bucket, or what it said of the cluster, was removed; nobody would go on with the seventh partition.
TEST_F(Hosts, OfFewerPartitionsThanAreStoredAreRefused) {
  run_apart([this] {
    detail::StateLogOptions options;
    options.server.url = server().url();
    options.cluster = "accounts";
    options.partition = 6;
    options.host = "former";
    detail::StateLog{options}.claim(1);
    return std::string{};
  });
  Program& alpha = start_host("alpha");
  EXPECT_EQ(alpha.wait(), 1);
  EXPECT_THAT(alpha.err(),
              HasSubstr("something of its partition 6 is stored, and this program has 6 partitions"));
}

TEST_F(Hosts, OfAnotherLeaseAreRefused) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "is here"); }));
  Program other{{ACCOUNTS_PROGRAM, "host", "--name", "beta", "--nats", server().url(), "--data", file("beta"),
                 "--lease", "20s"},
                file("beta.out"),
                file("beta.err")};
  EXPECT_EQ(other.wait(), 1);
  EXPECT_THAT(
      other.err(),
      testing::AllOf(HasSubstr("have a lease of 600ms, and this one 20s"),
                     HasSubstr("nats kv put SLUICE_accounts_OWNERS shape '1 6 20000000000 accounts-0'")));
}

// What is drained has ended for good, and the chain of its checkpoints would say so for ever.
TEST_F(Hosts, GoOnWithAPartitionThatSomebodyDrains) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  begin(2'500, 500);
  ASSERT_TRUE(flows(50));
  // Other tests may run partitions of that name beside this one; and a host that is slow may have lost it just now.
  ASSERT_TRUE(within(60s, [this] {
    for (const RunningPipeline& pipeline : Observer::running()) {
      const bool wanted = pipeline.name.starts_with("accounts-0.");
      try {
        if (wanted &&
            (is_below(host("alpha").pid(), pipeline.name) || is_below(host("beta").pid(), pipeline.name)))
          ask_to_drain(pipeline.socket);
      } catch (const Error&) {
        // It is on its way already.
      }
    }
    std::this_thread::sleep_for(500ms);
    return says("alpha", "was parked by somebody else") || says("beta", "was parked by somebody else");
  }));
  end();
}

// As after a server that has lost what it had stored: who runs a partition has all of it in memory. The stream stays: nats-server
// 2.9 may crash when one is removed whose messages are being asked for.
TEST_F(Hosts, StoreAnewWhatTheServerHasLost) {
  start_host("alpha");
  begin(2'500, 500);
  ASSERT_TRUE(flows(50));
  purge_stream(server().url(), "SLUICE_accounts");
  end();
  EXPECT_FALSE(says("alpha", "partition 5 with epoch 2"));
}

// What was sent would be sent again.
TEST_F(Hosts, DoNotBeginAnewWhatWasStored) {
  start_host("alpha");
  begin(5'000, 500);
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  ASSERT_TRUE(within(60s, [this] {
    const auto entries = messages_of(server().url(), "KV_SLUICE_accounts_OWNERS");
    return std::count_if(entries.begin(), entries.end(), [](const StreamMessage& entry) {
             return entry.subject.find(".stored.") != std::string::npos;
           }) == 6;
  }));
  lose_host("alpha");
  purge_stream(server().url(), "SLUICE_accounts");
  const std::uint64_t sent = balances();
  start_host("beta");
  EXPECT_TRUE(within(60s, [this] { return says("beta", "partition 5 ended with a failure"); }));
  EXPECT_TRUE(within(60s, [this] {
    const std::string said = cluster({"status", "accounts"});
    return said.find("partition 5 has failed") != std::string::npos &&
           said.find("there are none") != std::string::npos;
  }));
  EXPECT_EQ(balances(), sent);
}

TEST_F(Hosts, PassOverWhatTheyCannotRead) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  for (const char* key : {"host.zeta", "partition.3", "partition.x", "shape"})
    send_messages(server().url(), std::string{"$KV.SLUICE_accounts_OWNERS."} + key, {"rubbish"});
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "is passed over: 'rubbish'"); }));
  // It lives, and leaves as ever; the entry that it cannot read it cannot write.
  host("alpha").ask_to_end();
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "partition 5 is parked"); }));
}

TEST_F(Hosts, ParkWhatHasHardlyBegun) {
  for (int time = 0; time < 3; ++time) {
    const std::string name = "alpha" + std::to_string(time);
    start_host(name);
    ASSERT_TRUE(within(60s, [&] { return says(name, "partition 5 with epoch"); }));
    host(name).ask_to_end();
    EXPECT_EQ(host(name).wait(), 0);
    EXPECT_THAT(text_of(file(name + ".err")), Not(HasSubstr("without being parked")));
  }
}

// Sent before that life was killed, behind a line that was cut then.
TEST_F(Hosts, LiveOnWhenAHeartbeatOfAFormerLifeArrivesLate) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  send_messages(
      server().url(), "$KV.SLUICE_accounts_OWNERS.host.alpha",
      {detail::to_text(detail::HostBeat{1, 7, false}), detail::to_text(detail::HostBeat{1, 8, false})});
  EXPECT_THAT(cluster({"status", "accounts"}), HasSubstr("alpha")) << "after a lease";
  host("alpha").ask_to_end();
  EXPECT_EQ(host("alpha").wait(), 0) << host("alpha").err();
}

TEST_F(Hosts, KeepWhatWasMovedToThem) {
  for (const char* name : {"alpha", "beta", "gamma"})
    start_host(name);
  ASSERT_TRUE(within(60s, [this] {
    return says("alpha", "with epoch") && says("beta", "with epoch") && says("gamma", "with epoch");
  }));
  const std::string before = cluster({"status", "accounts", "--json"});
  const std::string owned = R"("partition":5,"owner":")";
  const std::string owner = before.substr(before.find(owned) + owned.size(), 4) == "beta" ? "alpha" : "beta";
  cluster({"move", "accounts", "5", owner});
  // Another one goes back, for shares to be even.
  const auto even = [&] {
    const std::string status = cluster({"status", "accounts", "--json"});
    return status.find(R"("partitions":3)") == std::string::npos &&
           status.find(R"("state":"given")") == std::string::npos;
  };
  EXPECT_TRUE(within(60s, even));
  EXPECT_THAT(cluster({"status", "accounts", "--json"}), HasSubstr(owned + owner));
}

TEST_F(Hosts, WaitForAServerThatIsAway) {
  server().kill();
  start_host("alpha");
  ASSERT_TRUE(within(
      60s, [this] { return text_of(file("alpha.err")).find("the NATS server at") != std::string::npos; }));
  server().start();
  EXPECT_TRUE(
      within(60s, [this] { return text_of(file("alpha.err")).find("is here") != std::string::npos; }));
  host("alpha").ask_to_end();
  EXPECT_EQ(host("alpha").wait(), 0);
}

TEST_F(Hosts, AreToldThatAServerHasNoJetStream) {
  const NatsProcess plain{file("plain"), {}, false};
  Program host{{ACCOUNTS_PROGRAM, "host", "--name", "alpha", "--nats", plain.url(), "--data", file("alpha")},
               file("plain.out"),
               file("plain.err")};
  EXPECT_TRUE(within(
      60s, [this] { return text_of(file("plain.err")).find("nats-server -js") != std::string::npos; }));
  host.ask_to_end();
  EXPECT_EQ(host.wait(), 0);
}

}  // namespace
}  // namespace sluice::test
