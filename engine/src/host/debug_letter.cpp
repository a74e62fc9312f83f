// SPDX-License-Identifier: Apache-2.0
#include "host/debug_letter.hpp"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "host/host.hpp"
#include "host/resume.hpp"
#include "worker/letters_there.hpp"
#include "worker/only_debugs.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {
namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw Error{{"handle the dead letter in", file, why, "run it by `sluice dead debug`"}};
}

DeadLetter letter_asked_for(const std::string& file) {
  const char* text = std::getenv(kDebugOffsetVariable);
  const std::string_view number = text == nullptr ? "" : text;
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), offset);
  if (error != std::errc{} || end != number.data() + number.size())
    refuse(file, fmt::format("{} is no number", kDebugOffsetVariable));
  return letter_at(file, offset);
}

// A file of its own in memory, in which it is new: whether it was retried does not matter here.
Descriptor file_of(DeadLetter letter) {
  letter.retried_by = 0;
  letter.time = std::chrono::system_clock::now() - std::chrono::seconds{1};
  const std::string bytes = encode(letter);
  Descriptor file{::memfd_create("sluice-letter", MFD_CLOEXEC)};
  if (!file || ::pwrite(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error{{"hold the dead letter of", letter.stage, errno_text(), ""}};
  return file;
}

// For a worker that is alone: what it waits for does not come.
struct Alone final : Waiter {
  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds) override {
    if (ready()) return ipc::Woken::ready;
    throw Error{{"handle the dead letter", "under a debugger",
                 "a lane is full: it makes more events than fit", "raise lane.slots or lane.bytes"}};
  }
  void wait_briefly(const std::function<bool()>&, std::chrono::nanoseconds) override {}
  void pause(std::chrono::nanoseconds) override {}
};

Settings alone(Settings settings, const Descriptor& letter) {
  for (const char* kept : {"segment.path", "checkpoint.path"})
    settings.set(kept, "", Origin::command_line);
  settings.set("poison.retry", fmt::format("/proc/self/fd/{}", letter.get()), Origin::command_line);
  return settings;
}

}  // namespace

void debug_letter(const Graph& graph, const Settings& settings) {
  const char* const file = std::getenv(kDebugFileVariable);
  if (file == nullptr) return;
  const DeadLetter letter = letter_asked_for(file);
  const Descriptor copy = file_of(letter);
  Host host{graph, alone(settings, copy)};  // Refuses what has no place in this pipeline.
  const Wiring& wiring = host.wiring();
  wiring.segment().own_everything();
  draw_hash_seed(wiring);
  const std::string name = fmt::format("{}/{}", letter.stage, letter.replica);
  Alone waiter;
  for (const WorkerIndex index : wiring.workers()) {
    if (wiring.name(index) != name) continue;
    // relaxed: one thread.
    wiring.worker(index).control().incarnation.store(1, std::memory_order_relaxed);
    std::optional<WorkerLoop> loop;
    loop.emplace(wiring, index, waiter);
    for (bool goes_on = true; goes_on;) {
      try {
        goes_on = loop->step() == WorkerLoop::Step::worked;
      } catch (const DoAgain&) {
        loop.emplace(wiring, index, waiter);
      }
    }
    const std::uint64_t made = wiring.worker(index).cursors()[kEventsOut].load(std::memory_order_relaxed);
    throw Error{
        {"start the pipeline", graph.name,
         fmt::format("only a dead letter of {} was to be handled: its handler has not died, and made {} "
                     "events of it",
                     name, made),
         "its state was new: look at what it had been told before"}};
  }
  refuse(file, "this pipeline has no worker " + name);
}

}  // namespace sluice::detail
