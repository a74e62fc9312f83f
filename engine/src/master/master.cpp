// SPDX-License-Identifier: Apache-2.0
#include "master/master.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/inherited.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "death/crash_note.hpp"
#include "ports/host_commit.hpp"

namespace sluice::detail {

Master::Master(const Wiring& wiring, const Placement& placement, Lifeline& lifeline,
               ObserverSocket& observer_socket, LogChannel& log, pinning::HeldClaim& claim,
               Descriptor& checkpoints_locked, const HostWatch& host, const Parent& supervisor)
    : wiring_{wiring},
      host_{host},
      supervisor_{supervisor},
      report_log_{(wiring.reports() / kDeathsFile).string(), &wiring.master().reports_lost},
      log_{log, wiring.settings().log, wiring.graph().name},
      news_{wiring, log_},
      dumper_{report_log_,
              [&wiring] {
                close_all_but({});
                wiring.segment().unmap();
              }},
      spawner_{wiring, placement.workers, lifeline, observer_socket, log, claim, epoll_, children_},
      exits_{wiring, epoll_, children_, spawner_, reaper_, report_log_, news_, dumper_},
      stalls_{wiring, children_, report_log_, news_, dumper_},
      pushes_{wiring, news_},
      places_{wiring, placement, children_, report_log_, news_, claim},
      memory_{wiring, news_},
      observers_{wiring, observer_socket, epoll_, report_log_, news_},
      standstill_{wiring, children_},
      checkpoints_{wiring, standstill_, epoll_, news_, checkpoints_locked} {}

void Master::run() {
  std::string failure;
  try {
    prepare();
    take_over();
    memory_.begin();
    checkpoints_.begin();
    supervise();
    spawner_.end_standby();
    checkpoints_.end();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  end_if(failure);
  // Without a supervisor the next master waits for that checkpoint.
  if (exits_.running() == 0 && !checkpoints_.end_waits())
    end(RunState::finished, checkpoints_.end_not_kept());
}

void Master::prepare() {
  prepare_crash_notes();
  spawner_.on_newborn([this] {
    epoll_.let_go();
    checkpoints_.let_go();
  });
  for (const WorkerIndex worker : wiring_.workers())
    children_.push_back(Child{worker, wiring_.settings(), wiring_.settings(worker)});
  stalls_.set_ticks();
  places_.begin();
  if (!epoll_.open() || !epoll_.add(wiring_.bell(kMasterProcess).fd(), kBellEvent) ||
      !epoll_.add(host_.pidfd, kHostEvent) || !epoll_.add(host_.line, kHostEvent) ||
      !epoll_.add(supervisor_.pidfd.get(), kSupervisorEvent)) {
    throw Error{{"watch over", wiring_.graph().name, errno_text(), ""}};
  }
  dumper_.show_in(epoll_.fd(), kDumperEvent);
  observers_.begin();
}

void Master::supervise() {
  epoll_event events[64];
  while (exits_.running() > 0 || checkpoints_.end_waits()) {
    look_for_a_park();
    const std::size_t count = epoll_.wait(events, time_to_sleep());
    for (std::size_t i = 0; i < count; ++i)
      handle(events[i].data.u64);
    if (supervisor_dead_) return;
    spawner_.start_due();
    observers_.listen_if_due();
    spawner_.prepare_standby();
    places_.look_if_due();
    memory_.look_if_due();
    checkpoints_.look_if_due();
    checkpoints_.serve();
    if (monotonic_now() < stalls_.next_look()) continue;
    reaper_.reap_late();
    stalls_.look_at_workers();
    pushes_.look();
    news_.look();
    exits_.look_at_memory_events();
  }
}

std::chrono::nanoseconds Master::time_to_sleep() const noexcept {
  const auto next = std::min({stalls_.next_look(), spawner_.next_due(), observers_.next_due(),
                              places_.next_due(), memory_.next_look(), checkpoints_.next_look()});
  return std::max(next - monotonic_now(), std::chrono::nanoseconds{0});
}

void Master::handle(std::uint64_t event) {
  switch (event) {
    case kBellEvent:
      wiring_.bell(kMasterProcess).wait(std::chrono::nanoseconds{0});
      return look_at_requests();
    case kHostEvent:
      return on_host_end();
    case kSupervisorEvent:
      supervisor_dead_ = true;
      return;
    case kStandbyEvent:
      news_.helper_died("standby");
      return spawner_.on_standby_death();
    case kDumperEvent:
      return stalls_.on_dumper_event();
    case kObserverEvent:
      return answer_observers();
    case kCheckpointEvent:
      return checkpoints_.on_message();
    default:
      return end_if(exits_.on_exit(WorkerIndex{event}));
  }
}

void Master::on_host_end() {
  epoll_.remove(host_.pidfd);
  epoll_.remove(host_.line);
  // What is being parked ends in a moment, as it was asked to. relaxed: own word.
  if (wiring_.master().parking.load(std::memory_order_relaxed) != Parking::no) return;
  // The workers must not outlive the program they belong to, or not for longer than their last work takes. Nobody asked for it:
  // whoever watches the pipeline is to be told of a failure.
  if (wiring_.settings().host_death == HostDeathPolicy::stop) end(RunState::failed, "its host has died");
  finish_commits_of_host();
  // [master.host_gone] release: pairs with host_gone(). That the host is dead, and what it has stored, this
  // process has from the kernel.
  wiring_.master().host_gone.store(1, std::memory_order_release);
  wiring_.ring_all();
}

// It may have died behind the step by which a push counts and before its events can be seen. The next host would count them as
// pushed, when the stages that they were for have come to their end.
void Master::finish_commits_of_host() {
  std::string failure;
  wiring_.own(kHostProcess);
  try {
    for (const EndLayout& end : wiring_.layout().ends)
      const HostCommit finished{wiring_, end.node};
  } catch (const Error& error) {
    failure = error.what();
  }
  wiring_.own(kMasterProcess);
  end_if(failure);
}

void Master::look_at_requests() {
  const Requests& requests = wiring_.requests();
  // [host.requests] acquire: pairs with the host's store before it rang.
  if (requests.stop.load(std::memory_order_acquire) != 0) {
    kill_all();
    end(RunState::stopped, "");
  }
  // [host.requests] acquire: as above.
  if (requests.park.load(std::memory_order_acquire) != 0) park();
  // With a host that is dead, the pipeline goes as far as it can without one.
  const bool stuck =
      host_gone(wiring_.master()) &&
      std::any_of(children_.begin(), children_.end(), [this](const Child& child) {
        // relaxed: the word says all there is to say.
        return wiring_.worker(child.worker).control().standing.load(std::memory_order_relaxed) ==
               kWaitsForTheNextHost;
      });
  if (stuck) park();
}

void Master::park() noexcept {
  // relaxed: own word; a master that takes over reads it after this one's death.
  std::atomic<Parking>& parking = wiring_.master().parking;
  if (parking.load(std::memory_order_relaxed) == Parking::no)
    parking.store(Parking::asked, std::memory_order_relaxed);
  if (!standstill_.asked()) standstill_.ask();
}

void Master::drain() noexcept {
  wiring_.master().drain_asked.store(1, std::memory_order_relaxed);  // relaxed: drain_asked() says why.
  wiring_.ring_all();
}

void Master::answer_observers() {
  switch (observers_.answer()) {
    case Ask::nothing:
      return;
    case Ask::park:
      return wiring_.segment().named() || checkpoints_.wanted() ? park() : drain();
    case Ask::drain:
      // What is drained has ended for good, and its checkpoints are gone on with elsewhere, where nobody asked for that.
      return wiring_.shipper() ? park() : drain();
  }
}

void Master::look_for_a_park() {
  // relaxed: own word.
  if (wiring_.master().parking.load(std::memory_order_relaxed) == Parking::no) return;
  if (!standstill_.reached() || !checkpoints_.last_is_over()) return;
  const std::string lost = what_no_start_finds();
  end(lost.empty() ? RunState::parked : RunState::failed, lost);
}

// A pipeline goes on with the file of its memory, or else with its last checkpoint, or not at all.
std::string Master::what_no_start_finds() const {
  const ipc::Segment& segment = wiring_.segment();
  if (segment.named() && !segment.lost_its_file()) return "";
  std::string lost;
  if (segment.named()) {
    lost = fmt::format(
        "it was to be parked in {}, and that file was removed, or another has taken its place, while the "
        "pipeline "
        "ran: keep off what clears directories (RemoveIPC= of systemd-logind, tmpfiles.d), or take another "
        "one",
        printable(segment.file_path()));
  }
  if (!checkpoints_.wanted()) return lost + ". What it held is lost";
  if (!checkpoints_.failure().empty()) {
    return fmt::format("{}{}its last checkpoint could not be written: {}", lost,
                       lost.empty() ? "it was to be parked, and " : ". Also, ", checkpoints_.failure());
  }
  if (lost.empty() || ::access(segment.file_path().c_str(), F_OK) != 0) return "";
  return fmt::format("{}. All is in its last checkpoint in {}: remove what is in the way, and start it again",
                     lost, printable(wiring_.settings().checkpoints.path));
}

void Master::end_if(const std::string& failure) {
  if (!failure.empty()) end(RunState::failed, failure);
}

void Master::kill_all() noexcept {
  spawner_.end_standby();
  for (const Child& child : children_) {
    if (child.pid != 0) send_signal(child.pidfd, SIGKILL);
  }
  // One that hangs in the kernel ends when that lets it go: the signal waits for it.
  // All are waited for together.
  constexpr std::chrono::seconds kLimit{2};
  const auto until = monotonic_now() + kLimit;
  for (Child& child : children_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - monotonic_now());
    if (child.pid == 0 || !await_death(child.pidfd, left)) continue;
    reaper_.reap(std::move(child.pidfd));
    child.pid = 0;
  }
}

void Master::end(RunState state, const std::string& message) {
  observers_.close();
  checkpoints_.end();
  kill_all();
  // The last report is the one that says why.
  dumper_.finish(std::chrono::seconds{5});
  MasterRegister& own = wiring_.master();
  news_.ended(state, message);
  std::snprintf(own.message, sizeof(own.message), "%s", message.c_str());
  // [master.state] release: the message before the state; pairs with Host::state().
  own.state.store(state, std::memory_order_release);
  wiring_.ring_all();  // The host waits, at its own bell and at those of its inlets and outlets.
  ::_exit(state == RunState::failed ? 1 : 0);
}

}  // namespace sluice::detail
