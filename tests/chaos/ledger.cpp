// SPDX-License-Identifier: Apache-2.0
// ledger: the audited pipeline as a program, made to be hurt: `sluice chaos -- ledger`, or `ledger --chaos`.
// It audits itself: that every entry took effect once and in order, and that neither descriptors nor memory
// of its processes grow over the run.
#include "ledger.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/sluice.hpp>

#include "resource_watch.hpp"

namespace {

constexpr std::uint64_t kNever = std::uint64_t{1} << 60U;

struct Options {
  std::uint64_t entries = 20'000'000;
  std::uint64_t restarts = 0;  // 0 for no such end.
  std::string out;
  sluice::StandardOptions standard;
};

std::optional<int> parse(int argc, char** argv, Options& options) {
  CLI::App app{"A ledger that audits itself: every entry once and in order, whoever is killed.", "ledger"};
  app.set_version_flag("--version", "ledger of Sluice " SLUICE_VERSION, "Print the version and exit");
  app.add_option("--entries", options.entries, "How many entries pass through it")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40U))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--restarts", options.restarts, "Drain after this many restarts of workers instead")
      ->type_name("N");
  app.add_option("--out", options.out, "Keep the statement of the accounts in this file")->type_name("FILE");
  sluice::add_standard_options(app, options.standard);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return sluice::end_of_parse(app, error);
  }
  if (options.restarts > 0) options.entries = kNever;
  return std::nullopt;
}

// The statement, which is a file of its own that goes with the run unless the user wants it.
class StatementFile {
 public:
  explicit StatementFile(const std::string& wanted)
      : kept_{!wanted.empty()},
        path_{kept_ ? std::filesystem::path{wanted}
                    : std::filesystem::temp_directory_path() / fmt::format("sluice-ledger-{}", ::getpid())} {
    std::filesystem::remove(path_);
  }
  ~StatementFile() {
    std::error_code ignored;
    if (!kept_) std::filesystem::remove(path_, ignored);
  }
  StatementFile(const StatementFile&) = delete;
  StatementFile& operator=(const StatementFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  bool kept_;
  std::filesystem::path path_;
};

std::uint64_t dealt(const sluice::Stats& stats) {
  return stats.stages.front().workers.front().events_out;
}

std::uint64_t restarts_in(const sluice::Stats& stats) {
  std::uint64_t restarts = 0;
  for (const sluice::StageStats& stage : stats.stages)
    restarts += stage.restarts();
  return restarts;
}

// How much of the run is over, from 0 to 1.
double progress(const Options& options, const sluice::Stats& stats) {
  if (options.restarts > 0)
    return static_cast<double>(restarts_in(stats)) / static_cast<double>(options.restarts);
  return static_cast<double>(dealt(stats)) / static_cast<double>(options.entries);
}

// True if there was nothing to complain about.
bool report(const Options& options, const sluice::Stats& stats, const StatementFile& statement,
            const chaos_test::ResourceWatch& watch) {
  // After an interrupt, what has been drained must be right, but it is not all.
  std::vector<std::string> faults = ledger::audit(statement.path(), dealt(stats));
  if (progress(options, stats) < 1)
    faults.push_back(fmt::format("it ended after {} entries and {}, before its time", dealt(stats),
                                 sluice::detail::counted(restarts_in(stats), "restart")));
  for (const std::string& leak : watch.leaks())
    faults.push_back(leak);
  constexpr std::size_t kMost = 20;
  for (std::size_t i = 0; i < std::min(kMost, faults.size()); ++i)
    std::fputs(fmt::format("ledger: {}\n", faults[i]).c_str(), stderr);
  // Not by fmt::print, which would throw where nobody hears it.
  std::fputs(fmt::format("ledger: {} entries, {}, {}; {}\n", dealt(stats),
                         sluice::detail::counted(restarts_in(stats), "restart"),
                         sluice::detail::counted(faults.size(), "fault"), watch.summary())
                 .c_str(),
             stdout);
  return faults.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto status = parse(argc, argv, options)) return *status;
  try {
    const sluice::Settings settings = sluice::settings_from(options.standard);
    const StatementFile statement{options.out};
    sluice::Engine engine{ledger::pipeline(options.entries, statement.path()), settings};
    chaos_test::ResourceWatch watch;
    // On a busy machine all of them may be killed between two looks: their replacements fall to this process then, and
    // are not out of sight for good.
    if (options.restarts != 0) ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    bool draining = false;
    const int status = sluice::run(engine, options.standard, settings, [&] {
      const double share = watch.look([&] { return progress(options, engine.stats()); });
      if (options.restarts == 0 || share < 1 || draining) return;
      draining = true;
      engine.begin_drain();
    });
    if (status != sluice::kExitOk && !engine.interrupted()) return status;
    const bool right = report(options, engine.stats(), statement, watch);
    return sluice::flushed(right ? sluice::kExitOk : sluice::kExitFailed);
  } catch (const sluice::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return sluice::kExitUsage;
  }
}
