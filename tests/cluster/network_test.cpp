// SPDX-License-Identifier: Apache-2.0
// Hosts in network namespaces of their own, each with a link to the server that is cut in one direction at a time, so that what is
// lost is lost by the kernel, and neither side hears of it.
#include <iostream>
#include <sched.h>

#include "cluster_world.hpp"
#include "kill_count.hpp"

namespace sluice::test {
namespace {

// Of a command for the shell; whether it has succeeded.
bool runs(const std::string& command) {
  return std::system((command + " > /dev/null 2>&1").c_str()) == 0;
}

bool write_text(const char* path, const std::string& text) {
  std::ofstream file{path};
  return static_cast<bool>(file << text << std::flush);
}

// This process, and all that it starts from here on.
bool into_a_network_of_its_own() {
  const uid_t user = ::getuid();
  const gid_t group = ::getgid();
  if (::unshare(user == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  if (user != 0 && (!write_text("/proc/self/setgroups", "deny") ||
                    !write_text("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
                    !write_text("/proc/self/gid_map", "0 " + std::to_string(group) + " 1")))
    return false;
  return runs("ip link set lo up") && runs("ip link add sluice0 type veth peer name sluice1") &&
         runs("ip link del sluice0");
}

class Network : public ClusterTest {
 protected:
  enum class Way { to_server, to_host };

  void SetUp() override {
    if (!into_a_network_of_its_own())
      GTEST_SKIP() << "no network namespaces here: they need ip (iproute2), and root or user namespaces";
    listen_ = "0.0.0.0";
    ClusterTest::SetUp();
  }

  void TearDown() override {
    programs_.clear();
    ClusterTest::TearDown();
  }

  void start(const std::string& name) {
    const unsigned number = numbers_.try_emplace(name, numbers_.size() + 1).first->second;
    const std::string net = "10.77." + std::to_string(number) + ".";
    const std::string link = "way" + std::to_string(number) + "x" + std::to_string(++links_made_);
    // It waits for its link, and becomes the host then.
    const std::string script = "until ip addr add " + net +
                               "2/24 dev eth0 2> /dev/null; do sleep 0.01; done; "
                               "ip link set eth0 up; ip link set lo up; exec \"$0\" \"$@\"";
    programs_[name] = std::make_unique<Program>(
        std::vector<std::string>{"/usr/bin/unshare", "-n", "/bin/sh", "-c", script, ACCOUNTS_PROGRAM, "host",
                                 "--name", name, "--nats",
                                 "nats://" + net + "1:" + std::to_string(server().port()), "--data",
                                 file(name), "--lease", kLease, "--set", "checkpoint.every=50ms", "--set",
                                 "report.path=" + file(name + "-reports").string()},
        file(name + ".out"), file(name + ".err"));
    const std::string pid = std::to_string(programs_.at(name)->pid());
    const auto own = std::filesystem::read_symlink("/proc/self/ns/net");
    ASSERT_TRUE(within(60s, [&] {
      std::error_code error;
      const auto its = std::filesystem::read_symlink("/proc/" + pid + "/ns/net", error);
      return !error && its != own;
    }));
    ASSERT_TRUE(runs("ip link add " + link + " type veth peer name eth0 netns " + pid));
    ASSERT_TRUE(runs("ip addr add " + net + "1/24 dev " + link) && runs("ip link set " + link + " up"));
    if (!runs("tc qdisc add dev " + link + " root netem delay 2ms 1ms loss 0.5%") && !told_)
      std::cout << "this kernel has no netem: no latency and no loss on the links\n";
    told_ = true;
  }
  void lose(const std::string& name) { programs_.erase(name); }
  // Packets that way are dropped until it is whole again.
  void cut(const std::string& name, Way way) { ASSERT_TRUE(runs(route(name, way, "add"))); }
  void mend(const std::string& name, Way way) { ASSERT_TRUE(runs(route(name, way, "del"))); }

  bool says(const std::string& host, const std::string& what) const {
    return text_of(file(host + ".err")).find(what) != std::string::npos;
  }
  // Of a partition: one of the hosts.
  std::string owner() {
    constexpr std::string_view kOwner = R"("partition":0,"owner":")";
    std::string found;
    EXPECT_TRUE(within(60s, [&] {
      const std::string status = cluster({"status", "accounts", "--json"});
      const std::size_t at = status.find(kOwner);
      if (at == std::string::npos) return false;
      const std::size_t begin = at + kOwner.size();
      found = status.substr(begin, status.find('"', begin) - begin);
      return programs_.contains(found);
    })) << "nobody owns partition 0";
    return found;
  }
  std::uint64_t balances() { return count_of(server().url(), "BALANCES"); }
  void expect_flow() {
    const std::uint64_t before = balances();
    ASSERT_TRUE(within(
        60s, [&] { return balances() > before + 20 || balances() == count_of(server().url(), "PAYMENTS"); }));
  }

 private:
  std::string route(const std::string& name, Way way, const std::string& what) {
    const std::string net = "10.77." + std::to_string(numbers_.at(name)) + ".";
    if (way == Way::to_host) return "ip route " + what + " blackhole " + net + "2/32";
    return "nsenter -t " + std::to_string(programs_.at(name)->pid()) + " -n ip route " + what +
           " blackhole " + net + "1/32";
  }

  std::map<std::string, unsigned> numbers_;
  std::map<std::string, std::unique_ptr<Program>> programs_;
  unsigned links_made_ = 0;
  bool told_ = false;
};

TEST_F(Network, LosesNothingWhicheverWayIsCut) {
  for (const char* name : {"alpha", "beta", "gamma"})
    start(name);
  const unsigned rounds = kills_asked(1, kTwentieth);
  // Where more than one is asked for.
  const auto longer = rounds == 1 ? 0s : 30s;
  const std::uint64_t count = 1'500 + rounds * (1'500 + 600 * static_cast<std::uint64_t>(longer.count()));
  auto feed = load("feed", "payments", count, {"--rate", "300", "--accounts", "50"});
  auto collect = load("collect", "balances", count, {"--patience", "90"});
  for (unsigned round = 0; round < rounds && !HasFailure(); ++round) {
    for (const Way way : {Way::to_server, Way::to_host}) {
      expect_flow();
      const std::string name = owner();
      const auto taken = [&] {
        unsigned found = 0;
        for (const char* other : {"alpha", "beta", "gamma"}) {
          const std::string text = text_of(file(std::string{other} + ".err"));
          for (std::size_t at = text.find(", after " + name); at != std::string::npos;
               at = text.find(", after " + name, at + 1))
            ++found;
        }
        return found;
      };
      const unsigned before = taken();
      cut(name, way);
      EXPECT_TRUE(within(60s, [&] { return taken() > before; })) << name << " is not taken for dead";
      expect_flow();
      std::this_thread::sleep_for(longer);
      mend(name, way);
    }
    lose("gamma");
    start("gamma");
  }
  EXPECT_EQ(feed->wait(), 0) << feed->err();
  EXPECT_EQ(collect->wait(), 0) << collect->err();
  EXPECT_TRUE(expected("payments") == found("balances")) << "other balances than one machine has";
  unsigned noticed = 0;
  for (const char* name : {"alpha", "beta", "gamma"})
    noticed += says(name, "fenced: ") || says(name, " belongs to ");
  std::cout << noticed << " hosts that were cut off have noticed it\n";
}

}  // namespace
}  // namespace sluice::test
