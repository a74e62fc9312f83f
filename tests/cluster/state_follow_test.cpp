// SPDX-License-Identifier: Apache-2.0
// Whoever follows the checkpoints of a partition hears of each, though more come all the time, and whatever becomes of the disk.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "state_log.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;

constexpr unsigned kPartitions = 6;
constexpr unsigned kFollowersEach = 2;
// As many as a partition has in some seconds.
constexpr std::uint64_t kCheckpoints = 150;
constexpr auto kBetween = 50ms;

class StateFollowers : public WithServer {
 protected:
  StateLogOptions options(const std::string& host, unsigned partition) const {
    StateLogOptions options;
    options.server.url = server_->url();
    options.server.timeout = 60s;  // Of a busy machine: what is away would end a thread.
    options.cluster = "test";
    options.partition = partition;
    options.host = host;
    return options;
  }
  std::filesystem::path directory(const std::string& name) const {
    std::filesystem::path made = scratch_ / name;
    std::filesystem::create_directory(made);
    return made;
  }
  void write(unsigned partition) {
    const std::filesystem::path checkpoints = directory(fmt::format("own-{}", partition));
    StateLog log{options("a", partition)};
    log.claim(1);
    for (std::uint64_t number = 1; !over_ && number <= kCheckpoints; ++number) {
      const std::filesystem::path path =
          checkpoints / fmt::format("checkpoint-{:012}.{}", number, number == 1 ? "base" : "delta");
      std::ofstream{path} << number;
      log.append(path);
      std::this_thread::sleep_for(kBetween);
    }
    over_ = true;
  }
  void follow(unsigned partition, unsigned follower) {
    unsigned told = 0;
    StateLog log{options("b", partition)};
    log.follow(directory(fmt::format("copy-{}-{}", partition, follower)),
               [&told](const FetchedState&) { return ++told < 10; });
    if (!over_) ++in_time_;
  }

  // Follows until everything is there; what went wrong, and what is there then.
  std::string followed_into(const std::filesystem::path& place) const {
    std::string text;
    try {
      StateLog{options("b", 3)}.follow(place, [](const FetchedState&) { return false; });
    } catch (const Error& error) {
      text = error.what();
    }
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{place}) {
      const std::string name = entry.path().filename();
      if (name.starts_with("checkpoint-")) names.insert(name);
    }
    return fmt::format("{}[{}]\n", text, fmt::join(names, " "));
  }
  void store(StateLog& log, const std::string& name, std::size_t bytes) const {
    const std::filesystem::path path = directory("own") / name;
    std::ofstream{path} << std::string(bytes, 'x');
    log.append(path);
  }

  std::atomic<bool> over_ = false;
  std::atomic<unsigned> in_time_ = 0;
};

// Both at its beginning and behind what is there already. The error says what to do; whoever asked tries again.
TEST_F(StateFollowers, LeaveNothingOnADiskThatIsFullAndGoOnOnceThereIsRoom) {
  const std::filesystem::path disk = directory("disk");
  const std::string told = run_apart([&]() -> std::string {
    const auto mounted = [&disk](unsigned long flags, const char* size) {
      return ::mount("none", disk.c_str(), "tmpfs", flags, size) == 0;
    };
    if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || !mounted(0, "size=64k,mode=700"))
      return {};
    StateLog log{options("a", 3)};
    log.claim(1);
    store(log, "checkpoint-000000000001.base", 200'000);
    std::string text = followed_into(disk);
    EXPECT_TRUE(mounted(MS_REMOUNT, "size=300k,mode=700"));
    text += followed_into(disk);
    store(log, "checkpoint-000000000002.delta", 200'000);
    text += followed_into(disk);
    EXPECT_TRUE(mounted(MS_REMOUNT, "size=16m,mode=700"));
    return text + followed_into(disk);
  });
  if (told.empty()) GTEST_SKIP() << "a file system of its own needs root, or user namespaces";
  const auto full =
      testing::AllOf(testing::HasSubstr(disk.string()), testing::HasSubstr("No space left on device"),
                     testing::HasSubstr("--data"), testing::EndsWith("[]"));
  std::istringstream lines{told};
  std::vector<std::string> attempts;
  for (std::string line; std::getline(lines, line);)
    attempts.push_back(line);
  EXPECT_THAT(attempts, testing::ElementsAre(full, "[checkpoint-000000000001.base]", full,
                                             "[checkpoint-000000000001.base checkpoint-000000000002.delta]"));
}

// nats-server 2.9.10 counts one too many that wait for a consumer that was made while messages came, for as long as it lives.
TEST_F(StateFollowers, AreToldWhileMoreComesAllTheTime) {
  std::vector<std::thread> writers;
  std::vector<std::thread> followers;
  for (unsigned partition = 0; partition < kPartitions; ++partition) {
    writers.emplace_back([this, partition] { write(partition); });
    for (unsigned follower = 0; follower < kFollowersEach; ++follower)
      followers.emplace_back([this, partition, follower] { follow(partition, follower); });
  }
  for (std::thread& follower : followers)
    follower.join();
  over_ = true;
  for (std::thread& writer : writers)
    writer.join();
  EXPECT_EQ(in_time_, kPartitions * kFollowersEach) << "the others only when nothing came any more";
}

}  // namespace
}  // namespace sluice::test
