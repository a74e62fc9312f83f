// SPDX-License-Identifier: Apache-2.0
#include "host/plan_answer.hpp"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/request_text.hpp>

#include "graph/loose_ends.hpp"
#include "host/restore.hpp"
#include "layout/placement.hpp"
#include "layout/worker_counts.hpp"

namespace sluice::detail {
namespace {

// The pipe whose number is in the variable; none if that is no pipe.
Descriptor pipe_named(std::string_view number) {
  int fd = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
  struct stat found {};
  const bool is_pipe = error == std::errc{} && end == number.data() + number.size() && fd > 2 &&
                       ::fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
  return Descriptor{is_pipe ? fd : -1};
}

bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

void answer_plan(const Graph& graph, const Settings& settings) {
  const char* number = std::getenv(kPlanVariable);
  if (number == nullptr) return;
  // As many workers as there are cores are those of the machine that is planned for.
  const PipelineSettings asked = resolve(settings, graph);
  const PipelineSettings counted = with_worker_counts(graph, asked, kept_shape(settings));
  pinning::PlanRequest request = request_of(graph, lay_out(graph, counted), counted);
  for (const std::size_t stage : takers_of_cores(counted))
    request.stages[stage].workers = pinning::kCores;
  // Asked once: the number may be another file's from now on.
  static bool answered = false;
  if (!answered) {
    answered = true;
    const Descriptor pipe = pipe_named(number);
    std::string answer = pinning::request_text(request);
    for (const std::string& text : loose_ends(graph))
      answer.append(kPlanRemark).append(text).append("\n");
    if (!pipe || !write_whole(pipe.get(), answer)) {
      throw Error{{"hand out the plan of", graph.name, pipe ? errno_text() : "there is no such pipe",
                   std::string{"unset "} + kPlanVariable}};
    }
  }
  throw Error{{"start the pipeline", graph.name, "only its plan was asked for",
               std::string{"unset "} + kPlanVariable}};
}

}  // namespace sluice::detail
