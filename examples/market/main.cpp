// SPDX-License-Identifier: Apache-2.0
// market: exchange captures in, counts, trades, bars, books and tickers out, exactly once whatever dies.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/printable.hpp>
#include <sluice/sluice.hpp>

#include "market/drill.hpp"
#include "market/market_pipeline.hpp"
#include "market/output_files.hpp"
#include "market/stdin_feed.hpp"
#include "market/write_stage.hpp"

namespace {

constexpr std::int64_t kMostKills = 1'000'000;
constexpr double kMostMilliseconds = 86'400'000;  // A day.

struct Options {
  std::vector<std::string> inputs;
  std::string out;
  market::DrillOptions drill;
  double kill_every_ms = 6;
  sluice::StandardOptions standard;
};

// The exit status when the options end the program, otherwise nothing.
std::optional<int> parse(int argc, char** argv, Options& options) {
  CLI::App app{
      "Turns captures of exchange feeds into event counts, trades, one-second bars,\n"
      "order books and last tickers, in a pipeline of worker processes that can be\n"
      "killed at any instant without a difference.",
      "market"};
  app.set_version_flag("--version", "market of Sluice " SLUICE_VERSION, "Print the version and exit");
  app.add_option("--input", options.inputs,
                 "Captures: recorder files VENUE_SYMBOL_DAY.gz,\n"
                 "merged files, or - for standard input; plain, gzip\nor zstd")
      ->required()
      ->type_name("FILE");
  app.add_option("--out", options.out, "Directory for the .tsv files")->required()->type_name("DIR");
  app.add_option("--kill", options.drill.kills, "Kill a random worker this many times (SIGKILL)")
      ->check(sluice::detail::count_between(0, kMostKills))
      ->type_name("N");
  app.add_option("--kill-every", options.kill_every_ms, "Average time between two kills, milliseconds")
      ->check(sluice::detail::number_between(0.001, kMostMilliseconds))
      ->capture_default_str()
      ->type_name("MS");
  app.add_flag("--stall", options.drill.stall, "Make one worker hang, for the watchdog to end it");
  options.drill.seed = std::random_device{}();
  app.add_option("--seed", options.drill.seed, "Seed of the kills; random unless given")
      ->check(sluice::detail::count_between(0))
      ->type_name("N");
  sluice::add_standard_options(app, options.standard);
  app.footer(
      "Stages: read parse book bars tickers counts write.\n"
      "\n"
      "Examples:\n"
      "  market --input captures/*.gz --out answers\n"
      "  market --input captures/*.gz --out answers --set stage.parse.workers=4\n"
      "  market --input captures/*.gz --out answers --quiet --kill 100");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return sluice::end_of_parse(app, error);
  }
  options.drill.kill_every = std::chrono::nanoseconds{static_cast<std::int64_t>(options.kill_every_ms * 1e6)};
  return std::nullopt;
}

sluice::Settings settings_for(const Options& options) {
  sluice::Settings settings = sluice::settings_from(options.standard);
  if (options.drill.kills > 0) {
    // The kills are meant: they must not look like a worker that cannot be kept alive.
    const std::uint64_t budget = settings.count("restart.budget") + options.drill.kills;
    settings.set("restart.budget", fmt::format("{}", budget), sluice::Origin::command_line);
  }
  if (options.drill.stall) settings.set("watchdog.drill", "yes", sluice::Origin::command_line);
  return settings;
}

void print_summary(const sluice::Stats& stats, const market::Drill& drill, double seconds) {
  std::uint64_t lines = 0;
  std::uint64_t written = 0;
  for (const sluice::StageStats& stage : stats.stages) {
    if (stage.name == "parse") lines = stage.events_in();
    if (stage.name == "write") written = stage.events_in();
  }
  const std::string text =
      drill.report(stats) + fmt::format("market: {} events, {} rows, {:.2f} s, {:.1f} k events/s\n", lines,
                                        written, seconds, static_cast<double>(lines) / seconds / 1000);
  std::fputs(text.c_str(), stdout);
}

int problem(const std::string& text) {
  std::fprintf(stderr, "problem: %s\n", sluice::printable(text).c_str());
  return sluice::kExitFailed;
}

// Publishes what a run has written, if all its input came to its end, and says by its status if it did not. A drain may have
// been asked for when it just had.
int publish_answers(const Options& options, sluice::End end, int status) {
  // The next start goes on with it.
  if (end == sluice::End::parked) return status;
  const bool handled = end == sluice::End::finished || end == sluice::End::drained;
  if (handled && market::are_written(options.out)) {
    market::publish(options.out);
    return status;
  }
  const int failed = problem(fmt::format("no answers were written into {}", options.out));
  // A shell says 128 and the signal of what a signal has ended.
  constexpr int kSignalled = 128;
  return sluice::interrupted_by() != 0 ? kSignalled + sluice::interrupted_by() : failed;
}

int run(const Options& options, const sluice::Settings& settings, market::StdinFeed* feed,
        sluice::Engine& engine) {
  market::Drill drill{engine, options.drill};
  const auto start = std::chrono::steady_clock::now();
  int status = sluice::run(engine, options.standard, settings, [&] {
    drill.tick();
    if (feed != nullptr) feed->feed(engine);
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  print_summary(engine.stats(), drill, taken.count());
  if (feed != nullptr && !feed->failure().empty()) status = problem(feed->failure());
  status = publish_answers(options, engine.end(), status);
  // A pipeline that is kept goes on in its parts.
  std::error_code error;
  if (engine.end() == sluice::End::finished || !std::filesystem::exists(engine.kept_in(), error))
    market::remove_parts(options.out);
  return status;
}

int run(const Options& options) {
  int status_of_error = sluice::kExitUsage;
  try {
    const sluice::Settings settings = settings_for(options);
    status_of_error = sluice::kExitFailed;
    constexpr std::uint64_t kHeadBytes = 256;  // More than what travels beside a line.
    const market::MarketInput input{options.inputs, settings.bytes("lane.bytes", "parse") - kHeadBytes};
    std::optional<market::StdinFeed> feed;
    if (market::is_fed_by_the_host(input)) feed.emplace(input.paths, input.max_line_bytes);
    market::prepare_output(options.out);
    const market::OutputLock lock{options.out};
    const sluice::Pipeline pipeline =
        market::market_pipeline(input, options.out, lock.descriptor(), settings);
    status_of_error = sluice::kExitUsage;  // What the engine refuses before its start are settings.
    sluice::Engine engine{pipeline, settings};
    status_of_error = sluice::kExitFailed;
    return run(options, settings, feed ? &*feed : nullptr, engine);
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "error: %s\n", sluice::printable_message(error.what()).c_str());
    return status_of_error;
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto status = parse(argc, argv, options)) return *status;
  return sluice::flushed(run(options));
}
