// SPDX-License-Identifier: Apache-2.0
// The command line of `sluice`: what it says of one that it does not understand, and what shells complete of it.
#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

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
  EXPECT_THAT(complaint("config --settings-of x show"), HasSubstr("there is no option --settings-of"));
  EXPECT_EQ(complaint("--json stats"),
            "sluice: --json stands behind the command that it is for: sluice stats --json\n"
            "Try \"sluice stats --help\".\n");
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
  EXPECT_THAT(complaint("serve --http"), HasSubstr("--http lacks its value, an ADDRESS"));
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

TEST(AClusterThatCannotBeReached, IsToldWithWhatToDo) {
  const Finished away = sluice("cluster status orders --nats nats://127.0.0.1:1");
  EXPECT_EQ(away.status, 1);
  EXPECT_EQ(away.err,
            "sluice: cannot reach the cluster orders: the NATS server at nats://127.0.0.1:1: No server "
            "available for "
            "connection (see that it runs, or name another with --nats)\n");
  for (const char* option : {"--nats-ca", "--nats-credentials"}) {
    const Finished run =
        sluice(std::string{"cluster status orders --nats nats://127.0.0.1:1 "} + option + " /nowhere/it");
    EXPECT_EQ(run.status, 2) << option;
    EXPECT_THAT(run.err, HasSubstr(" /nowhere/it: No such file or directory (name another)")) << option;
    EXPECT_EQ(
        sluice(std::string{"cluster drain orders one --nats nats://127.0.0.1:1 "} + option + " /").status, 2)
        << option;
  }
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
                             "; compopt() { [[ $2 != default ]] || printf 'files,'; }"
                             "; source <(sluice completion); COMP_WORDS=(\"$@\"); COMP_CWORD=" +
                             std::to_string(count - 1) + "; _sluice; printf '%s,' \"${COMPREPLY[@]}\"")
      .value_or("");
}

TEST(Completion, OffersCommandsOptionsAndSettings) {
  EXPECT_EQ(bash_offers("sluice st", 2), "stats,");
  EXPECT_EQ(bash_offers("sluice config ex", 3), "explain,");
  EXPECT_EQ(bash_offers("sluice config li", 3), "lint,");
  EXPECT_EQ(bash_offers("sluice config diff th", 4), "files,throughput,");
  EXPECT_EQ(bash_offers("sluice config show --pro", 4), "--profile,");
  EXPECT_EQ(bash_offers("sluice config explain lane.s", 4), "lane.slots,");
  EXPECT_EQ(bash_offers("sluice config show --set lane.s", 5), "lane.slots=,");
  EXPECT_EQ(bash_offers("sluice config show --set stage", 5), "stage.,");
  EXPECT_EQ(bash_offers("sluice config show --set work", 5), ",") << "which is said of one stage";
  EXPECT_EQ(bash_offers("sluice config explain work", 4), "workers,");
  EXPECT_EQ(bash_offers("sluice config show --profile th", 5), "throughput,");
  EXPECT_EQ(bash_offers("sluice completion z", 3), "zsh,");
  EXPECT_EQ(bash_offers("sluice chaos -- build/words --qu", 5), "files,,") << "of another program";
  EXPECT_EQ(bash_offers("sluice chaos -- ./bu", 4), "files,,");
  EXPECT_EQ(bash_offers("sluice chaos -- timeou", 4), "files,timeout,");
}

// A name may be one that another user has made, where root completes it.
TEST(Completion, ExpandsNothingOfAName) {
  const std::string offered = said_by("bash", R"(source <(sluice completion); compopt() { :; }; cd /
sluice() { printf '%s\n' '$(false).1: running' '`false`.2: running' 'd?v: running'; }
COMP_WORDS=(sluice stats ''); COMP_CWORD=2; _sluice; printf '<%s>' "${COMPREPLY[@]}")")
                                  .value_or("");
  EXPECT_EQ(offered, "<$(false).1><`false`.2><d?v>");
}

// The commands in one, as its help lists them; `command` begins with a blank, or is empty.
std::vector<std::string> commands_in_help_of(const std::string& command) {
  std::vector<std::string> commands;
  std::istringstream lines{sluice(command + " --help").out};
  bool listed = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "Subcommands:") {
      listed = true;
    } else if (line.empty()) {
      listed = false;
    } else if (listed && line[2] != ' ') {
      commands.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return commands;
}

// Calls look(command, the commands in it) for `sluice`, as "", and for each command in it.
template <class Look>
void for_each_command(const Look& look, const std::string& command = "") {
  const std::vector<std::string> within = commands_in_help_of(command);
  look(command, within);
  for (const std::string& each : within) {
    std::string inner = command;
    for_each_command(look, inner.append(" ").append(each));
  }
}

int word_behind(const std::string& command) {
  return 2 + static_cast<int>(std::count(command.begin(), command.end(), ' '));
}

TEST(Completion, OffersTheCommandsInOneAndNothingElse) {
  std::size_t groups = 0;
  for_each_command([&groups](const std::string& command, const std::vector<std::string>& within) {
    if (within.empty()) return;
    ++groups;
    std::string expected;
    for (const std::string& each : within)
      expected.append(each).append(",");
    EXPECT_EQ(bash_offers("sluice" + command + " ''", word_behind(command)), expected) << command;
  });
  EXPECT_GE(groups, 4U);
}

TEST(Completion, OffersAllOptionsOfEachCommandBehindADash) {
  std::size_t commands = 0;
  for_each_command([&commands](const std::string& command, const std::vector<std::string>&) {
    ++commands;
    const std::string offered = "," + bash_offers("sluice" + command + " --", word_behind(command));
    std::istringstream lines{sluice(command + " --help").out};
    for (std::string line; std::getline(lines, line);) {
      const std::size_t dashes = line.starts_with("  -h,") ? 5 : 2;
      if (!line.starts_with("  -")) continue;
      std::string option = line.substr(dashes);
      option.resize(std::min(option.find_first_of(" ,="), option.size()));
      EXPECT_THAT(offered, HasSubstr("," + option + ",")) << command;
    }
    EXPECT_THAT(offered, Not(HasSubstr("files"))) << command;
  });
  EXPECT_GE(commands, 25U);
}

TEST(Completion, OffersFilesWhereACommandTakesThem) {
  for (const std::string command :
       {" dead list", " dead import", " deaths show", " config lint", " config diff", " stats"})
    EXPECT_THAT(bash_offers("sluice" + command + " x", word_behind(command)), StartsWith("files,"))
        << command;
  for (const std::string command :
       {" ps", " config keys", " config explain", " new", " doctor", " completion", " plan"})
    EXPECT_THAT(bash_offers("sluice" + command + " ''", word_behind(command)), Not(HasSubstr("files")))
        << command;
  EXPECT_EQ(bash_offers("sluice ps ''", 3), "--help,--json,") << "where nothing else can be";
}

// And nothing where what it takes is a number, or a name that nobody knows here.
TEST(Completion, OffersFilesBehindAnOptionThatTakesOne) {
  EXPECT_EQ(bash_offers("sluice plan --svg ''", 4), "files,,");
  EXPECT_EQ(bash_offers("sluice plan --svg = x", 5), "files,,");
  EXPECT_EQ(bash_offers("sluice plan --svg =", 4), "files,,");
  EXPECT_EQ(bash_offers("sluice serve --token-file ''", 4), "files,,");
  EXPECT_EQ(bash_offers("sluice serve --http ''", 4), ",");
  EXPECT_EQ(bash_offers("sluice chaos --for ''", 4), ",");
  EXPECT_EQ(bash_offers("sluice config show --profile = th", 6), "throughput,");
  EXPECT_EQ(bash_offers("sluice config keys --help =", 5), ",");
  EXPECT_THAT(bash_offers("sluice stats --watch --js", 4), "--json,") << "whose value may be left out";
}

// What zsh is given to choose from: it goes by what was begun itself.
std::string zsh_offers(const std::string& words, int count) {
  constexpr const char* kStubs = R"zsh(compdef() { }
_files() { print files; }
_normal() { print -r -- "as $CURRENT of: $words"; }
compset() { print -r -- "behind $3"; }
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
              AllOf(HasSubstr(" lane.slots "), HasSubstr(" stage. "), Not(HasSubstr("files")),
                    Not(HasSubstr("workers"))));
  EXPECT_EQ(zsh_offers("sluice chaos -- build/words --qu", 5), "as 2 of: build/words --qu\n");
  EXPECT_EQ(zsh_offers("sluice chaos -- timeou", 4), "as 1 of: timeou\n");
  EXPECT_EQ(zsh_offers("sluice plan --svg x", 4), "files\n");
  EXPECT_EQ(zsh_offers("sluice serve --http x", 4), "");
  EXPECT_EQ(zsh_offers("sluice plan --svg=x", 3), "behind *=\nfiles\n");
  EXPECT_EQ(zsh_offers("sluice serve --http=x", 3), "behind *=\n");
  EXPECT_EQ(zsh_offers("sluice stats --watch=", 3), "behind *=\n");
  EXPECT_THAT(zsh_offers("sluice config show --profile=th", 4), StartsWith("behind *=\n balanced "));
  EXPECT_THAT(zsh_offers("sluice config show --set=lane.s", 4), HasSubstr(" lane.slots "));
  EXPECT_THAT(zsh_offers("sluice dead list x", 4), HasSubstr("files"));
  for_each_command([](const std::string& command, const std::vector<std::string>& within) {
    if (within.empty()) return;
    std::string expected = " ";
    for (const std::string& each : within)
      expected.append(each).append(" ");
    EXPECT_EQ(zsh_offers("sluice" + command + " ''", word_behind(command)), expected + "\n") << command;
  });
}

std::string fish_offers(const std::string& line) {
  return said_by("fish", "sluice completion fish | source; complete -C '" + line + "'").value_or("");
}

TEST(Completion, IsForFishAsWell) {
  if (!said_by("fish", "")) GTEST_SKIP() << "fish is not installed";
  EXPECT_THAT(fish_offers("sluice st"), AllOf(HasSubstr("stats\n"), Not(HasSubstr("explain"))));
  EXPECT_THAT(fish_offers("sluice config ex"), AllOf(HasSubstr("explain\n"), Not(HasSubstr("stats"))));
  EXPECT_THAT(fish_offers("sluice config diff th"), HasSubstr("throughput\n"));
  EXPECT_THAT(fish_offers("sluice config show --pro"), HasSubstr("--profile\n"));
  EXPECT_THAT(fish_offers("sluice config explain lane.s"), HasSubstr("lane.slots\n"));
  EXPECT_EQ(fish_offers("sluice config show --set lane.s"), "lane.slots=\n");
  EXPECT_EQ(fish_offers("sluice config show --set stag"), "stage.\n");
  EXPECT_THAT(fish_offers("sluice chaos -- build/words --f"), Not(HasSubstr("--for")));
  EXPECT_THAT(fish_offers("sluice chaos -- timeou"), HasSubstr("timeout"));
  EXPECT_THAT(fish_offers("sluice chaos -- timeout /us"), HasSubstr("/usr/"));
  EXPECT_THAT(fish_offers("sluice plan --svg /us"), HasSubstr("/usr/"));
  EXPECT_EQ(fish_offers("sluice serve --http "), "");
  EXPECT_THAT(fish_offers("sluice plan --svg=/us"), HasSubstr("--svg=/usr/"));
  EXPECT_EQ(fish_offers("sluice serve --http="), "");
  EXPECT_EQ(fish_offers("sluice stats --watch="), "");
  EXPECT_EQ(fish_offers("sluice config show --profile=th"), "--profile=throughput\n");
  EXPECT_EQ(fish_offers("sluice config show --set=lane.s"), "--set=lane.slots=\n");
  for_each_command([](const std::string& command, const std::vector<std::string>& within) {
    if (within.empty()) return;
    std::vector<std::string> sorted = within;
    std::sort(sorted.begin(), sorted.end());
    std::string expected;
    for (const std::string& each : sorted)
      expected.append(each).append("\n");
    EXPECT_EQ(fish_offers("sluice" + command + " "), expected) << command;
  });
  EXPECT_THAT(said_by("bash", "sluice completion csh").value_or(""), HasSubstr("name bash, zsh or fish"));
}

}  // namespace
}  // namespace sluice::test
