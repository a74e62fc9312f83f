// SPDX-License-Identifier: Apache-2.0
#include "sluice/chaos.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <map>
#include <optional>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "continuer.hpp"
#include "process_tree.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::size_t kInjuriesKept = 1000;

// Between two kills of masters and supervisors: time enough for one to replace the other on a busy machine.
constexpr std::chrono::nanoseconds kGuardianPause = std::chrono::seconds{1};

std::chrono::nanoseconds monotonic_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

int signal_of(Harm harm) {
  switch (harm) {
    case Harm::kill:
      return SIGKILL;
    case Harm::stall:
      return SIGUSR2;
    case Harm::stop:
      return SIGSTOP;
  }
  return 0;
}

// A process that continues the one behind `pidfd` after `pause`, even if we have been killed by then: no
// process may stay stopped for ever.
Descriptor fork_continuer(const Descriptor& pidfd, std::chrono::nanoseconds pause) {
  const pid_t pid = ::fork();
  if (pid == 0) continue_after(pidfd.get(), pause);
  // A child that is not reaped yet: the pid is its own.
  return pid < 0 ? Descriptor{} : Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

bool is_control_plane(ProcessKind kind) {
  return kind == ProcessKind::master || kind == ProcessKind::supervisor;
}

}  // namespace

struct Chaos::Parts {
  struct Stopped {
    pid_t pid = 0;
    Descriptor pidfd;
    std::chrono::nanoseconds until{0};
    Descriptor continuer;
  };
  // Killed, and not dead yet: it waits for a disk, or for a processor.
  struct Dying {
    pid_t pid = 0;
    Descriptor pidfd;
    bool of_control_plane = false;
  };

  explicit Parts(const ChaosOptions& options) : schedule{options, monotonic_now()} {}

  bool may(Harm harm, const FoundProcess& process) const;
  bool control_plane_is_paired(const std::vector<FoundProcess>& found) const;
  void look_at_the_dying();
  void hurt(const Hit& hit);
  void note_death(const FoundProcess& victim);
  bool note_stop(const FoundProcess& victim, std::chrono::nanoseconds pause);
  void remember(const Hit& hit, const FoundProcess& victim);
  void continue_due(std::chrono::nanoseconds now) noexcept;

  ChaosSchedule schedule;
  PipelineProcesses processes;
  std::vector<Stopped> stopped;
  std::vector<Dying> dying;
  std::optional<std::chrono::nanoseconds> control_plane_died;  // Or was about to, when it was last looked at.
  std::array<std::map<std::string, std::uint64_t, std::less<>>, kHarms.size()> counts;  // By kind.
  std::uint64_t found_no_process = 0;
  std::deque<Injury> last;
};

void Chaos::Parts::look_at_the_dying() {
  if (std::any_of(dying.begin(), dying.end(), [](const Dying& process) { return process.of_control_plane; }))
    control_plane_died = monotonic_now();
  std::erase_if(dying, [](const Dying& process) { return is_gone(process.pidfd); });
}

// Each master with its supervisor: what is left of a pair is about to make itself a new partner.
bool Chaos::Parts::control_plane_is_paired(const std::vector<FoundProcess>& found) const {
  const auto count = [&found](ProcessKind kind) {
    return std::count_if(found.begin(), found.end(),
                         [kind](const FoundProcess& process) { return process.kind == kind; });
  };
  if (control_plane_died && monotonic_now() - *control_plane_died < kGuardianPause) return false;
  return count(ProcessKind::supervisor) == count(ProcessKind::master);
}

bool Chaos::Parts::may(Harm harm, const FoundProcess& process) const {
  if (process.state == 'Z' || process.state == 'X') return false;
  if (std::any_of(dying.begin(), dying.end(),
                  [&process](const Dying& other) { return other.pid == process.pid; }))
    return false;
  switch (harm) {
    case Harm::kill:
      return true;
    case Harm::stall:
      // Only a worker that has taken its name has installed the drill; for others the signal is deadly.
      return process.kind == ProcessKind::worker;
    case Harm::stop:
      return std::none_of(stopped.begin(), stopped.end(),
                          [&process](const Stopped& other) { return other.pid == process.pid; });
  }
  return false;
}

void Chaos::Parts::hurt(const Hit& hit) {
  look_at_the_dying();
  const std::vector<FoundProcess>& found = processes.look(::getpid());
  const bool paired = control_plane_is_paired(found);
  std::vector<const FoundProcess*> candidates;
  for (const FoundProcess& process : found) {
    if (hit.harm == Harm::kill && is_control_plane(process.kind) && !paired) continue;
    if (may(hit.harm, process)) candidates.push_back(&process);
  }
  if (candidates.empty()) {
    ++found_no_process;
    return;
  }
  const FoundProcess& victim = *candidates[hit.choice % candidates.size()];
  // Noted before it is stopped: whatever happens in between, it will be continued.
  if (hit.harm == Harm::stop && !note_stop(victim, hit.pause)) {
    ++found_no_process;
    return;
  }
  if (!send_signal(victim.pidfd, signal_of(hit.harm))) {
    ++found_no_process;
    return;
  }
  if (hit.harm == Harm::kill) note_death(victim);
  remember(hit, victim);
}

void Chaos::Parts::note_death(const FoundProcess& victim) {
  const bool of_control_plane = is_control_plane(victim.kind);
  if (of_control_plane) control_plane_died = monotonic_now();
  Descriptor pidfd{::fcntl(victim.pidfd.get(), F_DUPFD_CLOEXEC, 0)};
  if (pidfd) dying.push_back({victim.pid, std::move(pidfd), of_control_plane});
}

bool Chaos::Parts::note_stop(const FoundProcess& victim, std::chrono::nanoseconds pause) {
  Descriptor pidfd{::fcntl(victim.pidfd.get(), F_DUPFD_CLOEXEC, 0)};
  Descriptor continuer = fork_continuer(pidfd, pause);
  if (pidfd.get() < 0 || continuer.get() < 0) return false;
  stopped.push_back({victim.pid, std::move(pidfd), monotonic_now() + pause, std::move(continuer)});
  return true;
}

void Chaos::Parts::remember(const Hit& hit, const FoundProcess& victim) {
  ++counts[static_cast<std::size_t>(hit.harm)][std::string{name_of(victim.kind)}];
  if (last.size() == kInjuriesKept) last.pop_front();
  last.push_back(
      {monotonic_now(), hit.harm, std::string{name_of(victim.kind)}, victim.name, victim.pid, hit.pause});
}

void Chaos::Parts::continue_due(std::chrono::nanoseconds now) noexcept {
  std::erase_if(stopped, [now](const Stopped& process) {
    if (process.until > now) return false;
    send_signal(process.pidfd, SIGCONT);
    send_signal(process.continuer, SIGKILL);
    siginfo_t info{};
    ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.continuer.get()), &info, WEXITED);
    return true;
  });
}

Chaos::Chaos(const ChaosOptions& options) : parts_{std::make_unique<Parts>(options)} {}

Chaos::~Chaos() {
  continue_all();
}

void Chaos::tick() {
  const auto now = monotonic_now();
  parts_->continue_due(now);
  while (const std::optional<Hit> hit = parts_->schedule.take(now))
    parts_->hurt(*hit);
}

std::chrono::nanoseconds Chaos::time_to_next() const {
  const auto now = monotonic_now();
  auto next = parts_->schedule.next().value_or(now + std::chrono::hours{1});
  for (const Parts::Stopped& process : parts_->stopped)
    next = std::min(next, process.until);
  return std::clamp(next - now, std::chrono::nanoseconds{0}, std::chrono::nanoseconds{std::chrono::hours{1}});
}

void Chaos::continue_all() noexcept {
  parts_->continue_due(std::chrono::nanoseconds::max());
}

std::uint64_t Chaos::count(Harm harm) const {
  std::uint64_t sum = 0;
  for (const auto& [kind, count] : parts_->counts[static_cast<std::size_t>(harm)])
    sum += count;
  return sum;
}

std::string Chaos::summary() const {
  std::string text;
  for (const Harm harm : kHarms) {
    const std::uint64_t sum = count(harm);
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", sum, name_of(harm), sum == 1 ? "" : "s");
    std::string kinds;
    for (const auto& [kind, number] : parts_->counts[static_cast<std::size_t>(harm)])
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", kind, number);
    if (!kinds.empty()) text += " (" + kinds + ")";
  }
  if (parts_->found_no_process > 0)
    text += fmt::format("; {} more found no process to hurt", parts_->found_no_process);
  return text;
}

const std::deque<Injury>& Chaos::last() const noexcept {
  return parts_->last;
}

std::vector<std::string> signal_descendants(int signal) {
  std::vector<std::string> names;
  visit_descendants(::getpid(), [&](FoundProcess process) {
    if (process.state == 'Z' || process.state == 'X') return;
    if (signal != 0) send_signal(process.pidfd, signal);
    names.push_back(fmt::format("{} {} (state {})", process.pid, process.name, process.state));
  });
  return names;
}

}  // namespace sluice
