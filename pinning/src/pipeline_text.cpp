// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/pipeline_text.hpp>

namespace sluice::pinning {
namespace {

constexpr std::string_view kHostName = "host";
constexpr std::string_view kCoresName = "cores";
constexpr unsigned kMostInText = 65536;  // Of workers or threads: more is a slip of the pen.

class Reader {
 public:
  explicit Reader(std::string_view text) : text_{text} {}

  PlanRequest read() {
    while (skip_blanks()) {
      const std::size_t end = std::min(text_.find_first_of(" \t\n", at_), text_.size());
      word(text_.substr(at_, end - at_));
      at_ = end;
    }
    if (request_.stages.empty()) refuse(0, "it has no stage");
    return std::move(request_);
  }

 private:
  [[noreturn]] void refuse(std::size_t at, std::string why) const {
    throw Error{
        {.tried = fmt::format("read the pipeline, at character {} of", at + 1),
         .object = fmt::format("\"{}\"", text_),
         .why = std::move(why),
         .remedy =
             "write stages and, behind them, flows: \"read:1 parse:4x2 book:4 read>parse parse=>book\""}};
  }

  bool skip_blanks() {
    at_ = std::min(text_.find_first_not_of(" \t\n", at_), text_.size());
    return at_ < text_.size();
  }

  void word(std::string_view word) {
    if (word.find('>') != std::string_view::npos) {
      flow(word);
    } else {
      stage(word);
    }
  }

  // `or_else` is what could stand there besides.
  unsigned number(std::string_view digits, std::string_view word, std::string_view or_else) const {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size() || value == 0 || value > kMostInText) {
      refuse(at_, fmt::format("\"{}\" in \"{}\" is no number{} from 1 to {}{}", digits, word,
                              or_else.empty() ? " of threads" : "", kMostInText, or_else));
    }
    return value;
  }

  void stage(std::string_view word) {
    const std::size_t colon = word.find(':');
    StageRequest stage{.name = std::string{word.substr(0, colon)}};
    if (stage.name.empty()) refuse(at_, "a stage has no name");
    if (stage.name == kHostName) refuse(at_, "host is no stage: it stands in flows only");
    if (find(stage.name) != request_.stages.size())
      refuse(at_, fmt::format("there are two stages \"{}\"", stage.name));
    if (!request_.flows.empty()) refuse(at_, "a stage stands behind a flow: write all stages first");
    if (colon != std::string_view::npos) {
      const std::string_view size = word.substr(colon + 1);
      const std::size_t times = size.find('x');
      const std::string_view workers = size.substr(0, times);
      stage.workers = workers == kCoresName ? kCores : number(workers, word, ", nor cores");
      if (times != std::string_view::npos) stage.threads = number(size.substr(times + 1), word, "");
    }
    request_.stages.push_back(std::move(stage));
  }

  std::size_t find(std::string_view name) const {
    return static_cast<std::size_t>(
        std::find_if(request_.stages.begin(), request_.stages.end(),
                     [&](const StageRequest& each) { return each.name == name; }) -
        request_.stages.begin());
  }

  std::size_t end_of_flow(std::string_view name) const {
    if (name == kHostName) return kHost;
    const std::size_t stage = find(name);
    if (stage == request_.stages.size()) refuse(at_, fmt::format("there is no stage \"{}\"", name));
    return stage;
  }

  // Whether events of `stage` reach `to` by the flows so far, none of which closes a circle.
  bool leads(std::size_t stage, std::size_t to) const {
    std::vector<bool> reached(request_.stages.size(), false);
    std::vector<std::size_t> next{stage};
    while (!next.empty()) {
      const std::size_t at = next.back();
      next.pop_back();
      if (at == to) return true;
      if (at == kHost || reached[at]) continue;
      reached[at] = true;
      for (const Flow& flow : request_.flows) {
        if (flow.from == at) next.push_back(flow.to);
      }
    }
    return false;
  }

  void flow(std::string_view word) {
    const std::size_t arrow = word.find('>');
    std::string_view from = word.substr(0, arrow);
    Flow flow;
    if (from.ends_with('=')) flow.traffic = Traffic::broadcast;
    if (from.ends_with('~')) flow.traffic = Traffic::one_to_one;
    if (flow.traffic != Traffic::routed) from.remove_suffix(1);
    std::string_view to = word.substr(arrow + 1);
    if (const std::size_t at = to.find('@'); at != std::string_view::npos) {
      const std::string_view rate = to.substr(at + 1);
      const auto [end, error] = std::from_chars(rate.data(), rate.data() + rate.size(), flow.rate);
      if (error != std::errc{} || end != rate.data() + rate.size() || !std::isfinite(flow.rate) ||
          flow.rate < 0)
        refuse(at_, fmt::format("\"{}\" in \"{}\" is no rate", rate, word));
      to = to.substr(0, at);
    }
    flow.from = end_of_flow(from);
    flow.to = end_of_flow(to);
    if (flow.from == kHost && flow.to == kHost) refuse(at_, "the host feeds stages, and not itself");
    if (flow.from != kHost && flow.to != kHost && leads(flow.to, flow.from))
      refuse(at_, fmt::format("\"{}\" closes a circle: events go one way", word));
    request_.flows.push_back(std::move(flow));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  PlanRequest request_;
};

}  // namespace

PlanRequest parse_pipeline(std::string_view text) {
  return Reader{text}.read();
}

std::string pipeline_text(const PlanRequest& request) {
  std::string text;
  for (const StageRequest& stage : request.stages) {
    text += fmt::format("{}{}:", text.empty() ? "" : " ", stage.name);
    text += stage.workers == kCores ? std::string{kCoresName} : fmt::format("{}", stage.workers);
    if (stage.threads > 1) text += fmt::format("x{}", stage.threads);
  }
  const auto name = [&](std::size_t end) {
    return end == kHost ? std::string{kHostName} : request.stages[end].name;
  };
  for (const Flow& flow : request.flows) {
    const std::string_view arrow = flow.traffic == Traffic::broadcast    ? "=>"
                                   : flow.traffic == Traffic::one_to_one ? "~>"
                                                                         : ">";
    text += fmt::format(" {}{}{}", name(flow.from), arrow, name(flow.to));
    if (flow.rate > 0) text += fmt::format("@{}", flow.rate);
  }
  return text;
}

}  // namespace sluice::pinning
