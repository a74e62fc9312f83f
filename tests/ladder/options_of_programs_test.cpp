// SPDX-License-Identifier: Apache-2.0
// The options that every program has, as a shell hands them over.
#include "commands.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class OptionsOfPrograms : public WithCommands {
 protected:
  OptionsOfPrograms() { write("lines.txt", "to be or not to be\n"); }
};

// A variable that was not set is no wish to be hurt.
TEST_F(OptionsOfPrograms, AChaosThatIsEmptyIsRefusedAndHurtsNothing) {
  for (const char* chaos : {"--chaos ''", "--chaos=", "--chaos=\"$CHAOS\"", "--chaos \"$CHAOS\""}) {
    const Ran ran = run(std::string{"unset CHAOS; copy --quiet "} + chaos);
    EXPECT_EQ(ran.status, 2) << chaos;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("--chaos"), HasSubstr("it is empty"), Not(HasSubstr("kill="))))
        << chaos;
    EXPECT_FALSE(std::filesystem::exists(file("copy.txt"))) << chaos;
  }
}

TEST_F(OptionsOfPrograms, AChaosWithoutATextIsTheDefault) {
  for (const char* chaos : {"--chaos --quiet", "--quiet --chaos", "--quiet --chaos default"}) {
    const Ran ran = run(std::string{"copy "} + chaos);
    EXPECT_EQ(ran.status, 0) << chaos;
    EXPECT_THAT(ran.out, HasSubstr("kill=5/s stall=0.2/s stop=0.2/s")) << chaos;
    EXPECT_EQ(text_of("copy.txt"), "to be or not to be\n") << chaos;
  }
}

}  // namespace
}  // namespace sluice::test
