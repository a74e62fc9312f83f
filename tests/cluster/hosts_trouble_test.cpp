// SPDX-License-Identifier: Apache-2.0
// Partitions that rest, that fail wherever they are started, and that move with what they have.
#include <csignal>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <sys/resource.h>

#include "cluster_world.hpp"
#include "state_log.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class HostsInTrouble : public ClusterTest {
 protected:
  bool says(const std::string& host, const std::string& what) const {
    return text_of(file(host + ".err")).find(what) != std::string::npos;
  }
  std::string status() { return cluster({"status", "accounts", "--json"}); }
  // The owner of a partition that is to go there waits ten seconds at most for its copy.
  void beside_beta_that_restores_nothing() {
    std::filesystem::create_directories(file("beta") / "accounts" / "beta");
    for (const char* number : {"0", "1", "2", "3", "4", "5"})
      std::ofstream{file("beta") / "accounts" / "beta" / (std::string{"partition-"} + number)}
          << "in the way";
    start_host("alpha");
    ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
    start_host("beta");
    ASSERT_TRUE(within(60s, [this] { return says("beta", "is here"); }));
    ASSERT_TRUE(within(60s, [this] { return told_by_cluster({"status", "accounts"}).status == 0; }));
  }
  // In the status: each host has its share, and beta a copy of this one.
  static std::regex settled() {
    return std::regex{R"re("host":"alpha","state":"here","partitions":3.*)re"
                      R"re("partition":([0-9]),"owner":"alpha"[^}]*"copy":"beta","copy_restored":true)re"};
  }
  // A checkpoint of each partition.
  bool has_stored_all() {
    const std::string status = this->status();
    return status.find("partition") != std::string::npos &&
           status.find("stored_bytes\":null") == std::string::npos;
  }
};

TEST_F(HostsInTrouble, StoreNothingOfPartitionsThatRest) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  ASSERT_TRUE(within(60s, [this] { return has_stored_all(); }));
  std::uint64_t before = 0;
  // Ten times as long as from one checkpoint to the next.
  EXPECT_TRUE(within(60s, [&] {
    const std::uint64_t now = count_of(server().url(), "SLUICE_accounts");
    if (now == before && now != 0) return true;
    before = now;
    std::this_thread::sleep_for(500ms);
    return false;
  })) << "there is always something new";
}

TEST_F(HostsInTrouble, AreShownInTheFormatOfPrometheus) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  ASSERT_TRUE(within(60s, [this] { return has_stored_all(); }));
  std::istringstream text{cluster({"status", "accounts", "--metrics"})};
  const std::regex sample{R"re(([a-z_]+)\{cluster="accounts"(,[a-z]+="[a-z0-9-]*")*\} [0-9]+(\.[0-9]+)?)re"};
  std::string family;
  std::map<std::string, unsigned> samples;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("# HELP ")) family = line.substr(7, line.find(' ', 7) - 7);
    if (line.starts_with("#")) {
      EXPECT_EQ(line.find(family), 7U) << line;
      EXPECT_TRUE(!line.ends_with(" counter") || family.ends_with("_total")) << "promtool minds: " << line;
      continue;
    }
    std::smatch found;
    ASSERT_TRUE(std::regex_match(line, found, sample)) << line;
    EXPECT_EQ(found[1], family) << line;
    ++samples[family];
  }
  EXPECT_EQ(samples["sluice_cluster_host_here"], 1U);
  EXPECT_EQ(samples["sluice_cluster_host_refused_checkpoints_total"], 1U);
  for (const char* name : {"state", "epoch", "checkpoint_age_seconds", "stored_bytes", "copied", "failures"})
    EXPECT_EQ(samples[std::string{"sluice_cluster_partition_"} + name], 6U) << name;
  EXPECT_THAT(cluster({"status", "accounts", "--metrics", "--json"}, 2), HasSubstr("--metrics"));
  EXPECT_THAT(cluster({"status", "accounts"}), testing::StartsWith("accounts: 6 partitions, 1 host\n"));
}

// Also while nobody runs the partition.
TEST_F(HostsInTrouble, AreBehindWhatTheirCheckpointsDoNotHold) {
  start_host("alpha");
  auto feed = load("feed", "payments", 300, {"--rate", "1000", "--accounts", "50"});
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  // The names of JSON's members, so that each has its own end.
  const auto lag = [this] {
    const std::string status = this->status();
    std::uint64_t sum = 0;
    unsigned known = 0;
    const std::string name = R"("lag_events":)";
    for (std::size_t at = status.find(name); at != std::string::npos; at = status.find(name, at + 1)) {
      const std::string value = status.substr(at + name.size(), 20);
      if (value.starts_with("null")) continue;
      ++known;
      sum += std::stoull(value);
    }
    return known == 6 ? std::optional{sum} : std::nullopt;
  };
  ASSERT_TRUE(within(60s, [&] { return lag() == 0U; })) << status();
  EXPECT_THAT(cluster({"status", "accounts"}), HasSubstr(" stored     lag   bytes\n"));
  lose_host("alpha");
  send_messages(server().url(), "payments.0", std::vector<std::string>(250, "A00001 5"));
  EXPECT_EQ(lag(), 250U) << status();
  const std::string metrics = cluster({"status", "accounts", "--metrics"});
  for (const char* name : {"events", "bytes"})
    EXPECT_THAT(metrics, HasSubstr("sluice_cluster_partition_lag_" + std::string{name} +
                                   R"({cluster="accounts",partition="5"} )"));
  start_host("beta");
  EXPECT_TRUE(within(60s, [&] { return lag() == 0U; })) << status();
}

// Who sends counts more partitions than there are; nothing of it waits in any lag.
TEST_F(HostsInTrouble, SayWhichInputNoPartitionReads) {
  start_host("alpha");
  auto feed = load("feed", "payments", 100, {"--partitions", "9", "--accounts", "50"});
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  // Once the partitions have told what they read.
  ASSERT_TRUE(within(60s, [this] { return status().find(R"("unread":[])") == std::string::npos; }))
      << status();
  EXPECT_THAT(status(),
              HasSubstr(R"("unread":[{"stream":"PAYMENTS","first":"payments.6","subjects":3,"events":)"));
  EXPECT_THAT(cluster({"status", "accounts"}),
              testing::AllOf(HasSubstr("no partition reads payments.6 and 2 others of the stream PAYMENTS, "),
                             HasSubstr(": who sends there counts more than 6")));
  EXPECT_THAT(cluster({"status", "accounts", "--metrics"}),
              testing::ContainsRegex("sluice_cluster_unread_events.cluster=\"accounts\". [1-9]"));
}

// Where it cannot be started for a reason that is the machine's another one has it.
TEST_F(HostsInTrouble, GiveAwayWhatFailsAgainAndAgain) {
  std::filesystem::create_directories(file("alpha") / "accounts" / "alpha");
  std::ofstream{file("alpha") / "accounts" / "alpha" / "partition-0"} << "in the way of a directory";
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 0 ended with a failure"); }));
  ASSERT_TRUE(within(60s, [this] { return status().find(R"("state":"failing")") != std::string::npos; }));
  EXPECT_THAT(
      cluster({"status", "accounts"}),
      testing::AllOf(testing::ContainsRegex("partition 0 has failed [0-9]+ times?, the first .* ago: "),
                     HasSubstr("partition-0")));
  start_host("beta");
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "times here, and is given to beta"); }));
  EXPECT_TRUE(within(60s, [this] {
    return says("beta", "partition 0 with epoch") &&
           status().find(R"("partition":0,"owner":"beta")") != std::string::npos;
  }));
  EXPECT_FALSE(says("beta", "partition 0 ended with a failure")) << text_of(file("beta.err"));
}

// A machine that starts no process any more: what its agent has is not at work there.
TEST_F(HostsInTrouble, GiveAwayWhatTheyCannotStart) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 0 with epoch 1"); }));
  const pid_t agent = host("alpha").pid();
  pid_t partition = 0;
  ASSERT_TRUE(within(60s, [&] { return (partition = child_of(agent, " partition 0 ")) > 1; }));
  // It has its connection to the server, and no descriptor more.
  rlimit files{};
  ASSERT_EQ(::prlimit(agent, RLIMIT_NOFILE, nullptr, &files), 0);
  files.rlim_cur = 3;
  ASSERT_EQ(::prlimit(agent, RLIMIT_NOFILE, &files, nullptr), 0);
  ::kill(partition, SIGKILL);
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "cannot start the process of a partition"); }));
  EXPECT_TRUE(within(60s, [this] {
    return cluster({"status", "accounts"})
               .find("cannot start the process of a partition: Too many open files") != std::string::npos;
  })) << status();
  start_host("beta");
  EXPECT_TRUE(within(60s, [this] {
    return says("beta", "partition 0 with epoch") &&
           status().find(R"("partition":0,"owner":"beta")") != std::string::npos;
  })) << status();
}

TEST_F(HostsInTrouble, SayWhereAMoveLeadsToAFailure) {
  beside_beta_that_restores_nothing();
  Said said{};
  // Shares are made even meanwhile: its owner may have changed just now.
  ASSERT_TRUE(within(100s, [&] {
    said = told_by_cluster({"move", "accounts", "0", "beta"});
    return said.text.find("try again") == std::string::npos;
  }));
  EXPECT_EQ(said.status, 1) << said.text;
  EXPECT_THAT(said.text, HasSubstr("beta has it, and it fails there: "));
}

TEST_F(HostsInTrouble, SayThatAMoveWasGivenUp) {
  beside_beta_that_restores_nothing();
  // Somebody takes the wish back while the owner waits for beta's copy. Shares are made even meanwhile, as above.
  ASSERT_TRUE(within(100s, [&] {
    Program move{{CLUSTER_PROGRAM, "move", "accounts", "0", "beta", "--nats", url()},
                 file("move.out"),
                 file("move.err")};
    std::optional<int> status;
    while (!status) {
      told_by_cluster({"move", "accounts", "0", "alpha", "--patience", "1s"});
      status = move.ended();
    }
    return status == 1 && move.err().find("given up: it is to be owned by alpha now") != std::string::npos;
  })) << text_of(file("move.err"));
}

// As on a disk that is full, or read-only: others have room.
TEST_F(HostsInTrouble, GiveAwayWhatTheirDiskDoesNotTake) {
  lease_ = "5s";
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "is here") && says("beta", "is here"); }));
  std::string said;
  std::smatch found;
  ASSERT_TRUE(within(100s, [&] { return std::regex_search(said = status(), found, settled()); })) << said;
  const std::string number = found[1];
  const std::filesystem::path directory = file("alpha") / "accounts" / "alpha" / ("partition-" + number);
  std::filesystem::rename(directory, file("alpha") / "accounts" / "former");
  clear_away(file("alpha") / "accounts" / "former");
  std::ofstream{directory} << "in the way of a directory";
  send_messages(server().url(), "payments." + number, {"A00001 5"});
  EXPECT_TRUE(within(150s, [&] {
    return status().find("\"partition\":" + number + ",\"owner\":\"beta\"") != std::string::npos &&
           count_of(server().url(), "BALANCES") == 1;
  })) << status();
  EXPECT_TRUE(says("alpha", "times here, and is given to beta"));
}

// The log of its machine may be far away from who asks.
TEST_F(HostsInTrouble, TellWhyAPipelineFails) {
  delete_stream(server().url(), "PAYMENTS");
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 0 ended with a failure"); }));
  EXPECT_TRUE(within(60s, [this] {
    const std::string said = cluster({"status", "accounts"});
    return said.find("has failed") != std::string::npos &&
           said.find("cannot use the stream PAYMENTS") != std::string::npos;
  })) << cluster({"status", "accounts"});
}

TEST_F(HostsInTrouble, MoveWhatIsRestoredWhereItGoes) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  auto feed = load("feed", "payments", 1'500, {"--rate", "500", "--accounts", "50"});
  auto collect = load("collect", "balances", 1'500, {"--patience", "90"});
  ASSERT_TRUE(within(60s, [this] { return count_of(server().url(), "BALANCES") > 50; }));
  // Not the one that comes in the moment in which a base takes the place of what is being restored.
  bool ahead = false;
  for (unsigned number = 0; number < 3 && !ahead; ++number) {
    const std::string partition = "partition " + std::to_string(number);
    std::string owned_by_alpha = R"("partition":)";
    owned_by_alpha += std::to_string(number) + R"(,"owner":"alpha")";
    const std::string to = status().find(owned_by_alpha) != std::string::npos ? "beta" : "alpha";
    ASSERT_TRUE(within(60s, [&] { return says(to, partition + ": its copy is in memory"); }));
    EXPECT_THAT(cluster({"move", "accounts", std::to_string(number), to}),
                testing::AllOf(HasSubstr(partition), HasSubstr(" is owned by " + to)));
    ahead = says(to, partition + ": was restored ahead");
  }
  EXPECT_TRUE(ahead) << text_of(file("alpha.err")) << text_of(file("beta.err"));
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  EXPECT_EQ(collect->wait(), 0) << collect->err();
  EXPECT_TRUE(expected("payments") == found("balances")) << "other balances than one machine has";
}

// What a death would bring is in the memory of the host that gets it.
TEST_F(HostsInTrouble, StartWhatIsRestoredWhenItsOwnerDies) {
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  auto feed = load("feed", "payments", 1'500, {"--rate", "300", "--accounts", "50"});
  auto collect = load("collect", "balances", 1'500, {"--patience", "90"});
  ASSERT_TRUE(within(60s, [this] { return says("beta", ": its copy is in memory"); }));
  EXPECT_THAT(status(), HasSubstr(R"(,"copy_restored":)"));
  lose_host("alpha");
  EXPECT_TRUE(within(60s, [this] { return says("beta", ", after alpha"); }));
  EXPECT_TRUE(within(60s, [this] { return says("beta", ": was restored ahead"); }))
      << text_of(file("beta.err"));
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  EXPECT_EQ(collect->wait(), 0) << collect->err();
  EXPECT_TRUE(expected("payments") == found("balances")) << "other balances than one machine has";
}

// Its agent lives, and so would say for ever that all is well.
TEST_F(HostsInTrouble, EndAStoppedProcessThatIsToGoOn) {
  lease_ = "5s";
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "is here") && says("beta", "is here"); }));
  std::smatch found;
  std::string said;
  ASSERT_TRUE(within(100s, [&] { return std::regex_search(said = status(), found, settled()); })) << said;
  const std::string number = found[1];
  const pid_t standing_by = child_of(host("beta").pid(), "partition " + number + " ");
  ASSERT_NE(standing_by, 0);
  ::kill(standing_by, SIGSTOP);
  lose_host("alpha");
  EXPECT_TRUE(within(60s, [&] { return says("beta", "partition " + number + ": somebody has stopped"); }));
  send_messages(server().url(), "payments." + number, {"A00001 5"});
  EXPECT_TRUE(within(60s, [this] { return count_of(server().url(), "BALANCES") == 1; })) << status();
}

// Who asks for that waits for it.
TEST_F(HostsInTrouble, EndAStoppedProcessThatIsToPark) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  ASSERT_TRUE(within(60s, [this] { return has_stored_all(); }));
  const pid_t stopped = child_of(host("alpha").pid(), "partition 3 ");
  ASSERT_NE(stopped, 0);
  ::kill(stopped, SIGSTOP);
  EXPECT_THAT(cluster({"drain", "accounts", "alpha"}), HasSubstr("alpha has left"));
  EXPECT_TRUE(says("alpha", "partition 3: somebody has stopped"));
}

// As one is that was frozen: another has claimed the partition, and what it stores next comes behind that.
TEST_F(HostsInTrouble, CountWhatIsRefused) {
  stay_here_once_libnats_is_used();
  start_host("alpha");
  const std::vector<std::string> later(200, "Z00001 5");
  auto collect = load("collect", "balances", 100 + later.size(), {"--patience", "90"});
  auto feed = load("feed", "payments", 100, {"--accounts", "50"});
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  ASSERT_TRUE(within(60s, [this] { return count_of(server().url(), "BALANCES") > 50; }));
  EXPECT_THAT(status(), HasSubstr(R"("refused_checkpoints":0)"));
  detail::StateLogOptions other;
  other.server.url = server().url();
  other.cluster = "accounts";
  other.partition = 3;
  other.host = "other";
  detail::StateLog{other}.claim(1'000);
  // What it knows nothing of yet is what its next checkpoint holds.
  send_messages(server().url(), "payments.3", later);
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "fenced: "); }));
  EXPECT_TRUE(within(60s, [this] {
    return status().find(R"("host":"alpha","state":"here","partitions":6,"refused_checkpoints":1)") !=
           std::string::npos;
  })) << status();
  EXPECT_EQ(collect->wait(), 0) << collect->err();
  std::ofstream payments{file("payments"), std::ios::app};
  for (const std::string& payment : later)
    payments << payment << std::endl;
  EXPECT_TRUE(expected("payments") == found("balances")) << "other balances than one machine has";
}

TEST_F(HostsInTrouble, AreToldWhatIsWrongWithTheirWords) {
  const auto said = [this](std::vector<std::string> words, int status) {
    words.insert(words.begin(), ACCOUNTS_PROGRAM);
    std::filesystem::remove(file("said.err"));
    Program program{words, file("said.out"), file("said.err")};
    EXPECT_EQ(program.wait(), status) << program.err();
    return program.err();
  };
  const std::string url = server().url();
  EXPECT_THAT(said({"host", "--nats", url, "--name", "a.b"}, 2),
              HasSubstr("cannot be a host of the name 'a.b'"));
  EXPECT_THAT(said({"host", "--nats", url, "--lease", "soon"}, 2), HasSubstr("cannot use the lease soon"));
  EXPECT_THAT(said({"host", "--nats", url, "--lease", "1ms"}, 2), HasSubstr("100ms is the shortest"));
  EXPECT_THAT(said({"host", "--nats", url, "--set", "segment.path=/tmp/x"}, 2), HasSubstr("segment.path"));
  EXPECT_THAT(said({"host", "--nats", url, "--set", "outside.after=commit"}, 2),
              HasSubstr("a cluster sets it itself"));
  for (const char* key : {"checkpoint.path=/tmp/x", "checkpoint.keep=3", "host.death=drain"})
    EXPECT_THAT(said({"host", "--nats", url, "--set", key}, 2), HasSubstr("a cluster sets it itself")) << key;
  EXPECT_THAT(said({"host", "--nats", url, "--data", "/dev/null/x"}, 2), HasSubstr("--data"));
  EXPECT_THAT(said({"hots"}, 2), HasSubstr("there is no command \"hots\""));
  EXPECT_THAT(said({"host", "--nat", url}, 2), HasSubstr("there is no option --nat; did you mean --nats?"));
  EXPECT_THAT(cluster({"status", "nobody"}, 1), HasSubstr("cannot find the cluster nobody"));
  EXPECT_THAT(cluster({"status"}, 2), HasSubstr("CLUSTER is required"));
  EXPECT_THAT(cluster({"status", "no/body"}, 2), HasSubstr("that is no name of one"));
  EXPECT_THAT(cluster({"drain", "nobody", "alpha", "--patience", "soon"}, 2), HasSubstr("the time soon"));
}

}  // namespace
}  // namespace sluice::test
