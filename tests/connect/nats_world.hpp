// SPDX-License-Identifier: Apache-2.0
// What the tests of NatsSink and NatsSource share: a server, kills that fall where they hurt, and what came of it.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <sys/mman.h>

#include <sluice/connect/nats_sink.hpp>

#include "nats_server.hpp"
#include "outside_world.hpp"

namespace sluice::test {

// How many times a test kills: a few, or what the environment says (SLUICE_CONNECT_KILLS).
inline unsigned kills_wanted(unsigned few) {
  const char* wanted = std::getenv("SLUICE_CONNECT_KILLS");
  return wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : few;
}

// Deaths between the other side's answer and our commit: in a flush that comes after the sink's, one of several, as long as
// there are any left. In memory that all processes share.
class DeathsBeforeCommit {
 public:
  DeathsBeforeCommit() {
    void* memory =
        ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    left_ = new (memory) std::atomic<int>{0};
  }
  ~DeathsBeforeCommit() { ::munmap(left_, sizeof(std::atomic<int>)); }
  DeathsBeforeCommit(const DeathsBeforeCommit&) = delete;
  DeathsBeforeCommit& operator=(const DeathsBeforeCommit&) = delete;

  void allow(int deaths) { left_->store(deaths); }
  int left() const { return std::max(left_->load(), 0); }
  void perhaps_die(std::uint32_t dice) {
    if (dice % 4 == 0 && left_->load() > 0 && left_->fetch_sub(1) > 0) ::raise(SIGKILL);
  }

 private:
  std::atomic<int>* left_;
};

// Each test starts its own server; those of several are too slow to be started twice a test.
class WithNats : public WithOutside {
 protected:
  void SetUp() override {
    if (!has_nats_server())
      GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
    server_ = std::make_unique<NatsProcess>(file("nats"));
  }
  void TearDown() override {
    server_.reset();
    WithOutside::TearDown();
  }
  NatsProcess& server() { return *server_; }
  // Starts another one instead.
  void serve(const std::string& options, bool jetstream = true) {
    server_.reset();
    server_ = std::make_unique<NatsProcess>(file("nats-too"), options, jetstream);
  }
  NatsSinkOptions sink_options() {
    NatsSinkOptions options;
    options.server.url = server_->url();
    options.stream = "OUT";
    options.subject = "out.{replica}";
    return options;
  }

 private:
  std::unique_ptr<NatsProcess> server_;
};

}  // namespace sluice::test
