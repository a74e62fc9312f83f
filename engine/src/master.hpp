// The master: starts the workers, watches them, replaces the dead and ends the stalled. It runs no user code,
// touches no event and, but for what fork() does, allocates nothing once all workers are started.
//
// Single-threaded, forked by the host before that has threads, so that it can fork a clean replacement at any
// time. It blocks in epoll on the pidfds of its workers and its host and on its doorbell.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <sys/types.h>
#include <vector>

#include <sluice/pinning/place.hpp>

#include "coroner.hpp"
#include "descriptor.hpp"
#include "restart_budget.hpp"
#include "standby.hpp"
#include "watchdog.hpp"
#include "worker_loop.hpp"

namespace sluice {

class Master {
 public:
  // `places` are those of the workers; `host` is the pidfd of the process that embeds the engine.
  Master(const Wiring& wiring, std::vector<pinning::Place> places, int host);

  // To the end of the pipeline, then of this process.
  [[noreturn]] void run();

 private:
  struct Child {
    explicit Child(const RestartPolicy& policy) : budget{policy} {}

    std::size_t process = 0;
    pid_t pid = 0;
    Descriptor pidfd;
    Watch watch;
    WatchLimits limits;
    RestartBudget budget;
    std::chrono::nanoseconds born{0};
    std::uint64_t committed_at_birth = 0;
    std::optional<std::chrono::nanoseconds> start_at;  // When its replacement is due.
    bool ended_by_watchdog = false;
    std::optional<std::chrono::nanoseconds> sentenced_at;  // By the watchdog, and its stacks are being taken.
    std::uint64_t sentenced_for = 0;                       // The progress word.
  };

  void prepare_children();
  void open_epoll();
  std::chrono::nanoseconds time_to_sleep() const;
  void handle_events(std::chrono::nanoseconds limit);
  void look_at_requests();
  void start_due();
  void start(std::size_t worker);
  pid_t fork_worker(std::size_t worker);
  void watch_over(std::size_t worker, pid_t pid, int epoll_operation);
  void prepare_standby();
  void on_death(std::size_t worker);
  void replace(std::size_t worker, int status);
  void look_at_workers();
  void look_at(std::size_t worker, Verdict verdict);
  void sentence(std::size_t worker);
  void carry_out(Child& child) noexcept;
  void spare(Child& child) noexcept;
  void hear_coroner();
  void kill_all() noexcept;
  [[noreturn]] void end(RunState state, const std::string& message);
  std::string death_report(std::size_t worker, int status) const;

  const Wiring& wiring_;
  std::vector<pinning::Place> places_;
  int host_;
  Descriptor epoll_;
  std::vector<Child> children_;
  Standby standby_;
  std::chrono::nanoseconds standby_due_{0};
  std::size_t running_ = 0;    // Workers that are not done yet.
  unsigned failed_forks_ = 0;  // In a row.
  std::chrono::nanoseconds tick_;
  std::chrono::nanoseconds idle_tick_{std::chrono::milliseconds{100}};  // While all workers are idle.
  std::chrono::nanoseconds next_look_{0};
  Coroner coroner_;
  std::string report_path_;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace sluice
