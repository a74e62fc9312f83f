// SPDX-License-Identifier: Apache-2.0
// A TCP proxy on loopback that cuts connections: each has a budget of bytes in one of its directions, drawn from a seed, and
// ends in the midst of what exceeds it, both sides at once. What was passed on has arrived, what came after never does. In a
// process of its own, so that the test's host has no threads.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace sluice::test {

struct CuttingProxyShared;

class CuttingProxy {
 public:
  // To 127.0.0.1:`port`. Budgets of what the client sends, and of what the server does, are up to so many bytes.
  CuttingProxy(int port, std::uint32_t seed, std::uint32_t most_from_client = 60'000,
               std::uint32_t most_from_server = 60'000);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  int port() const noexcept { return port_; }
  std::string nats_url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  // So many connections are cut from now on; later ones live as long as they like.
  void cut(unsigned times) noexcept;
  unsigned cuts() const noexcept;  // So far.
  // Nothing arrives in either direction, and nobody is told; what was sent meanwhile comes afterwards.
  void pause() const noexcept;
  void resume() const noexcept;
  // Each message of a JetStream consumer says from now on that one more waits where none does, as nats-server 2.9.10 has it for as long
  // as a consumer lives that was asked while messages came.
  void miscount() noexcept;
  // Messages for JetStream come to the server without what they expect, from now on: for a server that knows nothing of that. One that
  // comes in two pieces may keep it.
  void take_expectations() noexcept;

 private:
  CuttingProxyShared* shared_;
  int port_ = 0;
  pid_t pid_ = 0;
};

}  // namespace sluice::test
