// SPDX-License-Identifier: Apache-2.0
// A set of CPU numbers: how it is written, how it is read, and how it meets the kernel's masks.
#include <vector>

#include <sluice/pinning/cpu_set.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(CpuSet, IsEmptyAtFirst) {
  const CpuSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.count(), 0U);
  EXPECT_EQ(set.to_string(), "");
  EXPECT_FALSE(set.contains(0));
}

TEST(CpuSet, WritesItselfAsALinuxCpulist) {
  EXPECT_EQ((CpuSet{0}).to_string(), "0");
  EXPECT_EQ((CpuSet{8, 3, 1, 2, 0}).to_string(), "0-3,8");
  EXPECT_EQ((CpuSet{0, 1, 63, 64, 65, 127}).to_string(), "0-1,63-65,127");
}

TEST(CpuSet, ReadsALinuxCpulist) {
  EXPECT_THAT(CpuSet::parse("0-3,8").to_vector(), ElementsAre(0U, 1U, 2U, 3U, 8U));
  EXPECT_EQ(CpuSet::parse("5"), CpuSet{5});
  EXPECT_EQ(CpuSet::parse("7-7"), CpuSet{7});
  EXPECT_EQ(CpuSet::parse("4,0-4,2"), CpuSet::parse("0-4"));
}

TEST(CpuSet, ReadsTheFilesOfSysAsTheyStand) {
  EXPECT_EQ(CpuSet::parse("0-1\n"), (CpuSet{0, 1}));
  EXPECT_TRUE(CpuSet::parse("\n").empty());
  EXPECT_TRUE(CpuSet::parse("").empty());
}

TEST(CpuSet, ForgivesBlanksAroundItems) {
  EXPECT_EQ(CpuSet::parse(" 0-1 , 3 "), (CpuSet{0, 1, 3}));
}

TEST(CpuSet, GivesTheSameSetBackFromItsText) {
  for (const char* text : {"", "0", "0-3,8", "1,3,5,7", "62-65", "4095", "100000-100003"}) {
    EXPECT_EQ(CpuSet::parse(text).to_string(), text);
  }
}

TEST(CpuSet, HasNoLargestUnitFixedAtCompileTime) {
  CpuSet set{70'000};
  set.insert(3);
  EXPECT_TRUE(set.contains(70'000));
  EXPECT_EQ(set.count(), 2U);
  EXPECT_EQ(set.to_string(), "3,70000");
}

TEST(CpuSet, RefusesWhatIsNoNumberAndNamesTextAndPart) {
  const std::string said = error_of([] { CpuSet::parse("0-3,eight"); });
  EXPECT_THAT(said, HasSubstr("\"0-3,eight\""));
  EXPECT_THAT(said, HasSubstr("\"eight\""));
  EXPECT_THAT(said, HasSubstr("such as 0-3,8"));
}

TEST(CpuSet, RefusesEveryKindOfBrokenList) {
  for (const char* text :
       {",", "0,", ",0", "0,,1", "-", "-1", "1-", "0-3-5", "0x1", "1.5", "+1", "0-3:1", "1 2"}) {
    EXPECT_THAT(error_of([text] { CpuSet::parse(text); }), HasSubstr(text));
  }
}

TEST(CpuSet, RefusesARangeThatRunsBackwards) {
  EXPECT_THAT(error_of([] { CpuSet::parse("5-2"); }), HasSubstr("the range 5-2 runs backwards"));
}

TEST(CpuSet, RefusesANumberThatNoMachineHas) {
  EXPECT_THAT(error_of([] { CpuSet::parse("0-4000000000"); }), HasSubstr("4000000000"));
  EXPECT_THAT(error_of([] { CpuSet::parse("99999999999999999999"); }), HasSubstr("99999999999999999999"));
}

TEST(CpuSet, UnitesIntersectsAndSubtracts) {
  const CpuSet left = CpuSet::parse("0-3,64");
  const CpuSet right = CpuSet::parse("2-5");
  EXPECT_EQ((left | right).to_string(), "0-5,64");
  EXPECT_EQ((left & right).to_string(), "2-3");
  EXPECT_EQ((left - right).to_string(), "0-1,64");
  EXPECT_TRUE(left.intersects(right));
  EXPECT_FALSE(left.intersects(CpuSet{200}));
  EXPECT_TRUE(left.includes(CpuSet::parse("1,64")));
  EXPECT_FALSE(left.includes(right));
  EXPECT_TRUE(left.includes(CpuSet{}));
}

TEST(CpuSet, IsEqualToASetOfTheSameUnitsHoweverItCameAbout) {
  CpuSet grown_and_shrunk{1, 500};
  grown_and_shrunk.erase(500);
  EXPECT_EQ(grown_and_shrunk, CpuSet{1});
  EXPECT_EQ((CpuSet{1, 500} & CpuSet{1, 300}), CpuSet{1});
  EXPECT_EQ((CpuSet{1, 500} - CpuSet{500}), CpuSet{1});
}

TEST(CpuSet, TakesOverAndHandsOutTheKernelsMask) {
  const std::vector<CpuSet::Word> kernel{0b1011, 0b1, 0, 0};
  const CpuSet set = CpuSet::from_mask(kernel);
  EXPECT_EQ(set.to_string(), "0-1,3,64");
  EXPECT_THAT(set.mask(), ElementsAre(0b1011U, 0b1U));
}

}  // namespace
}  // namespace sluice::pinning
