// SPDX-License-Identifier: Apache-2.0
#include "master/new_plan.hpp"

#include <csignal>
#include <exception>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

#include "death/kill_child.hpp"

namespace sluice::detail {
namespace {

NewPlan::Entry entry_of(const pinning::Place& place) noexcept {
  return {pinning::mask_of(place.units), place.numa_node, place.shared ? 1U : 0U};
}

}  // namespace

NewPlan::NewPlan(const Placement& placement) : placement_{placement} {
  const std::size_t entries = 1 + placement.workers.size();
  void* memory =
      ::mmap(nullptr, entries * sizeof(Entry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error{{"take memory for", "the next plan of the places", errno_text(), ""}};
  answer_ = {static_cast<Entry*>(memory), entries};
}

NewPlan::~NewPlan() {
  ::munmap(answer_.data(), answer_.size_bytes());
}

void NewPlan::plan() const {
  const Placement planned = placed_anew(placement_, pinning::set_of(units_));
  std::size_t at = 0;
  answer_[at++] = entry_of(planned.plan.master);
  for (const pinning::Place& place : planned.workers)
    answer_[at++] = entry_of(place);
}

bool NewPlan::begin(const pinning::Mask& units, std::chrono::nanoseconds limit) noexcept {
  units_ = units;
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != master) ::_exit(1);
    try {
      plan();
    } catch (const std::exception&) {
      ::_exit(1);  // The units that are left hold no plan: the places stay as they are.
    }
    ::_exit(0);
  }
  if (pid < 0) return false;
  pid_ = pid;
  until_ = monotonic_now() + limit;
  return true;
}

std::span<const NewPlan::Entry> NewPlan::result() noexcept {
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0) {
    if (monotonic_now() > until_) kill_child(pid_);
    return {};
  }
  pid_ = 0;
  was_ended_ = ended >= 0 && WIFSIGNALED(status);
  if (ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return {};
  return answer_;
}

}  // namespace sluice::detail
