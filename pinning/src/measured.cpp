// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/measured.hpp>

#include "lanes.hpp"

namespace sluice::pinning {
namespace {

constexpr std::string_view kTheHost = "host";

// How often an event of the flow is carried: once to each worker of a broadcast.
double copies_in(const PlanRequest& request, const Flow& flow) {
  if (flow.traffic != Traffic::broadcast || flow.to == kHost || request.stages[flow.to].workers == kCores)
    return 1;
  return request.stages[flow.to].workers;
}

class MeasuredReader {
 public:
  MeasuredReader(PlanRequest request, std::string_view text) : request_{std::move(request)}, text_{text} {
    request_.flows = flows_of(request_);
  }

  PlanRequest read() {
    for (std::size_t at = 0; (at = text_.find_first_not_of(" \t\n", at)) != std::string_view::npos;) {
      at_ = at;
      const std::size_t end = std::min(text_.find_first_of(" \t\n", at), text_.size());
      word(text_.substr(at, end - at));
      at = end;
    }
    return std::move(request_);
  }

 private:
  [[noreturn]] void refuse(std::string why) const {
    throw Error{{.tried = fmt::format("read placement.measured, at character {} of", at_ + 1),
                 .object = fmt::format("\"{}\"", text_),
                 .why = std::move(why),
                 .remedy = "have `sluice stats --measured` write it anew, or leave it empty"}};
  }

  void word(std::string_view word) {
    const std::size_t mark = word.find('@');
    if (mark == std::string_view::npos) refuse(fmt::format("\"{}\" has no @ with a number behind it", word));
    double value = 0;
    const std::string_view digits = word.substr(mark + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(value) || value < 0)
      refuse(fmt::format("\"{}\" in \"{}\" is no number", digits, word));
    const std::string_view what = word.substr(0, mark);
    const std::size_t arrow = what.find('>');
    if (arrow == std::string_view::npos) {
      request_.stages[stage(what)].load = value;
    } else {
      flow(what, end_of_flow(what.substr(0, arrow)), end_of_flow(what.substr(arrow + 1)), value);
    }
  }

  std::size_t stage(std::string_view name) const {
    const auto found = std::find_if(request_.stages.begin(), request_.stages.end(),
                                    [&](const StageRequest& each) { return each.name == name; });
    if (found == request_.stages.end()) refuse(fmt::format("the pipeline has no stage \"{}\"", name));
    return static_cast<std::size_t>(found - request_.stages.begin());
  }

  std::size_t end_of_flow(std::string_view name) const { return name == kTheHost ? kHost : stage(name); }

  // Several inlets into one stage are one flow of the text.
  void flow(std::string_view name, std::size_t from, std::size_t to, double rate) {
    std::vector<Flow*> found;
    for (Flow& each : request_.flows) {
      if (each.from == from && each.to == to) found.push_back(&each);
    }
    if (found.empty()) refuse(fmt::format("the pipeline has no flow \"{}\"", name));
    for (Flow* each : found)
      each->rate = rate / static_cast<double>(found.size()) / copies_in(request_, *each);
  }

  PlanRequest request_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

PlanRequest with_measured(PlanRequest request, std::string_view text) {
  if (text.find_first_not_of(" \t\n") == std::string_view::npos) return request;
  return MeasuredReader{std::move(request), text}.read();
}

std::string measured_text(const PlanRequest& request) {
  std::vector<std::string> words;
  for (const StageRequest& stage : request.stages) {
    if (stage.load > 0) words.push_back(fmt::format("{}@{:.3g}", stage.name, stage.load));
  }
  const auto name = [&](std::size_t end) {
    return end == kHost ? std::string{kTheHost} : request.stages[end].name;
  };
  for (const Flow& flow : request.flows) {
    if (flow.rate > 0) {
      words.push_back(
          fmt::format("{}>{}@{:.3g}", name(flow.from), name(flow.to), flow.rate * copies_in(request, flow)));
    }
  }
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace sluice::pinning
