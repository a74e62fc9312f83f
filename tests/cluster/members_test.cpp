// SPDX-License-Identifier: Apache-2.0
// Whom a host takes for dead, by its own clock.
#include "members.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using detail::HostBeat;
using detail::Hosts;
using detail::Members;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr auto kLease = 1s;
const Members::Time kStart = Members::Time{} + 1h;

TEST(Members, LiveWhileTheirHeartbeatsChange) {
  Members members{kLease};
  members.looked_away(kStart);
  for (std::uint64_t count = 0; count < 5; ++count)
    members.seen("a", {.life = 1, .count = count}, kStart + count * 900ms);
  EXPECT_THAT(members.living(kStart + 4 * 900ms + 999ms), ElementsAre(Pair("a", false)));
  EXPECT_THAT(members.living(kStart + 4 * 900ms + 1s), IsEmpty());
}

// An entry that is seen again and again is no heartbeat.
TEST(Members, AreNotKeptAliveByWhatStaysInTheBucket) {
  Members members{kLease};
  for (int look = 0; look < 20; ++look)
    members.seen("a", {.life = 1, .count = 7}, kStart + look * 100ms);
  EXPECT_THAT(members.living(kStart + 1s), IsEmpty());
}

TEST(Members, AreJudgedByNobodyWhoLookedAway) {
  Members members{kLease};
  members.looked_away(kStart);
  members.seen("a", {.life = 1, .count = 1}, kStart);
  EXPECT_FALSE(members.may_judge(kStart + 999ms));
  EXPECT_TRUE(members.may_judge(kStart + 1s));
  members.looked_away(kStart + 1min);
  EXPECT_FALSE(members.may_judge(kStart + 1min + 999ms));
  EXPECT_THAT(members.living(kStart + 1min), ElementsAre(Pair("a", false))) << "for another lease";
  EXPECT_THAT(members.living(kStart + 1min + 1s), IsEmpty());
}

TEST(Members, ThatLeaveAreAliveAndSayIt) {
  Members members{kLease};
  members.seen("a", {.life = 1, .count = 1, .leaving = true}, kStart);
  members.seen("b", {.life = 2, .count = 1}, kStart);
  EXPECT_THAT(members.living(kStart), ElementsAre(Pair("a", true), Pair("b", false)));
  members.gone("a");
  EXPECT_THAT(members.living(kStart), ElementsAre(Pair("b", false)));
}

TEST(Members, AreForgottenOnceTheyHaveBeenSilentForLong) {
  Members members{kLease};
  members.looked_away(kStart);
  members.seen("a", {.life = 1, .count = 1}, kStart);
  members.seen("b", {.life = 2, .count = 1}, kStart + 5min);
  EXPECT_THAT(members.long_gone(kStart + 10min - 1s, 10min), IsEmpty());
  EXPECT_THAT(members.long_gone(kStart + 10min, 10min), ElementsAre("a"));
  // Who did not look does not know.
  members.looked_away(kStart + 20min);
  EXPECT_THAT(members.long_gone(kStart + 20min, 10min), IsEmpty());
}

TEST(Members, AreReadAsTheyWereWritten) {
  for (const HostBeat& beat : {HostBeat{.life = ~0ULL, .count = 12, .leaving = true}, HostBeat{.life = 3}})
    EXPECT_EQ(detail::parse_host_beat(to_text(beat)), beat);
  for (const char* text :
       {"", "1", "2 1 1 stays", "1 1 1 sleeps", "1 1 1 stays and more", "1 -x 1 stays", "1 1 stays"})
    EXPECT_EQ(detail::parse_host_beat(text), std::nullopt) << text;
}

}  // namespace
}  // namespace sluice::test
