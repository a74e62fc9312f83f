// SPDX-License-Identifier: Apache-2.0
// Plans and policies as people read and write them.
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/plan.hpp>

#include "table.hpp"

namespace sluice::pinning {
namespace {

Row plan_row(std::string process, const Place& place) {
  return {std::move(process), place.units.to_string(), node_text(place.numa_node),
          place.shared ? "shared" : "own"};
}

}  // namespace

std::string_view to_string(Policy policy) {
  switch (policy) {
    case Policy::automatic:
      return "auto";
    case Policy::floating:
      return "float";
    case Policy::compact:
      return "compact";
    case Policy::spread:
      return "spread";
    case Policy::none:
      return "none";
  }
  return "unknown";
}

Policy parse_policy(std::string_view text) {
  for (const Policy policy :
       {Policy::automatic, Policy::compact, Policy::spread, Policy::floating, Policy::none}) {
    if (text == to_string(policy)) return policy;
  }
  throw Error{{.tried = "read the placement policy",
               .object = fmt::format("\"{}\"", text),
               .why = "there is none of that name",
               .remedy = "the policies are auto, compact, spread, float and none"}};
}

std::string to_text(const Plan& plan) {
  std::vector<Row> rows{{"process", "units", "node", "time"}};
  for (const StagePlan& stage : plan.stages) {
    for (std::size_t worker = 0; worker < stage.workers.size(); ++worker) {
      rows.push_back(plan_row(fmt::format("{}/{}", stage.name, worker), stage.workers[worker]));
    }
  }
  rows.push_back(plan_row("host", plan.host));
  rows.push_back(plan_row("master", plan.master));
  std::string text = fmt::format("policy {}\n{}", to_string(plan.policy), to_table(rows));
  for (const std::string& remark : plan.remarks)
    text += fmt::format("! {}\n", remark);
  return text;
}

}  // namespace sluice::pinning
