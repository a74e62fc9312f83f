// SPDX-License-Identifier: Apache-2.0
// The place keeper: asks the kernel again and again on which units each worker may run and on which node its memory is,
// puts back what somebody has moved, and plans anew when the units that there were are not to be had any more.
//
// Used by the master only, which enters the places in its register: a replacement binds itself to what stands there.
// A look makes a system call for each worker, allocates nothing while all is well, and never waits: what takes long, the
// new plan, is made by a short-lived fork of the master.
//
//   the mask is the place's                           nothing to do
//   another mask, and the kernel takes the place back it is put back, with its threads that have left it
//   a thread of a wide worker has another mask        it is put back: these threads are all the engine's own
//   the kernel refuses (EPERM)                        it is told, and not tried again until the mask changes
//   the units are gone: cpuset, offline               a new plan for those that are left
//   the units have come back                          a new plan once more
//   any of these of the master or its supervisor      the same, but that a refusal is not told: the workers' says it
//   a page is on another node than its reader         its piece of memory is brought there, where the kernel lets us
#pragma once

#include <chrono>
#include <string_view>
#include <sys/types.h>

#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/masks.hpp>

#include "death/report_log.hpp"
#include "layout/placement.hpp"
#include "layout/wiring.hpp"
#include "master/child.hpp"
#include "master/new_plan.hpp"
#include "master/news.hpp"
#include "master/page_sample.hpp"

namespace sluice::detail {

class PlaceKeeper {
 public:
  // All must outlive it.
  PlaceKeeper(const Wiring& wiring, const Placement& placement, const Children& children,
              const ReportLog& report_log, News& news, pinning::HeldClaim& claim);

  // Before the first worker is started: enters the planned places, unless a master before has.
  void begin();
  // When look_if_due() has something to do: a look, or to take a plan that is being made.
  std::chrono::nanoseconds next_due() const noexcept;
  void look_if_due();

 private:
  // What has been said of a process that could not be put back: not again while nothing changes.
  struct GivenUp {
    pid_t pid = 0;
    pinning::Mask found{};
    bool units_gone = false;
  };

  void look();
  bool keep(const Child& child);
  void keep_pool(const Child& child, const pinning::Mask& asked);
  void keep_threads(const Child& child, const pinning::Mask& asked) noexcept;
  bool keep_control_plane();
  bool keep_control(pid_t pid, std::string_view name, GivenUp& given_up);
  void bind_control_plane(const NewPlan::Entry& planned);
  void claim_anew(const pinning::Mask& granted);
  bool try_to_keep(pid_t pid, const pinning::Mask& asked, pinning::Mask& granted, int& error) noexcept;
  void bring_pages();
  void look_for_other_units(bool some_gone);
  void take_new_plan();
  void give_place(WorkerIndex worker, const NewPlan::Entry& planned);
  void tell(const Child& child, const pinning::Mask& found, const char* did, int error);
  void tell(const PlaceEntry& entry, std::string_view name, pid_t pid, const pinning::Mask& found,
            const char* did, int error);

  const Wiring& wiring_;
  const Placement& placement_;
  const Children& children_;
  const ReportLog& report_log_;
  News& news_;
  pinning::HeldClaim& claim_;
  std::chrono::nanoseconds interval_;
  std::chrono::nanoseconds next_look_;
  std::chrono::nanoseconds look_for_plan_{0};  // While one is under way.
  Indexed<WorkerIndex, GivenUp> given_up_;
  GivenUp master_given_up_;
  GivenUp supervisor_given_up_;
  PageSample pages_;
  PageMover mover_;
  bool pages_stay_ = false;     // The kernel has refused to move some, for good.
  bool lacks_a_mover_ = false;  // At times there is no process for it; told once.
  NewPlan new_plan_;
  unsigned ended_plans_ = 0;      // One after the other, for the same units.
  bool lacks_a_process_ = false;  // For a new plan, which is tried at each look; told once.
};

}  // namespace sluice::detail
