// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/pipeline_text.hpp>
#include <sluice/pinning/request_text.hpp>

namespace sluice::pinning {
namespace {

// Up to the mark, which goes with it.
std::string_view cut(std::string_view& text, char mark) {
  const std::string_view head = text.substr(0, text.find(mark));
  text.remove_prefix(std::min(head.size() + 1, text.size()));
  return head;
}

class Reader {
 public:
  PlanRequest read(std::string_view text) {
    while (!text.empty())
      line(cut(text, '\n'));
    if (request_.stages.empty()) refuse("", "no line has the pipeline");
    return std::move(request_);
  }

 private:
  [[noreturn]] static void refuse(std::string_view line, std::string why) {
    throw Error{{.tried = "read what the program says of its pipeline",
                 .object = fmt::format("\"{}\"", line),
                 .why = std::move(why),
                 .remedy = "build the program with the Sluice of this command"}};
  }

  StageRequest& stage(std::string_view line, std::string_view name) {
    const auto found = std::find_if(request_.stages.begin(), request_.stages.end(),
                                    [&](const StageRequest& each) { return each.name == name; });
    if (found == request_.stages.end()) refuse(line, fmt::format("there is no stage \"{}\"", name));
    return *found;
  }

  static std::uint64_t number(std::string_view line, std::string_view digits) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size())
      refuse(line, fmt::format("\"{}\" is no number", digits));
    return value;
  }

  void line(std::string_view line) {
    std::string_view rest = line;
    const std::string_view key = cut(rest, ' ');
    if (key == "pipeline") {
      request_ = parse_pipeline(rest);
    } else if (key == "policy") {
      request_.policy = parse_policy(rest);
    } else if (key == "place") {
      const std::string_view name = cut(rest, ' ');
      stage(line, name).place = rest;
    } else if (key == "reserved") {
      request_.reserved = CpuSet::parse(rest);
    } else if (key == "isolated") {
      request_.isolated = rest == "yes";
    } else if (key == "smt") {
      request_.smt = rest == "never" ? Smt::never : Smt::last;
    } else if (key == "load") {
      const std::string_view name = cut(rest, ' ');
      StageRequest& loaded = stage(line, name);
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), loaded.load);
      if (error != std::errc{} || end != rest.data() + rest.size())
        refuse(line, fmt::format("\"{}\" is no number", rest));
    } else if (key == "region_bytes") {
      const std::string_view name = cut(rest, ' ');
      stage(line, name).region_bytes = number(line, rest);
    } else if (key == "lane_bytes") {
      const std::uint64_t flow = number(line, cut(rest, ' '));
      if (flow >= request_.flows.size()) refuse(line, "there is no such flow");
      request_.flows[flow].lane_bytes = number(line, rest);
    } else {
      refuse(line, fmt::format("\"{}\" is not known", key));
    }
  }

  PlanRequest request_;
};

}  // namespace

std::string request_text(const PlanRequest& request) {
  std::string text =
      fmt::format("pipeline {}\npolicy {}\n", pipeline_text(request), to_string(request.policy));
  for (const StageRequest& stage : request.stages) {
    if (!stage.place.empty()) text += fmt::format("place {} {}\n", stage.name, stage.place);
    if (stage.load > 0) text += fmt::format("load {} {}\n", stage.name, stage.load);
    if (stage.region_bytes != 0) text += fmt::format("region_bytes {} {}\n", stage.name, stage.region_bytes);
  }
  if (!request.reserved.empty()) text += fmt::format("reserved {}\n", request.reserved.to_string());
  if (request.isolated) text += "isolated yes\n";
  if (request.smt == Smt::never) text += "smt never\n";
  for (std::size_t flow = 0; flow < request.flows.size(); ++flow) {
    const std::uint64_t bytes = request.flows[flow].lane_bytes;
    if (bytes != 0) text += fmt::format("lane_bytes {} {}\n", flow, bytes);
  }
  return text;
}

PlanRequest parse_request(std::string_view text) {
  return Reader{}.read(text);
}

}  // namespace sluice::pinning
