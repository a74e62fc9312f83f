// SPDX-License-Identifier: Apache-2.0
#include "master/place_keeper.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "death/report_file.hpp"
#include "layout/place_entry.hpp"
#include "layout/relaxed.hpp"

// relaxed throughout: the master's own words, and words of workers that are looked at again and again.
namespace sluice::detail {
namespace {

constexpr std::chrono::milliseconds kLookForPlan{2};
// Planning takes milliseconds, and on a busy machine what the scheduler leaves it. A fork that hangs is not waited for; the
// next one has twice the time.
constexpr std::chrono::seconds kPlanLimit{1};
constexpr unsigned kMostEndedPlans = 5;

std::uint32_t count_up(std::atomic<std::uint32_t>& count) noexcept {
  const std::uint32_t now = count.load(kRelaxed) + 1;
  count.store(now, kRelaxed);
  return now;
}

// It binds itself before it is ready.
bool has_bound_itself(const Wiring& wiring, const Child& child) noexcept {
  const ipc::Control& control = wiring.worker(child.worker).control();
  if (child.pid == 0 || control.pid.load(kRelaxed) != child.pid) return false;
  const ipc::Life& life = control.lives[control.incarnation.load(kRelaxed) % ipc::kLivesKept];
  return life.ready_ns.load(kRelaxed) != 0;
}

bool is_a_refusal(int error) noexcept {
  return error != 0 && error != EINVAL;
}

// Whether the kernel would not grant all of it. One that does not say is believed to have refused for that reason.
bool are_gone(const pinning::Mask& asked) noexcept {
  pinning::Mask units;
  return pinning::read_grantable(units) != 0 || !pinning::includes(units, asked);
}

}  // namespace

PlaceKeeper::PlaceKeeper(const Wiring& wiring, const Placement& placement, const Children& children,
                         const ReportLog& report_log, News& news, pinning::HeldClaim& claim)
    : wiring_{wiring},
      placement_{placement},
      children_{children},
      report_log_{report_log},
      news_{news},
      claim_{claim},
      interval_{wiring.settings().verify},
      next_look_{std::chrono::nanoseconds::max()},
      pages_{wiring, placement},
      new_plan_{placement} {
  for ([[maybe_unused]] const WorkerIndex worker : wiring.workers())
    given_up_.push_back({});
}

void PlaceKeeper::begin() {
  MasterRegister& own = wiring_.master();
  const bool first = own.masters.load(kRelaxed) == 0;
  if (pinning::is_empty(load_mask(own.planned_for))) {
    enter_place(own.place, placement_.plan.master);
    for (const WorkerIndex worker : wiring_.workers())
      enter_place(wiring_.entry(worker).place, placement_.workers[worker]);
    // A kernel that does not tell refuses to bind as well: nothing is planned anew there.
    pinning::Mask units;
    if (pinning::read_grantable(units) == 0) store_mask(own.planned_for, units);
  } else if (own.plans.load(kRelaxed) != 0) {
    claim_anew(load_mask(own.planned_for));  // The master before held what it had claimed for them.
  }
  // The last look of the master before may be as old as the interval: masters that die early must not put it off.
  if (interval_.count() > 0) next_look_ = monotonic_now() + (first ? interval_ : std::chrono::nanoseconds{0});
}

std::chrono::nanoseconds PlaceKeeper::next_due() const noexcept {
  return new_plan_.under_way() ? std::min(next_look_, look_for_plan_) : next_look_;
}

// A plan that is made meanwhile puts no look off.
void PlaceKeeper::look_if_due() {
  if (monotonic_now() < next_due()) return;
  if (new_plan_.under_way()) take_new_plan();
  if (monotonic_now() >= next_look_) {
    look();
    next_look_ = monotonic_now() + interval_;
  }
  look_for_plan_ = monotonic_now() + kLookForPlan;
}

void PlaceKeeper::look() {
  bool some_gone = keep_control_plane();
  for (const Child& child : children_) {
    if (has_bound_itself(wiring_, child) && keep(child)) some_gone = true;
  }
  look_for_other_units(some_gone);
  if (pages_.idle()) return;
  if (const int error = pages_.look(); error != 0) {
    report_log_.append(fmt::format(R"({},"what":"memory","error":"{}")",
                                   report_head("place", wiring_.graph().name), errno_text(error)));
  }
  bring_pages();
}

// A page that is elsewhere stands for its piece: all of that is brought to its node, once.
void PlaceKeeper::bring_pages() {
  if (mover_.under_way()) {
    const std::optional<int> error = mover_.result();
    if (!error) return;
    // What stays behind for now is seen again, and so is what a mover that was killed had not come to.
    if (may_go_later(*error)) return;
    pages_stay_ = *error != 0;
    news_.pages_moved(*error);
  }
  if (pages_stay_ || !pages_.any_to_move()) return;
  const int error = mover_.begin(pages_.pieces());
  if (error == 0) return;
  pages_stay_ = !may_go_later(error);
  if (pages_stay_ || !lacks_a_mover_) news_.pages_moved(error);
  lacks_a_mover_ = true;
}

// Whether it was put back; `granted` is what the kernel says afterwards.
bool PlaceKeeper::try_to_keep(pid_t pid, const pinning::Mask& asked, pinning::Mask& granted,
                              int& error) noexcept {
  error = pinning::write_mask(pid, asked);
  if (pinning::read_mask(pid, granted) != 0) error = ESRCH;
  return error == 0 && granted == asked;
}

// Whether units of their place are gone.
bool PlaceKeeper::keep_control_plane() {
  const bool masters = keep_control(::getpid(), "master", master_given_up_);
  const pid_t supervisor{wiring_.master().supervisor.pid.load(kRelaxed)};
  return (supervisor != 0 && keep_control(supervisor, "supervisor", supervisor_given_up_)) || masters;
}

bool PlaceKeeper::keep_control(pid_t pid, std::string_view name, GivenUp& given_up) {
  PlaceEntry& entry = wiring_.master().place;
  const pinning::Mask asked = load_mask(entry.units);
  pinning::Mask found;
  if (pinning::is_empty(asked) || pinning::read_mask(pid, found) != 0) return false;
  if (found == asked) {
    given_up = {};
    return false;
  }
  if (given_up.pid == pid && given_up.found == found) return given_up.units_gone;
  pinning::Mask granted;
  int error = 0;
  const bool kept = try_to_keep(pid, asked, granted, error);
  if (error == ESRCH) return false;
  count_up(entry.displaced);
  const bool gone = !kept && !is_a_refusal(error) && are_gone(asked);
  given_up = gone || error != 0 ? GivenUp{pid, granted, gone} : GivenUp{};
  if (kept) count_up(entry.put_back);
  if (kept || given_up.units_gone) tell(entry, name, pid, found, kept ? "put back" : "units are gone", error);
  return given_up.units_gone;
}

// Whether units of its place are gone. A pid of a child is the child's until this process or the supervisor has reaped
// it; it is looked at as a worker's, and was ready: a process that has taken the pid in this instant is the worst case.
bool PlaceKeeper::keep(const Child& child) {
  PlaceEntry& entry = wiring_.entry(child.worker).place;
  GivenUp& given_up = given_up_[child.worker];
  const pinning::Mask asked = load_mask(entry.units);
  pinning::Mask found;
  if (pinning::is_empty(asked) || pinning::read_mask(child.pid, found) != 0) return false;
  if (found == asked && wiring_.settings(child.worker).threads > 1) {
    keep_pool(child, asked);
    return false;
  }
  if (found == asked) {
    given_up = {};
    entry.refused.store(0, kRelaxed);
    return false;
  }
  if (given_up.pid == child.pid && given_up.found == found) return given_up.units_gone;
  if (await_death(child.pidfd, std::chrono::milliseconds{0})) return false;
  count_up(entry.displaced);
  pinning::Mask granted;
  int error = 0;
  if (try_to_keep(child.pid, asked, granted, error)) {
    keep_threads(child, asked);
    count_up(entry.put_back);
    given_up = {};
    tell(child, found, "put back", 0);
    return false;
  }
  if (error == ESRCH) return false;
  const bool gone = !is_a_refusal(error) && are_gone(asked);
  if (!gone && error == 0) {
    // Somebody has rewritten it between the call and the look at what came of it: the next look puts it back.
    given_up = {};
    tell(child, found, "taken away again", 0);
    return false;
  }
  given_up = {child.pid, granted, gone};
  entry.refused.store(error == 0 ? EINVAL : error, kRelaxed);
  tell(child, found, gone ? "units are gone" : "refused", error);
  return gone;
}

// Of a worker whose main thread is in its place.
void PlaceKeeper::keep_pool(const Child& child, const pinning::Mask& asked) {
  PlaceEntry& entry = wiring_.entry(child.worker).place;
  GivenUp& given_up = given_up_[child.worker];
  const pinning::ThreadsKept threads = pinning::keep_threads_at(child.pid, asked);
  if (threads.found == 0 && threads.error == 0) {
    given_up = {};
    entry.refused.store(0, kRelaxed);
    return;
  }
  if (threads.error != 0 && given_up.pid == child.pid && given_up.found == threads.mask) return;
  count_up(entry.displaced);
  if (threads.error == 0) {
    count_up(entry.put_back);
    tell(child, threads.mask, "put back", 0);
    return;
  }
  given_up = {child.pid, threads.mask, false};
  entry.refused.store(threads.error, kRelaxed);
  tell(child, threads.mask, "refused", threads.error);
}

// After the main thread. A handler may have threads with places of their own; those of a wide worker have the worker's.
void PlaceKeeper::keep_threads(const Child& child, const pinning::Mask& asked) noexcept {
  if (wiring_.settings(child.worker).threads > 1) {
    pinning::keep_threads_at(child.pid, asked);
  } else {
    pinning::keep_threads_within(child.pid, asked);
  }
}

// The kernel is asked for more only when units are missing, or were: then a plan for those that there are is due
// whenever they change.
void PlaceKeeper::look_for_other_units(bool some_gone) {
  if (new_plan_.under_way()) return;
  const pinning::Mask planned_for = load_mask(wiring_.master().planned_for);
  if (!some_gone && wiring_.master().plans.load(kRelaxed) == 0) return;
  pinning::Mask units;
  if (pinning::read_grantable(units) != 0 || units == planned_for) return;
  if (units != new_plan_.units()) ended_plans_ = 0;
  const bool begun = new_plan_.begin(units, kPlanLimit * (1U << ended_plans_));
  if (!begun && !lacks_a_process_)
    news_.not_planned(pinning::set_of(units).to_string(), "no process was to be had for it so far");
  lacks_a_process_ = !begun;
}

void PlaceKeeper::take_new_plan() {
  const auto planned = new_plan_.result();
  if (new_plan_.under_way()) return;
  if (planned.empty() && new_plan_.was_ended() && ++ended_plans_ < kMostEndedPlans) {
    news_.not_planned(pinning::set_of(new_plan_.units()).to_string(), "it took too long, and is tried again");
    next_look_ = monotonic_now();
    return;
  }
  ended_plans_ = 0;
  MasterRegister& own = wiring_.master();
  if (!planned.empty()) {
    bind_control_plane(planned[0]);
    for (const WorkerIndex worker : wiring_.workers())
      give_place(worker, planned[1 + worker.value()]);
    own.plans.store(own.plans.load(kRelaxed) + 1, kRelaxed);
    claim_anew(new_plan_.units());
  } else {
    news_.not_planned(pinning::set_of(new_plan_.units()).to_string(),
                      "it failed, or took too long again and again");
  }
  // Last: a next master that does not find it plans once more. Where no plan was to be had, none is tried until the
  // units change.
  store_mask(own.planned_for, new_plan_.units());
}

void PlaceKeeper::bind_control_plane(const NewPlan::Entry& planned) {
  MasterRegister& own = wiring_.master();
  pinning::Mask found;
  const bool moves = load_mask(own.place.units) != planned.units && pinning::read_mask(0, found) == 0;
  enter_place(own.place, planned.units, planned.numa_node, planned.shared != 0);
  master_given_up_ = supervisor_given_up_ = {};
  // What comes of it the next look sees.
  pinning::write_mask(0, planned.units);
  if (const pid_t supervisor{own.supervisor.pid.load(kRelaxed)}; supervisor != 0)
    pinning::write_mask(supervisor, planned.units);
  if (!moves) return;
  count_up(own.place.planned_anew);
  tell(own.place, "master", ::getpid(), found, "planned anew", 0);
}

// What the pipeline has left is others' to take, and they keep off what it has got.
void PlaceKeeper::claim_anew(const pinning::Mask& granted) {
  Indexed<WorkerIndex, pinning::Place> places;
  for (const WorkerIndex worker : wiring_.workers())
    places.push_back(place_in(wiring_.entry(worker).place, placement_.workers[worker]));
  claim_.renew(claimed_units(placement_, places) & pinning::set_of(granted),
               wiring_.master().plans.load(kRelaxed));
}

void PlaceKeeper::give_place(WorkerIndex worker, const NewPlan::Entry& planned) {
  PlaceEntry& entry = wiring_.entry(worker).place;
  const Child& child = children_[worker];
  const bool same = load_mask(entry.units) == planned.units;
  enter_place(entry, planned.units, planned.numa_node, planned.shared != 0);
  given_up_[worker] = {};
  if (same) return;
  count_up(entry.planned_anew);
  if (!has_bound_itself(wiring_, child)) return;
  pinning::Mask found;
  pinning::read_mask(child.pid, found);
  int error = 0;
  pinning::Mask granted;
  if (!try_to_keep(child.pid, planned.units, granted, error)) return;  // The next look says why.
  keep_threads(child, planned.units);
  entry.refused.store(0, kRelaxed);
  tell(child, found, "planned anew", 0);
}

void PlaceKeeper::tell(const Child& child, const pinning::Mask& found, const char* did, int error) {
  tell(wiring_.entry(child.worker).place, wiring_.name(child.worker), child.pid, found, did, error);
}

void PlaceKeeper::tell(const PlaceEntry& entry, std::string_view name, pid_t pid, const pinning::Mask& found,
                       const char* did, int error) {
  // Whoever rewrites the mask every second must not fill the disk: the 1st, 2nd, 4th, 8th time.
  const std::uint32_t times = entry.displaced.load(kRelaxed);
  if (times != 0 && !std::has_single_bit(times)) return;
  const std::string units = pinning::set_of(load_mask(entry.units)).to_string();
  const std::string found_on = pinning::set_of(found).to_string();
  const std::string why = error == 0 ? std::string{} : errno_text(error);
  news_.displaced(name, {units, found_on, did, why});
  report_log_.append(
      fmt::format(R"({},"worker":"{}","pid":{},"units":"{}","found":"{}","times":{},"did":"{}","error":"{}")",
                  report_head("place", wiring_.graph().name), name, pid, units, found_on, times, did, why));
}

}  // namespace sluice::detail
