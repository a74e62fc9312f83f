// How a process waits on its doorbell: the host at its inlets and outlets, a worker for input and for room.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include <sluice/ipc/waiting.hpp>
#include <sluice/settings.hpp>

#include "worker/worker_loop.hpp"

namespace sluice {

// How a process of this stage waits. A shared place never spins.
ipc::WaitPolicy wait_policy(const Settings& settings, const std::string& stage, bool shared_place);

// Waits on the doorbell of the calling process.
class DoorbellPatience final : public Patience {
 public:
  DoorbellPatience(const ipc::WaitPolicy& policy, ipc::Control& own, const ipc::Doorbell& bell)
      : policy_{policy}, own_{own}, bell_{bell} {}

  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) override;
  void pause(std::chrono::nanoseconds limit) override;

 private:
  ipc::WaitPolicy policy_;
  ipc::Control& own_;
  const ipc::Doorbell& bell_;
};

}  // namespace sluice
