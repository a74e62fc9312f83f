// SPDX-License-Identifier: Apache-2.0
// What an Engine is made of: the host's side of the pipeline, and what it knows of the processes.
//
// Used by engine.cpp only. One thread at a time, in the process that made it: refuse_elsewhere().
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>

#include <sluice/detail/home_process.hpp>
#include <sluice/engine.hpp>
#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/report.hpp>

#include "host/host.hpp"
#include "host/restore.hpp"
#include "layout/placement.hpp"
#include "log/log_channel.hpp"
#include "master/lifeline.hpp"
#include "observer/observer_socket.hpp"

namespace sluice {

namespace detail {

// For processes that have been asked to end, or are about to.
inline constexpr std::chrono::milliseconds kGrace{2000};
// For what the log still has to say; one that cannot be written for so long is given up.
inline constexpr std::chrono::milliseconds kLogGrace{1000};

}  // namespace detail

struct Engine::Parts {
  Parts(const Pipeline& pipeline, const Settings& settings);
  ~Parts();
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  // Throws Error in another process than the one that made the engine. `tried` and the pipeline's name make a
  // sentence.
  void refuse_elsewhere(const char* tried) const;
  // In a child of that process: gives back what it has inherited, and touches nothing that others see.
  void let_go() noexcept;
  // In the process that start() has just forked: nothing of the other engines of the host lives on in it, and no
  // descriptor of the host but `more` and those that a stage is given (StageOptions::descriptors).
  void let_go_of_others(std::initializer_list<int> more) const;
  // Throws Error for a descriptor of a stage that is not open, and for what the replacements of one could not have.
  void check_stages() const;

  // Whether a supervisor or a master is left that keeps the pipeline up.
  bool running() noexcept { return started && !host.look_for_the_end(); }
  // The segment: opened or made, bound to its nodes; once.
  void open_memory();
  // The newest checkpoint into it, or what of it is missing there. Whether there is one.
  bool restore();
  // All of the segment there, restored if there is nothing to go on with, locked if that is asked for.
  void make_memory();
  // `handed_down`: what the last process of the pipeline is to close with its end. `checkpoints_locked`: their directory, by
  // supervisor and master from then on.
  void fork_supervisor(int handed_down, detail::Descriptor checkpoints_locked);
  // The last word on the places, before memory is bound: other pipelines and the host may have got theirs since the
  // engine was made.
  void settle_places();
  void reap(bool block);
  // And what else has fallen to this process: orphans.hpp.
  void reap_orphans();
  void await_end(std::chrono::milliseconds grace);
  std::string how_the_control_plane_died() const;
  void await_workers();
  bool all_ready() const;
  Stats known_stats() const;
  void open_observer_socket();
  void open_log();
  void fail_if_failed();
  // All processes are gone: an Error unless this program has asked for this end, and when a start would not go on with it.
  void refuse_an_end_of_others() const;
  // Engine::kept_in().
  const std::string& kept_in() const noexcept;
  void refuse_an_end_that_is_not_kept() const;

  std::string name;
  std::string segment_path;            // Empty for an anonymous segment.
  std::vector<SettingValue> settings;  // For observers.
  std::chrono::nanoseconds start_time{0};
  detail::Host host;
  detail::Placement placement;
  pinning::CpuSet host_units_before;  // When the places were planned first.
  pinning::HeldClaim claim;           // Held by supervisor and master, and here until they are there.
  pinning::HeldClaim host_claim;      // Held here, once the host is bound to a core.
  pinning::Report memory;
  std::string idle_remark;
  ipc::Control& own;
  // Made as late as the fork: no other pipeline of this host may inherit them.
  std::optional<detail::Lifeline> lifeline;
  std::optional<detail::Lifeline> host_line;  // Held here, looked at there.
  detail::ObserverSocket observer_socket;
  detail::LogChannel log;
  int log_to = 2;        // Standard error.
  pid_t supervisor = 0;  // The first one, a child of this process; 0 once reaped. Later ones are no children.
  int supervisor_status = 0;
  bool started = false;
  bool resumed = false;
  std::string resumed_from;  // For people.
  bool memory_open = false;
  bool memory_allocated = false;
  std::optional<detail::Restored> restored;
  // By this program: an end that it has not asked for is an Error.
  bool stop_asked = false;
  bool park_asked = false;
  bool drain_asked = false;
  std::function<void()> on_parked{};  // For whoever ships checkpoints; once.

  // The engines of this process: what the fork of one must not take along of the others.
  static std::mutex engines_mutex;
  static Parts* engines;
  Parts* next = nullptr;
};

}  // namespace sluice
