// SPDX-License-Identifier: Apache-2.0
// Claims: what pipelines tell each other of their units.

#include <csignal>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/pinning/claims.hpp>

namespace sluice::pinning {
namespace {

// As /proc/net/unix has it.
constexpr const char* kTable =
    "Num       RefCount Protocol Flags    Type St Inode Path\n"
    "ffff9d0d41234000: 00000002 00000000 00010000 0001 01 21234 /run/systemd/notify\n"
    "ffff9d0d41234400: 00000002 00000000 00000000 0001 01 21240 @sluice.units/1/00c0ffee/4711/market/0-3,8\n"
    "ffff9d0d41234500: 00000002 00000000 00000000 0001 01 21241 @sluice.units/1/00c0ffee/4711/market/12\n"
    "ffff9d0d41234800: 00000002 00000000 00000000 0001 01 21250 @sluice.units/1/0badcafe/4712/bank/5\n"
    "ffff9d0d41234900: 00000002 00000000 00000000 0001 01 21250 @sluice.units/1/0badcaff/1/x/0-\n"
    "ffff9d0d41234a00: 00000002 00000000 00000000 0001 01 21250 @sluice.units/1/0badcaff\n"
    "ffff9d0d41234b00: 00000002 00000000 00000000 0001 01 21250 @sluice.units.lock\n"
    "ffff9d0d41234c00: 00000003 00000000 00000000 0001 03 21251\n";

std::string owners(const std::vector<Claim>& claims) {
  std::string text;
  for (const Claim& claim : claims)
    text += claim.owner + ": " + claim.units.to_string() + "\n";
  return text;
}

TEST(Claims, AreReadFromTheTableOfSockets) {
  EXPECT_EQ(owners(claims_in(kTable, {})),
            "pipeline market (pid 4711): 0-3,8,12\npipeline bank (pid 4712): 5\n");
}

TEST(Claims, OfThisPipelineAreNotThoseOfOthers) {
  EXPECT_EQ(owners(claims_in(kTable, "00c0ffee")), "pipeline bank (pid 4712): 5\n");
}

TEST(Claims, ThatCannotBeReadArePassedOver) {
  EXPECT_EQ(owners(claims_in("", {})), "");
  EXPECT_EQ(owners(claims_in("x @sluice.units/1/a/1/\x1b[2J/0-99999999999\n", {})), "");
  EXPECT_EQ(owners(claims_in("x @sluice.units/1/a/\x1b/\x1b[2J/1", {})), "pipeline __2J (pid _): 1\n");
}

TEST(Claims, ThatWereRenewedCountAsTheyAreNow) {
  const char* table =
      "x @sluice.units/1/00c0ffee.2/4711/market/4\n"
      "x @sluice.units/1/00c0ffee/4711/market/0-3\n"
      "x @sluice.units/1/00c0ffee.10/4711/market/5\n"
      "x @sluice.units/1/00c0ffee.10/4711/market/7\n"
      "x @sluice.units/1/00c0ffee.host/4711/market/9\n"
      "x @sluice.units/1/00c0ffee.cat/4711/market/11\n"
      "x @sluice.units/1/00c0ffee./4711/market/12\n";
  EXPECT_EQ(owners(claims_in(table, {})),
            "pipeline market (pid 4711): 5,7\nthe host of pipeline market (pid 4711): 9\n");
  EXPECT_EQ(owners(claims_in(table, "00c0ffee")), "");
}

TEST(Claims, AreRenewedByOneHolderForAll) {
  const auto units_of = [](const char* who) {
    CpuSet units;
    for (const Claim& claim : claims_of_others({})) {
      if (claim.owner.starts_with(who)) units |= claim.units;
    }
    return units.to_string();
  };
  HeldClaim first{"renewed-test", CpuSet::parse("0-3")};
  if (first.mark().empty()) GTEST_SKIP() << "no sockets can be had here";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    first.renew(CpuSet::parse("2-3"), 1);
    char byte = 0;
    [[maybe_unused]] const ssize_t told = ::write(ends[1], &byte, 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(units_of("pipeline renewed-test"), "2-3") << "though this process holds what was claimed before";
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  EXPECT_EQ(units_of("pipeline renewed-test"), "0-3");
  {
    const HeldClaim of_host = first.for_host(CpuSet{7});
    EXPECT_EQ(units_of("the host of pipeline renewed-test"), "7");
    EXPECT_EQ(of_host.mark(), first.mark());
  }
  EXPECT_EQ(units_of("the host of pipeline renewed-test"), "");
  HeldClaim none;
  none.renew(CpuSet{1}, 1);
  EXPECT_TRUE(none.descriptors().empty());
  EXPECT_TRUE(none.for_host(CpuSet{1}).descriptors().empty());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Claims, AreSeenByOthersUntilTheLastHolderIsGone) {
  const auto of_mark = [](const std::string& mark) {
    CpuSet units;
    for (const Claim& claim : claims_of_others({})) {
      if (claim.owner.find("claims-test") != std::string::npos) units |= claim.units;
    }
    return mark.empty() ? CpuSet{} : units;
  };
  // So many that one name does not hold them.
  CpuSet many;
  for (unsigned unit = 0; unit < 200; unit += 2)
    many.insert(unit);
  HeldClaim claim{"claims-test", many};
  if (claim.mark().empty()) GTEST_SKIP() << "no sockets can be had here";
  EXPECT_EQ(of_mark(claim.mark()), many);
  EXPECT_GT(claim.descriptors().size(), 1U);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    char byte = 0;
    ::close(ends[1]);
    ::_exit(static_cast<int>(::read(ends[0], &byte, 1)));
  }
  claim.let_go();
  EXPECT_EQ(of_mark("any"), many) << "the child holds it";
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  EXPECT_EQ(of_mark("any"), CpuSet{});
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Claims, ALockThatIsNotGivenBackIsNotWaitedForForEver) {
  const ClaimLock first{std::chrono::milliseconds{0}};
  const ClaimLock second{std::chrono::milliseconds{5}};
}

}  // namespace
}  // namespace sluice::pinning
