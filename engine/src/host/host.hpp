// SPDX-License-Identifier: Apache-2.0
// The host's side of a pipeline: its segment, its inlets and outlets, and what it can see of the rest.
//
// Used by Engine, with processes, and by run_inline, without. Inlets and outlets are each used by one thread
// at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/home_process.hpp>
#include <sluice/host_ends.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

#include "layout/end.hpp"
#include "layout/wiring.hpp"
#include "master/lifeline.hpp"
#include "ports/waiter.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

// Core dumps hold what `core.segment` says. Once the segment is open.
void keep_out_of_cores(const Layout& layout, const PipelineSettings& settings,
                       ipc::Segment& segment) noexcept;

class Host {
 public:
  // Checks the settings against the graph and lays the segment out; no memory is touched yet. Without a
  // `segment_path` the segment is anonymous; with one, Segment::open() comes next.
  Host(const Graph& graph, const Settings& settings, const std::string& segment_path = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // The lanes' ends, once the segment is there and this process may write its region. Each waits at a doorbell
  // of its own, as `policy` says; or, where all workers run in this thread, by `waiter`.
  void open_ends(const ipc::WaitPolicy& policy);
  void open_ends(Waiter& waiter);
  // Before the first fork.
  void ship_checkpoints(CheckpointShipper shipper) { wiring_.ship_checkpoints(std::move(shipper)); }
  void describe(std::string_view name, std::string_view value, bool started);
  void restored_from(std::shared_ptr<const CheckpointTip> tip) { wiring_.restored_from(std::move(tip)); }
  HostInlet& inlet(std::string_view name, const EventType& type);
  HostOutlet& outlet(std::string_view name, const EventType& type);
  std::deque<HostInlet>& inlets() noexcept { return inlets_; }
  std::deque<HostOutlet>& outlets() noexcept { return outlets_; }
  void close_inlets();

  RunState state() const noexcept {
    // [master.state] acquire: the message is written; pairs with Master::end().
    return register_.state.load(std::memory_order_acquire);
  }
  std::string failure() const;
  // Nothing takes effect any more, though its processes may be there yet. relaxed: the checkpoint was stored before the master
  // could hear of it.
  bool parked_by_checkpoint() const noexcept {
    return register_.parking.load(std::memory_order_relaxed) == Parking::stored;
  }
  bool over() const noexcept { return is_over(state()); }
  End end() const noexcept { return end_is_not_kept() ? End::failed : end_of(wiring_.requests(), register_); }
  // All is handled, and what this host has not taken of it is in no checkpoint, though there are to be some: failure() says
  // why.
  bool end_is_not_kept() const noexcept;
  // By this host, in this life or a former one, or by an operator.
  bool drain_asked() const noexcept { return detail::drain_asked(requests_, register_); }
  // Neither supervisor nor master is left, and so no worker. Cheap enough to ask again and again: the kernel
  // is asked every few milliseconds at most.
  void watch(const Lifeline& lifeline) noexcept { lifeline_ = &lifeline; }
  bool abandoned() noexcept;
  // The engine's, once it is started.
  const Lifeline& lifeline() const noexcept {
    SLUICE_ASSERT(lifeline_ != nullptr);
    return *lifeline_;
  }
  // The process that made it. In a child of that, there is nothing at the addresses of an engine's segment.
  const HomeProcess& home() const noexcept { return home_; }
  // Throws Error in a child of the process whose engine it is. `tried` and the pipeline's name make a
  // sentence.
  void refuse_elsewhere(const char* tried) const {
    if (lifeline_ != nullptr && !home_.here()) refuse_here(tried);
  }
  [[noreturn]] void refuse_here(const char* tried) const;
  // In such a child: closes what it has inherited. Call nothing else afterwards.
  void let_go() noexcept;
  bool look_for_the_end() noexcept;  // The same, and asks the kernel now.
  // Kills supervisor and master, as far as the register knows them.
  void kill_control_plane() const;

  void keep_out_of_cores() noexcept { detail::keep_out_of_cores(layout_, settings_, segment_); }
  // Once all processes are gone: takes a named segment's file and the checkpoints away if there is nothing to go on with.
  // Throws Error for checkpoints that cannot be removed: the next start would go on with them.
  void remove_spent_files();
  // There is one that a next start could go on with.
  bool has_checkpoint() const;

  Stats stats() const;
  // The part of stats() that does not change; the places of the workers are not in it.
  const Stats& known_stats() const noexcept { return known_; }
  const Wiring& wiring() const noexcept { return wiring_; }

 private:
  void open_end(NodeIndex node, Waiter& waiter);
  void confirm_the_end() const noexcept;

  HomeProcess home_;
  Graph graph_;
  PipelineSettings settings_;
  Layout layout_;
  ipc::Segment segment_;
  Doorbells bells_;
  std::filesystem::path reports_;
  Wiring wiring_;
  Stats known_;
  std::deque<DoorbellWaiter> waiters_;  // One for each inlet and outlet.
  std::deque<HostInlet> inlets_;
  std::deque<HostOutlet> outlets_;
  MasterRegister& register_;
  const Requests& requests_;
  const Lifeline* lifeline_ = nullptr;  // The engine's; none before the start and in run_inline.
  // Of all threads that use inlets and outlets.
  std::atomic<std::int64_t> next_look_ns_{0};
  std::atomic<bool> abandoned_{false};
};

}  // namespace sluice::detail
