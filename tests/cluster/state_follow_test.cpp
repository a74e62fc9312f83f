// SPDX-License-Identifier: Apache-2.0
// Whoever follows the checkpoints of a partition hears of each, though more come all the time.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

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

  std::atomic<bool> over_ = false;
  std::atomic<unsigned> in_time_ = 0;
};

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
