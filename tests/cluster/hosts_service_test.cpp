// SPDX-License-Identifier: Apache-2.0
// A host as a service: what a service manager (systemd, Type=notify) is told of it, and that its partitions tell it nothing.
#include <cstddef>
#include <cstdlib>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>

#include "child_status.hpp"
#include "hosts_world.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

// A service manager's socket, of an abstract name.
class ManagerSocket {
 public:
  ManagerSocket() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof(address.sun_path));
    address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  }
  const std::string& name() const { return name_; }
  // All that it has been told.
  const std::vector<std::string>& told() {
    char text[512];
    for (ssize_t bytes = 0; (bytes = ::recv(socket_.get(), text, sizeof(text), MSG_DONTWAIT)) >= 0;)
      told_.emplace_back(text, static_cast<std::size_t>(bytes));
    return told_;
  }

 private:
  std::string name_{"@sluice-host-" + std::to_string(::getpid())};
  detail::Descriptor socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::vector<std::string> told_;
};

TEST_F(Hosts, AreServicesWhosePartitionsTellTheManagerNothing) {
  ManagerSocket manager;
  ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1);
  start_host("alpha");
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(within(60s, [&] { return !manager.told().empty(); }));
  begin(400, 200);
  ASSERT_TRUE(flows(50));
  start_host("beta");
  ASSERT_TRUE(within(60s, [&] { return manager.told(), says("beta", "with epoch"); }));
  host("alpha").ask_to_end();
  EXPECT_EQ(host("alpha").wait(), 0);
  EXPECT_THAT(manager.told(), testing::ElementsAre("READY=1\nSTATUS=host alpha of cluster accounts",
                                                   testing::StartsWith("STOPPING=1\n")));
  end();
}

// What the kernel schedules a process by, as `ps -o ni` shows it.
int nice_of(pid_t pid) {
  return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
}

class AgentPriority : public Hosts {
 protected:
  // Of the agent, all its threads, and of its first partition's process.
  void expect_nice(int agent) {
    start_host("alpha");
    ASSERT_TRUE(within(60s, [this] { return says("alpha", "with epoch"); }));
    for (const auto& task :
         std::filesystem::directory_iterator{fmt::format("/proc/{}/task", host("alpha").pid())})
      EXPECT_EQ(nice_of(std::stoi(task.path().filename())), agent) << task.path();
    const std::vector<pid_t> partitions = children_of(host("alpha").pid());
    ASSERT_FALSE(partitions.empty());
    for (const pid_t partition : partitions)
      EXPECT_TRUE(within(60s, [partition] { return nice_of(partition) == nice_of(0); })) << partition;
  }
};

// Behind all that its partitions have to do its heartbeats would come too late.
TEST_F(AgentPriority, IsRaisedAndThatOfItsPartitionsIsNot) {
  constexpr int kRaised = -15;
  const bool permitted =
      status_in_child([] { return ::setpriority(PRIO_PROCESS, 0, kRaised) == 0 ? 0 : 1; }) == 0;
  if (!permitted) GTEST_SKIP() << "this user may not raise a priority";
  expect_nice(kRaised);
}

TEST_F(AgentPriority, IsTheHostsWhereThatIsAskedFor) {
  ::setenv("SLUICE_MASTER_PRIORITY", "normal", 1);
  expect_nice(nice_of(0));
  ::unsetenv("SLUICE_MASTER_PRIORITY");
}

}  // namespace
}  // namespace sluice::test
