// SPDX-License-Identifier: Apache-2.0
// What becomes of memory that could not be moved: whether and when it is tried again.

#include "master/page_mover.hpp"

#include <cerrno>

#include <sluice/detail/clock.hpp>

#include "child_status.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

int move_without_a_process() {
  if (!deny_call(SYS_clone, EAGAIN)) return kNoFilterHere;
  detail::PagePiece pieces[2];
  detail::PageMover mover;
  int failures = 0;
  for (const auto pause : {250ms, 500ms, 1000ms}) {
    const auto before = detail::monotonic_now();
    pieces[1].elsewhere = true;
    if (mover.begin(pieces) != EAGAIN || mover.under_way()) failures |= 1;
    if (pieces[1].elsewhere || pieces[1].pause != pause || pieces[1].not_before < before + pause)
      failures |= 2;
    if (pieces[0].pause != 0ms) failures |= 4;
  }
  return failures;
}

TEST(PageMover, TriesLaterEachTimeWhereNoProcessIsToBeHad) {
  const int status = status_in_child(move_without_a_process);
  if (status == kNoFilterHere) GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_EQ(status, 0) << "a bit for each step that failed";
}

TEST(PageMover, IsGivenUpForARefusalAlone) {
  for (const int error : {EIO, EINTR, EAGAIN, ENOMEM})
    EXPECT_TRUE(detail::may_go_later(error)) << std::strerror(error);
  for (const int error : {EPERM, EINVAL, ENOSYS})
    EXPECT_FALSE(detail::may_go_later(error)) << std::strerror(error);
}

}  // namespace
}  // namespace sluice::test
