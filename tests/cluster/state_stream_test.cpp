// SPDX-License-Identifier: Apache-2.0
// The stream of a new cluster, which all of its partitions make at once. nats-server 2.9.10 shows a stream before it has its store, and
// crashes when it is asked for a message of it then.
#include "state_stream.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/unavailable.hpp>

#include "nats_server.hpp"
#include "state_log.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;

constexpr unsigned kPartitions = 6;
constexpr unsigned kClusters = 200;

class StateStreams : public testing::Test {
 protected:
  StateStreams() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-stream-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
    void* memory = ::mmap(nullptr, sizeof(std::atomic<unsigned>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ready_ = new (memory) std::atomic<unsigned>{0};
  }
  ~StateStreams() override {
    server_.reset();
    ::munmap(ready_, sizeof(std::atomic<unsigned>));
    clear_away(scratch_);
  }

  // Of all, each time that all of them are there.
  bool meet(unsigned times) const {
    const auto until = std::chrono::steady_clock::now() + 60s;
    for (++*ready_; *ready_ < times * kPartitions;) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  // The life of one: what a partition that claims its chain asks first.
  void begin_all(unsigned partition) const {
    NatsServer server;
    server.url = server_->url();
    const NatsClient client{server, "partition", true};
    for (unsigned number = 1; number <= kClusters; ++number) {
      const std::string cluster = "c" + std::to_string(number);
      if (!meet(number)) throw std::runtime_error{"the others have not come"};
      prepare_state_stream(client, cluster);
      if (state_log_status(client, cluster, partition)) throw std::runtime_error{"something is there"};
    }
  }

  std::filesystem::path scratch_;
  std::unique_ptr<NatsProcess> server_;
  std::atomic<unsigned>* ready_ = nullptr;
};

TEST_F(StateStreams, AreMadeByAllPartitionsAtOnce) {
  if (has_used_libnats()) GTEST_SKIP() << "tests before it have used libnats in this process: run it alone";
  if (!has_nats_server()) GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
  server_ = std::make_unique<NatsProcess>(scratch_ / "nats");
  std::vector<pid_t> children;
  for (unsigned partition = 0; partition < kPartitions; ++partition) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      begin_all(partition);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "partition %u: %s\n", partition, error.what());
      std::_Exit(1);
    }
    std::_Exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace sluice::test
