// SPDX-License-Identifier: Apache-2.0
// market: exchange captures in, counts, trades, bars, books and tickers out, exactly once whatever dies.
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/sluice.hpp>

#include "market/drill.hpp"
#include "market/market_pipeline.hpp"
#include "market/output_files.hpp"
#include "market/stdin_feed.hpp"
#include "market/write_stage.hpp"

namespace {

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
      "Turns captures of exchange feeds into event counts, trades, one-second bars, order books and last\n"
      "tickers, in a pipeline of worker processes that can be killed at any instant without a difference."};
  app.add_option(
         "--input", options.inputs,
         "Captures: recorder files VENUE_SYMBOL_DAY.gz, merged files, or - for standard input; plain, "
         "gzip or zstd")
      ->required()
      ->type_name("FILE...");
  app.add_option("--out", options.out, "Directory for the .tsv files")->required()->type_name("DIR");
  app.add_option("--kill", options.drill.kills, "Kill a random worker with SIGKILL this many times")
      ->type_name("N");
  app.add_option("--kill-every", options.kill_every_ms, "Average time between two kills, in milliseconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->type_name("MS");
  app.add_flag("--stall", options.drill.stall, "Make one worker hang, for the watchdog to end it");
  options.drill.seed = std::random_device{}();
  app.add_option("--seed", options.drill.seed, "Seed of the kills; random unless given")->type_name("N");
  sluice::add_standard_options(app, options.standard);
  app.footer(
      "Workers of a stage: --set stage.parse.workers=4; stages: read parse book bars tickers counts write.\n"
      "All settings: sluice config keys");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? sluice::kExitOk : sluice::kExitUsage;
  }
  options.drill.kill_every = std::chrono::nanoseconds{static_cast<std::int64_t>(options.kill_every_ms * 1e6)};
  if (options.inputs.size() > 1 &&
      std::find(options.inputs.begin(), options.inputs.end(), "-") != options.inputs.end()) {
    std::fputs("error: standard input (-) cannot be read beside files; name it alone\n", stderr);
    return sluice::kExitUsage;
  }
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
  fmt::print("{}", drill.report(stats));
  fmt::print("market: {} events, {} rows, {:.2f} s, {:.1f} k events/s\n", lines, written, seconds,
             static_cast<double>(lines) / seconds / 1000);
}

int run(const Options& options, const sluice::Settings& settings, const market::MarketInput& input,
        sluice::Engine& engine) {
  market::Drill drill{engine, options.drill};
  std::unique_ptr<market::StdinFeed> feed;
  const auto start = std::chrono::steady_clock::now();
  int status = sluice::run(engine, options.standard, settings, [&] {
    drill.tick();
    if (!market::is_standard_input(input)) return;
    if (feed == nullptr) feed = std::make_unique<market::StdinFeed>(engine, input.max_line_bytes);
    feed->feed();
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  print_summary(engine.stats(), drill, taken.count());
  if (feed != nullptr && !feed->failure().empty()) {
    fmt::print(stderr, "problem: {}\n", feed->failure());
    status = sluice::kExitFailed;
  }
  if (status == sluice::kExitOk) market::remove_parts(options.out);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto status = parse(argc, argv, options)) return *status;
  int status_of_error = sluice::kExitUsage;
  try {
    const sluice::Settings settings = settings_for(options);
    status_of_error = sluice::kExitFailed;
    constexpr std::uint64_t kHeadBytes = 256;  // More than what travels beside a line.
    const market::MarketInput input{options.inputs, settings.bytes("lane.bytes", "parse") - kHeadBytes};
    market::prepare_output(options.out);
    const sluice::Pipeline pipeline = market::market_pipeline(input, options.out, settings);
    status_of_error = sluice::kExitUsage;  // What the engine refuses before its start are settings.
    sluice::Engine engine{pipeline, settings};
    return run(options, settings, input, engine);
  } catch (const sluice::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return status_of_error;
  }
}
