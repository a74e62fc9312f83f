// SPDX-License-Identifier: Apache-2.0
// What the process of a partition waits for beside its pipeline: processes that claim and fetch its checkpoints, of which somebody may
// have stopped one.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/detail/descriptor.hpp>

#include "apart.hpp"
#include "nats_server.hpp"
#include "partition_run.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kLong = 60s;

bool within(std::chrono::nanoseconds limit, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Of a process: one that has it for a parent, and its state, 'T' once it is stopped; none if there is none.
std::optional<std::pair<pid_t, char>> child_of(pid_t parent) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry{"/proc", error}, end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file{entry->path() / "stat"};
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    const std::size_t behind_name = text.rfind(')');
    if (behind_name == std::string::npos) continue;
    std::istringstream words{text.substr(behind_name + 1)};
    char state = 0;
    pid_t its_parent = 0;
    if (words >> state >> its_parent && its_parent == parent) return std::pair{std::stoi(name), state};
  }
  return std::nullopt;
}

// A child that ends by itself: its exit status, and nothing, once it is killed, if that takes too long.
std::optional<int> status_of(pid_t child) {
  int status = 0;
  if (within(kLong, [&] { return ::waitpid(child, &status, WNOHANG) == child; }))
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return std::nullopt;
}

TEST(Apart, IsEndedWhereSomebodyHasStoppedIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::string said = "nothing";
    try {
      apart([] { ::raise(SIGSTOP); }, 100ms);
    } catch (const Error& error) {
      said = error.what();
    }
    std::_Exit(said.find("no life for 100 ms") != std::string::npos ? 0 : 1);
  }
  EXPECT_EQ(status_of(child), 0) << "it is waited for without an end, or not told";
}

class Ahead : public testing::Test {
 protected:
  void SetUp() override {
    if (has_used_libnats()) GTEST_SKIP() << "tests before it have used libnats in this process: run it alone";
    if (!has_nats_server())
      GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
    void* memory =
        ::mmap(nullptr, sizeof(Restores), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    restores_ = new (memory) Restores;
    std::string name = (std::filesystem::temp_directory_path() / "sluice-ahead-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
    server_ = std::make_unique<NatsProcess>(scratch_ / "nats");
    options_.partition.cluster = "test";
    options_.partition.server.url = server_->url();
    options_.partition.server.timeout = kLong;
    options_.ahead = true;
    options_.awaited = true;
    options_.host = "b";
    options_.data = scratch_ / "data";
  }
  void TearDown() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    server_.reset();
    if (!scratch_.empty()) clear_away(scratch_);
    if (restores_ != nullptr) ::munmap(restores_, sizeof(Restores));
  }

  // A checkpoint of another host is there.
  void store_one() const {
    run_apart([this] {
      StateLogOptions other = log_of(options_);
      other.host = "a";
      StateLog writer{other};
      writer.claim(1);
      const auto file = scratch_ / "checkpoint-000000000012.base";
      std::ofstream{file} << "the state";
      writer.append(file);
      return std::string{};
    });
  }
  // The process of the partition, up to the claim. Ends with 0 if it was claimed by who followed, and with 1 if that is still to be done.
  void start() {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    line_ = Descriptor{ends[0]};
    const Descriptor other{ends[1]};
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(other.get(), kAgentLine);
    keep_agent_line();
    const detail::Ahead ahead =
        stand_by(options_, [this] { return restores_->tried.fetch_add(1) >= restores_->in_vain; });
    std::_Exit(!ahead.epoch || *ahead.epoch != 2 ? 2 : (ahead.claimed ? 0 : 1));
  }
  unsigned tried() const { return restores_->tried; }
  // It says that it has everything.
  bool is_ready() const {
    char word = 0;
    return within(kLong, [&] { return ::recv(line_.get(), &word, 1, MSG_DONTWAIT) == 1; }) && word == 'r';
  }
  void order() const {
    const std::string word = "start 2\n";
    ASSERT_EQ(::send(line_.get(), word.data(), word.size(), MSG_NOSIGNAL), ssize_t(word.size()));
  }

  // In memory that the process of the partition shares.
  struct Restores {
    std::atomic<unsigned> in_vain{0};
    std::atomic<unsigned> tried{0};
  };
  Restores* restores_ = nullptr;
  std::filesystem::path scratch_;
  std::unique_ptr<NatsProcess> server_;
  PartitionOptions options_;
  Descriptor line_;
  pid_t child_ = 0;
};

TEST_F(Ahead, ClaimsByWhoFollows) {
  options_.silence = kLong;
  store_one();
  start();
  ASSERT_TRUE(is_ready());
  order();
  EXPECT_EQ(status_of(std::exchange(child_, 0)), 0);
}

// What it read may have been removed under it: a new base had taken its place. Nothing further need come.
TEST_F(Ahead, TriesARestoreAgainThatHasFailedForAMoment) {
  options_.silence = kLong;
  restores_->in_vain = 2;
  store_one();
  start();
  ASSERT_TRUE(is_ready());
  EXPECT_EQ(tried(), 3U) << "it is ready before it is restored, or was restored again with nothing new";
  order();
  EXPECT_EQ(status_of(std::exchange(child_, 0)), 0);
}

TEST_F(Ahead, IsWaitedForNoLongerWhereItsRestoreFailsAgainAndAgain) {
  options_.silence = kLong;
  restores_->in_vain = ~0U;
  store_one();
  start();
  ASSERT_TRUE(is_ready());
  const unsigned before = tried();
  EXPECT_GE(before, 3U);
  EXPECT_TRUE(within(kLong, [&] { return tried() > before; })) << "it has given up";
  order();
  EXPECT_EQ(status_of(std::exchange(child_, 0)), 0) << "whoever takes over restores it";
}

TEST_F(Ahead, RestoresOfACopyThatNobodyWaitsForAreTriedAgainToo) {
  options_.silence = kLong;
  options_.awaited = false;
  restores_->in_vain = 1;
  store_one();
  start();
  ASSERT_TRUE(is_ready());
  EXPECT_EQ(tried(), 2U);
  order();
  EXPECT_EQ(status_of(std::exchange(child_, 0)), 0);
}

TEST_F(Ahead, WaitsForNoFollowerThatSomebodyHasStopped) {
  store_one();
  start();
  ASSERT_TRUE(is_ready());
  const auto follower = child_of(child_);
  ASSERT_TRUE(follower);
  ::kill(follower->first, SIGSTOP);
  ASSERT_TRUE(within(kLong, [&] {
    const auto now = child_of(child_);
    return now && now->second == 'T';
  }));
  order();
  EXPECT_EQ(status_of(std::exchange(child_, 0)), 1) << "it waits for one that does nothing";
}

}  // namespace
}  // namespace sluice::test
