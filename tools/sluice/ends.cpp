// SPDX-License-Identifier: Apache-2.0
// `sluice park` and `sluice drain`: an operator asks a running pipeline to come to an end, and waits for it.

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <fmt/format.h>

#include <sluice/observer.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "presence.hpp"

namespace sluice::command {
namespace {

std::string in_words(End end) {
  switch (end) {
    case End::finished:
      return "finished: it came to its own end";
    case End::drained:
      return "drained: everything that was accepted is handled";
    case End::parked:
      return "parked: the next start goes on there";
    case End::stopped:
      return "stopped: it was ended at once, meanwhile";
    default:
      return "failed: its program says why";
  }
}

// It may last for ever, as with a host that waits for input of its own.
void tell_that_it_lasts(const std::string& pipeline) {
  std::fprintf(stderr,
               "sluice: %s has not ended yet: a batch or the outside takes its time,\n  or its host waits, "
               "whose next push ends an inlet; `sluice stats` says more\n",
               printable(pipeline).c_str());
}

void end(const std::string& pipeline, bool park) {
  constexpr std::chrono::milliseconds kLook{20};
  constexpr int kLooksUntilWord = 250;
  const Observer observer = Observer::attach(pipeline);
  Presence processes{pipeline};
  try {
    park ? ask_to_park(pipeline) : ask_to_drain(pipeline);
  } catch (const std::exception&) {
    // It may have come to an end at this moment, which is told below.
    if (!observer.over()) throw;
  }
  for (int look = 1; !observer.over(); ++look) {
    if (look == kLooksUntilWord) tell_that_it_lasts(observer.pipeline());
    if (processes.gone() && !observer.over()) throw std::runtime_error{Presence::kGone};
    std::this_thread::sleep_for(kLook);
  }
  const End how = observer.end();
  print(fmt::format("{}: {}\n", printable(observer.pipeline()), in_words(how)));
  if (how == End::failed || how == End::stopped)
    throw std::runtime_error{"it did not end as it was asked to"};
}

void add(CLI::App& program, const char* name, const char* what, const char* more, bool park) {
  CLI::App* command = program.add_subcommand(name, what);
  const auto pipeline = std::make_shared<std::string>();
  command->add_option("pipeline", *pipeline, "Its name, or the path of its socket (observe.socket)")
      ->type_name("NAME|SOCKET")
      ->check(not_empty())
      ->required();
  end_help(*command, more,
           park ? std::array{"sluice park market", "sluice park /run/market/observe.sock",
                             "sluice park market && echo it is kept"}
                : std::array{"sluice drain market", "sluice drain /run/market/observe.sock",
                             "sluice drain market && sluice ps"});
  command->callback([pipeline, park] { end(*pipeline, park); });
}

}  // namespace

void add_ends(CLI::App& program) {
  add(program, "park", "Stop a running pipeline at its next commit and keep everything",
      "Waits until it has ended. Without segment.path there is nothing to keep it in: it drains then.", true);
  add(program, "drain", "Let a running pipeline handle what it has accepted, and end",
      "Waits until it has ended. Sources end where they are; inlets say `ended` from the next push on.",
      false);
}

}  // namespace sluice::command
