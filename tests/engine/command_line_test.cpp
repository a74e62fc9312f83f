// SPDX-License-Identifier: Apache-2.0
// The command line of `sluice`: what it says of one that it does not understand, and what shells complete of it.
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_command.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(AWrongCommandLine, ExitsWithTwoAndAHint) {
  const auto complaint = [](const std::string& arguments) {
    const Finished run = sluice(arguments);
    EXPECT_EQ(run.status, 2) << arguments;
    EXPECT_THAT(run.out, IsEmpty()) << arguments;
    EXPECT_THAT(run.err, EndsWith("--help\".\n")) << arguments;
    return run.err;
  };
  EXPECT_EQ(complaint("nonsense"),
            "sluice: there is no command \"nonsense\", only new, config, chaos, dead, deaths, plan, topo, "
            "stats, top, ps, "
            "serve, park, "
            "drain, calibrate, doctor, completion, bench, cluster\nTry \"sluice "
            "--help\".\n");
  EXPECT_THAT(complaint("confg"), HasSubstr("there is no command \"confg\"; did you mean config?\n"));
  EXPECT_THAT(complaint("config"), HasSubstr("a command is missing: show, explain, keys, reference"));
  EXPECT_THAT(complaint("config shw"), HasSubstr("there is no command \"shw\"; did you mean show?"));
  EXPECT_THAT(complaint("config show --sett a=b"), HasSubstr("there is no option --sett"));
  EXPECT_THAT(complaint("config show extra"), HasSubstr("unexpected \"extra\""));
  EXPECT_THAT(complaint("config explain"), HasSubstr("KEY is required"));
  EXPECT_THAT(complaint("config show --set"), HasSubstr("--set"));
  EXPECT_THAT(complaint("stats --json=some"), HasSubstr("sluice: --json takes no value\n"));
  EXPECT_THAT(complaint("stats --watch some"),
              HasSubstr("--watch takes a number from 0.1 to 86400, not \"some\""));
  EXPECT_THAT(complaint("stats --watch 1 --looks -3"),
              HasSubstr("--looks takes a number of at least 1, not \"-3\""));
  EXPECT_THAT(complaint("deaths list x --last 0"),
              HasSubstr("--last takes a number of at least 1, not \"0\"\n"));
  EXPECT_THAT(complaint("deaths show x y"), HasSubstr("number takes a number of at least 1, not \"y\""));
  EXPECT_THAT(complaint("stats --looks 3"), HasSubstr("--looks goes with --watch only"));
  EXPECT_THAT(complaint("stats --json --measured"), HasSubstr("--json does not go with --measured"));
  EXPECT_THAT(complaint("config show --profile"), HasSubstr("--profile lacks its value, a NAME"));
#ifdef CLUSTER_PROGRAM
  EXPECT_EQ(
      complaint("cluster several"),
      "sluice: there is no command \"several\", only status, move, drain\nTry \"sluice cluster --help\".\n");
  EXPECT_EQ(complaint("cluster move accounts -1 one"),
            "sluice: PARTITION takes a number from 0 to 4294967295, not \"-1\"\n"
            "Try \"sluice cluster move --help\".\n");
#endif
}

#ifdef CLUSTER_PROGRAM
TEST(AClusterThatCannotBe, IsToldAsEverythingElseIs) {
  const Finished run = sluice("cluster status 'a b'");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, StartsWith("sluice: cannot look at the cluster 'a b': that is no name of one"));
}
#endif

// What a shell says to a script; nothing where there is no such shell.
std::optional<std::string> said_by(const std::string& shell, const std::string& script) {
  if (std::system(("command -v " + shell + " > /dev/null").c_str()) != 0) return std::nullopt;
  const std::string own = "sluice() { '" SLUICE_PROGRAM "' \"$@\"; }; ";
  const std::string as_fish = "function sluice; '" SLUICE_PROGRAM "' $argv; end; ";
  const std::string whole = (shell == "fish" ? as_fish : own) + script;
  FILE* pipe = ::popen(
      ("env -i HOME=/ PATH=/usr/bin:/bin " + shell + " -c '" + shell_quoted(whole) + "' 2>&1").c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string said = drained(pipe);
  ::pclose(pipe);
  return said;
}

// What bash offers behind these words, the last of them begun.
std::string bash_offers(const std::string& words, int count) {
  return said_by("bash", "set -- " + words +
                             "; source <(sluice completion); COMP_WORDS=(\"$@\"); COMP_CWORD=" +
                             std::to_string(count - 1) + "; _sluice; printf '%s,' \"${COMPREPLY[@]}\"")
      .value_or("");
}

TEST(Completion, OffersCommandsOptionsAndSettings) {
  EXPECT_EQ(bash_offers("sluice st", 2), "stats,");
  EXPECT_EQ(bash_offers("sluice config ex", 3), "explain,");
  EXPECT_EQ(bash_offers("sluice config li", 3), "lint,");
  EXPECT_EQ(bash_offers("sluice config diff th", 4), "throughput,");
  EXPECT_EQ(bash_offers("sluice config show --pro", 4), "--profile,");
  EXPECT_EQ(bash_offers("sluice config explain lane.s", 4), "lane.slots,");
  EXPECT_EQ(bash_offers("sluice config show --set lane.s", 5), "lane.slots=,");
  EXPECT_EQ(bash_offers("sluice chaos -- build/words --qu", 5), ",") << "the options of another program";
}

// What zsh is given to choose from: it goes by what was begun itself.
std::string zsh_offers(const std::string& words, int count) {
  constexpr const char* kStubs = R"zsh(compdef() { }
_files() { print files; }
compadd() { [[ $1 != -S ]] || shift 2; print -r -- " ${(P)2} "; }
source <(sluice completion zsh)
)zsh";
  return said_by("zsh", kStubs + ("words=(" + words) + "); CURRENT=" + std::to_string(count) + "; _sluice")
      .value_or("");
}

TEST(Completion, IsForZshAsWell) {
  if (!said_by("zsh", "")) GTEST_SKIP() << "zsh is not installed";
  EXPECT_THAT(zsh_offers("sluice st", 2), AllOf(HasSubstr(" stats "), Not(HasSubstr(" explain "))));
  EXPECT_THAT(zsh_offers("sluice config ex", 3), AllOf(HasSubstr(" explain "), Not(HasSubstr(" stats "))));
  EXPECT_THAT(zsh_offers("sluice config diff th", 4), HasSubstr(" throughput "));
  EXPECT_THAT(zsh_offers("sluice config show --pro", 4), HasSubstr(" --profile "));
  EXPECT_THAT(zsh_offers("sluice config explain lane.s", 4), HasSubstr(" lane.slots "));
  EXPECT_THAT(zsh_offers("sluice config show --set lane.s", 5),
              AllOf(HasSubstr(" lane.slots "), Not(HasSubstr("files"))));
  EXPECT_EQ(zsh_offers("sluice chaos -- build/words --qu", 5), "files\n");
}

std::string fish_offers(const std::string& line) {
  return said_by("fish", "sluice completion fish | source; complete -C '" + line + "'").value_or("");
}

TEST(Completion, IsForFishAsWell) {
  if (!said_by("fish", "")) GTEST_SKIP() << "fish is not installed";
  // It offers files besides.
  EXPECT_THAT(fish_offers("sluice st"), AllOf(HasSubstr("stats\n"), Not(HasSubstr("explain"))));
  EXPECT_THAT(fish_offers("sluice config ex"), AllOf(HasSubstr("explain\n"), Not(HasSubstr("stats"))));
  EXPECT_THAT(fish_offers("sluice config diff th"), HasSubstr("throughput\n"));
  EXPECT_THAT(fish_offers("sluice config show --pro"), HasSubstr("--profile\n"));
  EXPECT_THAT(fish_offers("sluice config explain lane.s"), HasSubstr("lane.slots\n"));
  EXPECT_EQ(fish_offers("sluice config show --set lane.s"), "lane.slots=\n");
  EXPECT_THAT(fish_offers("sluice chaos -- build/words --f"), Not(HasSubstr("--for")));
  EXPECT_THAT(said_by("bash", "sluice completion csh").value_or(""), HasSubstr("name bash, zsh or fish"));
}

}  // namespace
}  // namespace sluice::test
