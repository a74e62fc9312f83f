// SPDX-License-Identifier: Apache-2.0
// The library never ends the host: nothing in it that runs in the host's process refers to a function that
// ends a process or changes what a signal does. The line is drawn by object file, and looked for in the
// archives. sluice::program is not among them: it is a program's main function.
//
// What a noexcept function does when something is thrown through it leaves no symbol behind; those are few,
// and none of them calls what throws.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using testing::IsEmpty;

// What only processes behind a fork run. Whoever adds a file to them adds it here, too.
const std::set<std::string> kBehindAFork{"autopsy.cpp.o",       "checkpointer.cpp.o",
                                         "checkpoints.cpp.o",   "children.cpp.o",
                                         "continuer.cpp.o",     "crash_note.cpp.o",
                                         "exit_handler.cpp.o",  "master.cpp.o",
                                         "execute.cpp.o",       "executed_worker.cpp.o",
                                         "memory_keeper.cpp.o", "mm_pin.cpp.o",
                                         "new_plan.cpp.o",      "newborn.cpp.o",
                                         "observers.cpp.o",     "page_mover.cpp.o",
                                         "place_keeper.cpp.o",  "replacement.cpp.o",
                                         "report_file.cpp.o",   "report_log.cpp.o",
                                         "scheduling.cpp.o",    "news.cpp.o",
                                         "log.cpp.o",           "log_writer.cpp.o",
                                         "signals.cpp.o",       "spawner.cpp.o",
                                         "stack_dumper.cpp.o",  "standby.cpp.o",
                                         "stall_handler.cpp.o", "push_watch.cpp.o",
                                         "supervisor.cpp.o",    "takeover.cpp.o",
                                         "worker_process.cpp.o"};

// The ways from the host into them: each is called in the child of a fork, and never returns; but for one that asks whether
// this is such a child, and says no in the host.
const std::array<std::string, 4> kGates{"sluice::detail::run_supervisor(", "sluice::detail::continue_after(",
                                        "sluice::detail::end_child(", "sluice::detail::is_child_of_worker("};

const std::set<std::string> kEndsTheProcess{
    "abort", "exit",   "_exit", "_Exit",  "quick_exit", "std::terminate()", "__assert_fail", "pthread_exit",
    "raise", "execve", "execv", "execvp", "execl",      "fexecve"};
const std::set<std::string> kChangesSignals{"signal",      "sigaction",       "sigset",     "bsd_signal",
                                            "sigprocmask", "pthread_sigmask", "sigaltstack"};

struct Object {
  std::set<std::string> defined;
  std::set<std::string> undefined;
};

// The symbols of every object in the archives of the library, demangled.
std::map<std::string, Object> objects() {
  std::map<std::string, Object> found;
  for (const char* archive : {SLUICE_BASE_ARCHIVE, SLUICE_IPC_ARCHIVE, SLUICE_PINNING_ARCHIVE,
                              SLUICE_ENGINE_ARCHIVE, SLUICE_CHAOS_ARCHIVE}) {
    const std::string command = std::string{SLUICE_NM} + " -A -C " + archive + " 2>/dev/null";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), ::pclose};
    std::array<char, 65536> line{};
    while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
      // "libsluice_engine.a:engine.cpp.o:0000000000000010 T sluice::Engine::start()"
      const std::string text{line.data()};
      const std::size_t object_at = text.find(".a:") + 3;
      const std::size_t object_end = text.find(':', object_at);
      std::istringstream rest{text.substr(object_end + 1)};
      std::string kind;
      rest >> kind;
      if (kind.size() > 1) rest >> kind;  // Behind an address.
      std::string symbol;
      std::getline(rest >> std::ws, symbol);
      Object& object = found[text.substr(object_at, object_end - object_at)];
      (kind == "U" ? object.undefined : object.defined).insert(symbol);
    }
  }
  return found;
}

bool runs_in_the_host(const std::string& object) {
  return !kBehindAFork.contains(object);
}

std::vector<std::string> uses(const std::set<std::string>& forbidden) {
  std::vector<std::string> found;
  for (const auto& [name, object] : objects()) {
    if (!runs_in_the_host(name)) continue;
    for (const std::string& symbol : object.undefined) {
      if (forbidden.contains(symbol.substr(0, symbol.find('@'))))
        found.push_back(fmt::format("{}: {}", name, symbol));
    }
  }
  return found;
}

TEST(HostObjects, AreThereToBeLookedAt) {
  const std::map<std::string, Object> all = objects();
  ASSERT_TRUE(all.contains("engine.cpp.o"));
  EXPECT_TRUE(all.at("engine.cpp.o").defined.contains("sluice::Engine::start()"));
  EXPECT_TRUE(all.at("master.cpp.o").undefined.contains("_exit")) << "the test would not see it elsewhere";
}

// Who embeds an engine takes neither the wreckers nor an option parser along.
TEST(HostObjects, HoldNoChaosAndNoOptionParser) {
  for (const auto& [name, object] : objects()) {
    if (name.starts_with("chaos") || name == "continuer.cpp.o" || name == "process_tree.cpp.o") continue;
    for (const std::string& symbol : object.defined) {
      EXPECT_FALSE(symbol.starts_with("sluice::Chaos") || symbol.starts_with("CLI::"))
          << name << " holds " << symbol;
    }
  }
}

TEST(HostObjects, ReferToNothingThatEndsTheProcess) {
  EXPECT_THAT(uses(kEndsTheProcess), IsEmpty())
      << "what only the master, the supervisor or a worker runs belongs into a file of its own: kBehindAFork";
}

TEST(HostObjects, ReferToNothingThatChangesWhatASignalDoes) {
  EXPECT_THAT(uses(kChangesSignals), IsEmpty());
}

TEST(HostObjects, EnterTheCodeBehindAForkThroughItsGatesOnly) {
  const std::map<std::string, Object> all = objects();
  std::map<std::string, std::string> behind;
  for (const std::string& name : kBehindAFork) {
    if (!all.contains(name)) continue;
    for (const std::string& symbol : all.at(name).defined)
      behind.emplace(symbol, name);
  }
  // Templates and inline functions are in every object that uses them.
  for (const auto& [name, object] : all) {
    if (!runs_in_the_host(name)) continue;
    for (const std::string& symbol : object.defined)
      behind.erase(symbol);
  }
  std::vector<std::string> crossed;
  for (const auto& [name, object] : all) {
    if (!runs_in_the_host(name)) continue;
    for (const std::string& symbol : object.undefined) {
      const bool gate = std::any_of(kGates.begin(), kGates.end(),
                                    [&symbol](const std::string& name) { return symbol.starts_with(name); });
      if (behind.contains(symbol) && !gate)
        crossed.push_back(fmt::format("{} refers to {} in {}", name, symbol, behind.at(symbol)));
    }
  }
  EXPECT_THAT(crossed, IsEmpty());
}

}  // namespace
}  // namespace sluice::test
