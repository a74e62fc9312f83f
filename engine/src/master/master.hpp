// SPDX-License-Identifier: Apache-2.0
// The master: starts the workers, watches them, replaces the dead and ends the stalled. It runs no user code,
// touches no event and, but for what fork() does, allocates nothing once all workers are started.
//
// Single-threaded, forked by the supervisor, so that it can fork a clean replacement at any time. It blocks in
// epoll on the pidfds of its workers, its host and its supervisor and on its doorbell.
//
// It may be killed at any instruction. What it must not forget stands in its region: the pid and the identity
// of every worker, and whether it is done. The next master begins by looking for these processes, and watches
// over those that live (takeover.cpp); the rest begins anew: restart budgets, clocks, the standby.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/pinning/place.hpp>

#include "death/coroner.hpp"
#include "death/death.hpp"
#include "death/memory_events.hpp"
#include "layout/wiring.hpp"
#include "master/lifeline.hpp"
#include "master/reaper.hpp"
#include "master/restart_budget.hpp"
#include "master/standby.hpp"
#include "master/watchdog.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::detail {

// The reports of deaths, stalls and refused observers, a line of JSON each, in the directory `report.path`.
inline constexpr const char* kDeathsFile = "deaths.jsonl";

// What is known of a death, taken before the replacement writes over it.
struct Autopsy {
  Death death;
  pid_t pid = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t event = 0;     // The progress word.
  std::uint32_t attempts = 0;  // How often that event has killed; 0 when no event is to blame.
  std::string message;
  std::vector<std::uintptr_t> frames;
};

class Master {
 public:
  struct Parent {
    pid_t pid;
    const Descriptor& pidfd;
  };
  // `places` are those of the workers; `host` is the pidfd of the process that embeds the engine.
  Master(const Wiring& wiring, Indexed<WorkerIndex, pinning::Place> places, Lifeline& lifeline,
         ObserverSocket& observer_socket, int host, const Parent& supervisor);

  // To the end of the pipeline and of this process; or to the death of the supervisor, and then it returns: this
  // process has been the master for the longest time.
  void run();

 private:
  struct Child {
    Child(WorkerIndex index, const RestartPolicy& policy, const RestartPolicy& letter_policy)
        : worker{index}, budget{policy}, letters{letter_policy} {}

    WorkerIndex worker;
    pid_t pid = 0;
    Descriptor pidfd;
    Watch watch;
    WatchLimits limits;
    RestartBudget budget;
    StartRecord starts;
    std::chrono::nanoseconds born{0};
    std::uint64_t committed_at_birth = 0;
    std::optional<std::chrono::nanoseconds> start_at;  // When its replacement is due.
    bool ended_by_watchdog = false;
    std::optional<std::chrono::nanoseconds> sentenced_at;  // By the watchdog, and its stacks are being taken.
    std::uint64_t sentenced_for = 0;                       // The progress word.
    RestartBudget letters;                                 // Of events moved out of the way.
    std::uint64_t most_attempts = 0;
  };

  void supervise();
  void prepare_children();
  void introduce_itself();
  void take_over();
  void adopt(WorkerIndex worker);
  void open_epoll();
  std::chrono::nanoseconds time_to_sleep() const;
  void handle_events(std::chrono::nanoseconds limit);
  void on_host_death();
  void look_at_requests();
  void listen_for_observers(bool now);
  void answer_observers();
  void refuse(const ObserverSocket::Answered& answered);
  void start_due();
  void start(WorkerIndex worker);
  pid_t fork_worker(WorkerIndex worker);
  void become_newborn() noexcept;
  [[noreturn]] void become_worker(WorkerIndex worker, bool bound) noexcept;
  void watch_over(WorkerIndex worker, pid_t pid, int epoll_operation);
  void enter(WorkerIndex worker);
  void prepare_standby();
  void on_death(WorkerIndex worker);
  void on_exit(WorkerIndex worker, const std::optional<siginfo_t>& status);
  bool has_taken_over(const Child& child) const;
  bool is_done_with(WorkerIndex worker, std::uint64_t progress) const;
  Death find_cause(WorkerIndex worker, const std::optional<WaitStatus>& status);
  // How often the event in the handler has killed by now; 0 when no event is to blame.
  std::uint32_t blame(WorkerIndex worker, const Death& death);
  Autopsy examine(WorkerIndex worker, const Death& death);
  std::string replace(WorkerIndex worker, const Autopsy& autopsy);
  void report(WorkerIndex worker, const Autopsy& autopsy);
  void look_at_workers();
  void look_at(WorkerIndex worker, Verdict verdict);
  void sentence(WorkerIndex worker);
  void carry_out(Child& child) noexcept;
  void spare(Child& child) noexcept;
  void hear_coroner();
  bool was_ready(const Child& child) const noexcept;
  // The report, if the pipeline stops with it.
  std::string give_up(WorkerIndex worker, const std::string& report);
  void shed(WorkerIndex worker);
  void kill_all() noexcept;
  [[noreturn]] void end(RunState state, const std::string& message);
  std::string budget_report(WorkerIndex worker, const Autopsy& autopsy) const;
  std::string letters_report(const std::string& worker, const Autopsy& autopsy) const;

  const Wiring& wiring_;
  Indexed<WorkerIndex, pinning::Place> places_;
  Lifeline& lifeline_;
  ObserverSocket& observer_socket_;
  int host_;
  Parent supervisor_;
  bool supervisor_dead_ = false;
  Descriptor epoll_;
  Indexed<WorkerIndex, Child> children_;
  Standby standby_;
  Reaper reaper_;
  std::chrono::nanoseconds standby_due_{0};
  std::size_t running_ = 0;    // Workers that are not done yet.
  unsigned failed_forks_ = 0;  // In a row.
  std::chrono::nanoseconds tick_;
  std::chrono::nanoseconds idle_tick_{std::chrono::nanoseconds::max()};  // While all workers are idle.
  std::chrono::nanoseconds next_look_{0};
  std::optional<std::chrono::nanoseconds> observers_due_;  // When it is listened at again.
  std::chrono::nanoseconds next_refusal_{0};               // When one may be reported again.
  Coroner coroner_;
  std::uint64_t settings_fingerprint_;
  std::string report_path_;
  MemoryEvents memory_events_;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace sluice::detail
