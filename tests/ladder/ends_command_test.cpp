// SPDX-License-Identifier: Apache-2.0
// `sluice drain` as an operator sees it who waits for it.
#include "commands.hpp"

namespace sluice::test {
namespace {

class EndsCommand : public WithCommands {};

TEST_F(EndsCommand, SaysWhatItMayWaitForWhereAHostPushesNothing) {
  const Ran ran =
      run("mkfifo in; host < in > answers 2>&1 & host=$!; exec 3> in; "
          "until sluice stats lengths.$host > stats 2>&1; do sleep 0.05; done; "
          "sluice drain lengths.$host > said 2>&1 & drain=$!; "
          "until grep -q 'its host waits' said; do sleep 0.1; done; "
          "echo word >&3; exec 3>&-; wait $drain; echo status $?; wait $host");
  EXPECT_THAT(ran.out, testing::HasSubstr("status 0\n"));
  EXPECT_THAT(text_of("said"), testing::StartsWith("sluice: lengths has not ended yet: "));
  EXPECT_THAT(text_of("said"), testing::EndsWith(": drained: everything that was accepted is handled\n"));
}

}  // namespace
}  // namespace sluice::test
