#include "death.hpp"

#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "worker_process.hpp"

namespace sluice {
namespace {

// relaxed here: the words of a process whose death is confirmed.
constexpr auto kRelaxed = std::memory_order_relaxed;

bool has_finished(const RegionView& region) noexcept {
  return region.cursors[kFinished].load(kRelaxed) != 0;
}

Death from_status(const siginfo_t& status, const RegionView& region) noexcept {
  Death death{Death::Kind::killed, true, status.si_status};
  if (status.si_code != CLD_EXITED) return death;
  death.kind = Death::Kind::exited;
  if (status.si_status == kExitFinished && has_finished(region)) death.kind = Death::Kind::finished;
  if (status.si_status == kExitHopeless) death.kind = Death::Kind::hopeless;
  if (status.si_status == kExitHandlerThrew) death.kind = Death::Kind::threw;
  return death;
}

}  // namespace

Death how_it_died(const std::optional<siginfo_t>& status, const RegionView& region, pid_t pid) noexcept {
  if (status) return from_status(*status, region);
  Death death;
  if (region.control->pid.load(kRelaxed) != pid) return death;
  switch (region.control->activity.load(kRelaxed)) {
    case ipc::Activity::finished:
      // Said only after the last commit and its rings; a process that had come less far is replaced once
      // more.
      if (has_finished(region)) death.kind = Death::Kind::finished;
      break;
    case ipc::Activity::hopeless:
      death.kind = Death::Kind::hopeless;
      break;
    case ipc::Activity::failed:
      death.kind = Death::Kind::threw;
      break;
    default:
      break;
  }
  return death;
}

std::string to_text(const Death& death, const ipc::Control& control) {
  const std::string_view message{control.message, ::strnlen(control.message, ipc::kMessageBytes)};
  switch (death.kind) {
    case Death::Kind::finished:
      return "it had finished";
    case Death::Kind::hopeless:
      return std::string{message};
    case Death::Kind::threw:
      return fmt::format("its handler threw: {}", message);
    case Death::Kind::exited:
      return fmt::format("it ended with status {}", death.status);
    case Death::Kind::killed:
      break;
  }
  if (!death.status_known) return "a signal, which only the master that had died before could have told";
  return fmt::format("signal {} ({})", death.status, ::strsignal(death.status));
}

}  // namespace sluice
