// SPDX-License-Identifier: Apache-2.0
// Hosts of whose partitions somebody has stopped a process, and whose clocks say what they like.
#include <csignal>
#include <cstdint>
#include <regex>
#include <string>

#include "client.hpp"
#include "hosts_world.hpp"
#include "position_header.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

class StoppedProcesses : public Hosts {
 protected:
  // The master of a partition at work.
  pid_t master_of(const std::string& host, const std::string& number) {
    const pid_t partition = child_of(this->host(host).pid(), "partition " + number + " ");
    const pid_t supervisor = partition > 1 ? child_of(partition, "supervisor") : 0;
    return supervisor > 1 ? child_of(supervisor, "master") : 0;
  }
};

// Nothing of the partition would go out, its workers and its agent live, and nobody would say a word.
TEST_F(StoppedProcesses, ThatAreMastersEndTheirPartitionWhichGoesOn) {
  start_host("alpha");
  pid_t master = 0;
  ASSERT_TRUE(within(60s, [&] { return (master = master_of("alpha", "0")) > 1; }));
  begin(1'200, 200);
  ASSERT_TRUE(flows(100));
  master = master_of("alpha", "0");
  ASSERT_GT(master, 1);
  ::kill(master, SIGSTOP);
  EXPECT_TRUE(within(60s, [this] {
    return cluster({"status", "accounts"}).find("somebody has stopped its master, the process") !=
           std::string::npos;
  })) << text_of(file("alpha.err"));
  end();
}

class Lives : public Hosts {
 protected:
  // Of whoever has sent the last balance of partition 0.
  std::uint64_t last() const {
    const std::string position = run_apart([this] {
      const detail::NatsClient client{{.url = url()}, "test", true};
      const auto message = client.last_message("BALANCES", "balances.0");
      const char* text = nullptr;
      if (message) natsMsgHeader_Get(message.get(), detail::kPositionHeader, &text);
      return std::string{text == nullptr ? "" : text};
    });
    const auto header = detail::read_header(position.c_str());
    return header ? header->life : 0;
  }
  std::uint64_t epoch() {
    const std::string status = cluster({"status", "accounts", "--json"});
    std::smatch found;
    EXPECT_TRUE(std::regex_search(status, found, std::regex{R"re("partition":0,[^}]*"epoch":([0-9]+))re"}));
    return found.empty() ? 0 : std::stoull(found[1]);
  }
  static constexpr std::uint64_t kFirst = std::uint64_t{1} << 62U;
};

// By a clock that is ahead they would be higher than those of all hosts that come behind it, and what both write to would refuse these.
TEST_F(Lives, OfPartitionsAreNumberedByTheirEpochs) {
  start_host("alpha");
  begin(2'000, 200);
  ASSERT_TRUE(within(60s, [this] { return last() != 0; }));
  EXPECT_EQ(last(), kFirst + 1);
  start_host("beta");
  ASSERT_TRUE(within(60s, [this] { return says("beta", ": its copy is in memory"); }));
  lose_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("beta", ", after alpha"); }));
  end();
  EXPECT_EQ(last(), kFirst + epoch());
  EXPECT_GT(last(), kFirst + 1);
}

}  // namespace
}  // namespace sluice::test
