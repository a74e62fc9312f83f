// SPDX-License-Identifier: Apache-2.0
// The program that was executed anew to become a worker: worker/executed_life.hpp draws how it comes to that.
//
// It ends as a worker does, by _exit() or by a signal: whoever started the program is not its parent.
#include "sluice/executed_worker.hpp"

#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/far_fence.hpp>
#include <sluice/ipc/segment_shape.hpp>

#include "death/crash_note.hpp"
#include "death/death.hpp"
#include "death/own_code.hpp"
#include "host/host.hpp"
#include "layout/shape.hpp"
#include "master/mm_pin.hpp"
#include "worker/executed_life.hpp"
#include "worker/executed_program.hpp"
#include "worker/worker_process.hpp"

namespace sluice {

using namespace detail;

namespace {

// The control block of its own region, for its last words while there is no pipeline yet.
class LastWords {
 public:
  explicit LastWords(const ExecutedLife& life) noexcept {
    void* const mapped = ::mmap(nullptr, sizeof(ipc::Control), PROT_READ | PROT_WRITE, MAP_SHARED,
                                life.memory[life.region.file], static_cast<off_t>(life.region.first_byte));
    if (mapped != MAP_FAILED) control_ = static_cast<ipc::Control*>(mapped);
  }
  // Trying again may end otherwise: the budget of restarts says how often.
  [[noreturn]] void fail(const std::string& why) noexcept { end(ipc::Activity::failed, why, kExitNotAnew); }
  // It would not.
  [[noreturn]] void give_up(const std::string& why) noexcept {
    end(ipc::Activity::hopeless, why, kExitHopeless);
  }
  // The region's owner has it by its segment from now on.
  void unmap() noexcept {
    if (control_ != nullptr) ::munmap(control_, sizeof(ipc::Control));
    control_ = nullptr;
  }

 private:
  [[noreturn]] void end(ipc::Activity activity, const std::string& why, int status) noexcept {
    if (control_ != nullptr) leave_message(*control_, activity, why.c_str());
    ::_exit(status);
  }
  ipc::Control* control_ = nullptr;
};

// What each process of a pipeline has from before its fork, made again.
struct Executed {
  Executed(const Pipeline& pipeline, const ExecutedLife& told)
      : graph{pipeline.graph()}, settings{settings_for(graph, told)}, layout{lay_out(graph, settings)} {}

  static PipelineSettings settings_for(const Graph& graph, const ExecutedLife& told) {
    PipelineSettings settings = resolve(settings_of(told.made.settings), graph);
    std::size_t at = 0;
    for (StageSettings& node : settings.nodes) {
      if (at < told.made.workers.size()) node.workers = told.made.workers[at];
      ++at;
    }
    return settings;
  }

  Graph graph;
  PipelineSettings settings;
  Layout layout;
};

std::string what_differs(const Executed& executed, const ExecutedLife& told) {
  return ipc::shape_difference(told.made.shape, shape_of(executed.graph, executed.layout, executed.settings));
}

Doorbells bells_of(const ExecutedLife& told) {
  Doorbells bells;
  for (const int fd : told.bells)
    bells.processes.push_back(ipc::Doorbell{fd});
  for (const int fd : told.end_bells)
    bells.ends.emplace_back(fd);
  return bells;
}

[[noreturn]] void work(Executed& executed, const ExecutedLife& told, LastWords& words) {
  ipc::join_far_fences();
  ipc::Segment segment{executed.graph.name, region_specs(executed.layout),
                       ipc::ForeignMemory{.fd = told.memory[0],
                                          .first_byte = told.segment_begins,
                                          .huge_fds = {told.memory[1], told.memory[2]},
                                          .huge = told.huge,
                                          .named = told.named != 0}};
  segment.close_files();
  keep_out_of_cores(executed.layout, executed.settings, segment);
  const Doorbells bells = bells_of(told);
  const std::filesystem::path reports = told.reports;
  Wiring wiring{executed.graph, executed.layout, executed.settings, segment, bells, reports};
  wiring.started_at(static_cast<std::uint32_t>(told.start));
  prepare_worker(wiring);
  prepare_crash_notes();
  code_of_master_begins(told.code_begins);
  words.unmap();
  start_mm_pin();
  run_worker(wiring, told.place, WorkerIndex{told.worker}, Region::taken);
}

[[noreturn]] void become_worker(const ExecutedLife& told, int argc, char** argv,
                                const std::function<Pipeline(int, char**)>& build) {
  LastWords words{told};
  // Everybody may see what it is by now; the kernel took its name from the path that was executed.
  begin_command_lines(told.pipeline);
  set_worker_name(told.pipeline, told.name);
  const auto refuse = [&words](std::string_view what, std::string_view why) {
    words.fail(fmt::format("executed anew, it could not {}: {}", what, why));
  };
  std::unique_ptr<Executed> executed;
  try {
    executed = std::make_unique<Executed>(build(argc, argv), told);
  } catch (const std::exception& error) {
    refuse("make its pipeline", error.what());
  } catch (...) {
    refuse("make its pipeline", "the function that makes it threw something that is no std::exception");
  }
  if (const std::string difference = what_differs(*executed, told); !difference.empty()) {
    words.give_up(
        fmt::format("executed anew, the program makes another pipeline than it was started with: {}; "
                    "hand executed_worker() a function that makes the same one each time",
                    difference));
  }
  try {
    work(*executed, told, words);
  } catch (const std::exception& error) {
    refuse("take the worker over", error.what());
  }
  ::_exit(kExitNotAnew);
}

// The number behind the last argument, if it is ours; -1 if it is not.
int life_argument(int argc, char** argv) {
  const std::string_view last = argc > 1 ? argv[argc - 1] : "";
  if (!last.starts_with(kLifeArgument)) return -1;
  int fd = -1;
  const std::string_view number = last.substr(kLifeArgument.size());
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
  return error == std::errc{} && end == number.data() + number.size() ? fd : -1;
}

}  // namespace

void executed_worker(int argc, char** argv, const std::function<Pipeline(int, char**)>& build) {
  refuse_no_function(build, "make the pipeline of", program_invocation_short_name);
  const int fd = life_argument(argc, argv);
  if (const auto told = fd > STDERR_FILENO ? life_in(fd) : std::nullopt) {
    ::close(fd);
    for (const int kept : descriptors_of(*told))
      ::fcntl(kept, F_SETFD, FD_CLOEXEC);
    argv[argc - 1] = nullptr;
    become_worker(*told, argc - 1, argv, build);
  }
  remember_program({argv, argv + argc});
}

}  // namespace sluice
