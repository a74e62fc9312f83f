// SPDX-License-Identifier: Apache-2.0
// sluice::main: a program around one pipeline, with the options that every Sluice program has.
//
//     int main(int argc, char** argv) { return sluice::main(argc, argv, pipeline); }
//
// A program with options of its own, a file to read say, hands its parser over as well (cli.hpp). One with an engine of its own
// adds these to its parser with add_standard_options (cli.hpp), and calls run(). The first SIGINT (Ctrl-C) drains; the first SIGTERM or SIGHUP parks with segment.path, and
// drains without; a second signal of any of these stops, unless it is the same one within 50 ms. A signal that is ignored when
// run() begins stays so.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <sluice/engine.hpp>
#include <sluice/executed_worker.hpp>

namespace sluice {

struct StandardOptions {
  std::vector<std::string> assignments;  // --set key=value
  std::string profile;                   // --profile
  bool placement = false;                // --placement: print where everything runs.
  bool quiet = false;                    // --quiet: no table.
  std::string chaos{};                   // --chaos, as parse_chaos() reads it; empty for none.
  // What the end says that the next start goes on with, where that is not Engine::kept_in().
  std::string kept_in{};
};

// The environment's settings, with those of the command line over them. With chaos, watchdog.drill is on, and a
// restart.budget that is as the profile has it becomes one that chaos does not use up. Throws Error for what is
// no setting or no value.
Settings settings_from(const StandardOptions& options);

// The exit statuses of a Sluice program.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // It failed; or a problem was reported, a letter or a worker given up.
inline constexpr int kExitUsage = 2;   // An option or a setting that cannot be.

// Starts the engine, which has not been started, and blocks until its end, with a table of the stages every
// stats.interval on a terminal and one at the end, and the handlers' problems on stderr, and what chaos did
// if it was asked for. `tick` is called by this thread, after waits of `tick_every` and of 50 ms at most. Takes SIGINT, SIGTERM and SIGHUP
// over meanwhile and gives their handlers back. Catches Errors and prints them; `on_error` is told, too. Gives an exit
// status: of a run that was interrupted (Engine::interrupted()) it is 128 and the signal that asked for it, as a shell says it, and
// SIGINT's, 130, when an operator did. One call at a time in a process.
int run(Engine& engine, const StandardOptions& options, const Settings& settings,
        const std::function<void()>& tick = {}, const std::function<void(const Error&)>& on_error = {},
        std::chrono::nanoseconds tick_every = std::chrono::milliseconds{2});

// The signal that asked the last run() of this process to end, or 0 if none did.
int interrupted_by();

// Writes out what is left of standard output: the status, or kExitFailed when that could not be written, which
// is then said. For the end of main().
int flushed(int status);

// The whole program, for main() to return: reads the command line and the environment, then run(). The
// pipeline has sources, and neither inlets nor outlets: those are for a host. Gives an exit status; throws no
// Error.
int main(int argc, char** argv, const Pipeline& pipeline);

// The same for a program that hands its pipeline over as a function: executed_worker() comes first. It has no other options and
// arguments than the standard ones: cli.hpp is for those. What `build` throws is told as a misuse.
//
//     int main(int argc, char** argv) { return sluice::main(argc, argv, parse); }
int main(int argc, char** argv, const std::function<Pipeline(int argc, char** argv)>& build);

}  // namespace sluice
