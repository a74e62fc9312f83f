// SPDX-License-Identifier: Apache-2.0
// `sluice plan` and `sluice topo`: where a pipeline would run, on this machine or on one that is only
// described.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/compare.hpp>
#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/explain.hpp>
#include <sluice/pinning/location.hpp>
#include <sluice/pinning/measured.hpp>
#include <sluice/pinning/pipeline_text.hpp>
#include <sluice/units.hpp>

#include "asked_program.hpp"
#include "commands.hpp"

namespace sluice::command {
namespace {

// The plan shares units, or the quota is too small: told, and refused by the status.
constexpr int kDoesNotHold = 1;

struct PlanSaid {
  std::vector<std::string> topologies;
  std::string pipeline = "read:1 parse:2 write:1";
  std::vector<std::string> arguments;  // Of a program in place of the pipeline.
  std::string time = "10s";
  std::string policy;
  std::vector<std::string> places;
  std::string reserved;
  std::string measured;
  std::optional<std::string> svg;
  bool json = false;
  bool compare = false;
  bool isolated = false;
  bool no_smt = false;
  bool alone = false;
};

pinning::Topology topology_of(const std::string& text) {
  if (text == "this") return pinning::read_topology();
  return text.ends_with(".xml") || text.find('/') != std::string::npos
             ? pinning::topology_from_xml(text)
             : pinning::topology_from_synthetic(text);
}

// What a start on this machine would know besides: what calibrate has measured, and who else is at work here.
void look_around(const pinning::Topology& topology, bool alone, pinning::PlanRequest& request) {
  if (request.policy == pinning::Policy::none || request.policy == pinning::Policy::floating) return;
  request.costs = pinning::kept_costs(topology);
  if (!alone) request.claims = pinning::claims_of_others({});
}

std::chrono::nanoseconds time_of(const PlanSaid& said) {
  const Parsed<std::chrono::nanoseconds> time = parse_duration(said.time);
  if (time.ok() && time.value.count() > 0) return time.value;
  throw Error{{"wait for the program", "\"" + said.time + "\"", time.ok() ? "it is no time" : time.fault,
               "for example --within 10s"}};
}

// In a pipeline in a line no slash can stand, and a stage alone has a number behind it: "words" is a program that PATH finds.
bool is_program(const std::string& text) {
  return text.find('/') != std::string::npos ||
         (!text.empty() && text.find_first_of(": >") == std::string::npos);
}

pinning::PlanRequest pipeline_of(const PlanSaid& said) {
  // What cannot be is refused also where it is not needed.
  const std::chrono::nanoseconds time = time_of(said);
  if (!is_program(said.pipeline)) {
    if (said.arguments.empty()) return pinning::parse_pipeline(said.pipeline);
    throw Error{{"plan for", "\"" + said.pipeline + "\"", "arguments stand behind --, and it is no program",
                 "name the program by its path: --pipeline ./market -- ARGUMENTS..."}};
  }
  std::vector<std::string> command{said.pipeline};
  command.insert(command.end(), said.arguments.begin(), said.arguments.end());
  return ask_program(command, time).request;
}

std::string names_of(const std::vector<pinning::StageRequest>& stages) {
  std::string names;
  for (const pinning::StageRequest& stage : stages)
    names += (names.empty() ? "" : ", ") + stage.name;
  return names;
}

// What the command line says beats what the program's settings say.
pinning::PlanRequest request_of(const PlanSaid& said) {
  pinning::PlanRequest request = pipeline_of(said);
  if (!said.policy.empty()) request.policy = pinning::parse_policy(said.policy);
  if (!said.reserved.empty()) request.reserved = pinning::CpuSet::parse(said.reserved);
  if (said.isolated) request.isolated = true;
  if (said.no_smt) request.smt = pinning::Smt::never;
  if (!said.measured.empty()) request = pinning::with_measured(std::move(request), said.measured);
  std::set<std::string> placed;
  for (const std::string& text : said.places) {
    const pinning::StageLocation location = pinning::parse_stage_location(text);
    const auto stage = std::find_if(request.stages.begin(), request.stages.end(),
                                    [&](const auto& each) { return each.name == location.stage; });
    if (stage == request.stages.end()) {
      throw Error{{"place the stage", location.stage, "the pipeline has none of that name",
                   "its stages are " + names_of(request.stages)}};
    }
    if (!placed.insert(location.stage).second) {
      throw Error{{"place the stage", location.stage, "it has two places",
                   "give all of its place in one: --place " + location.stage + "@0-3,8"}};
    }
    stage->place = location.place;
  }
  return request;
}

void write_file(const std::string& path, const std::string& text) {
  const std::string why = detail::write_text_file(path, text);
  if (!why.empty())
    throw Error{{"write the drawing", '"' + path + '"', why, "name a file that can be written"}};
}

// A row for a machine: what each policy costs, and what cannot be undercut where that can be proved.
std::string comparison(const std::string& name, const pinning::Topology& topology,
                       const pinning::PlanRequest& request) {
  constexpr std::uint64_t kMostNodes = 3'000'000;
  const pinning::Comparison found = pinning::compare(topology, request, kMostNodes);
  const std::string least = found.shared ? "shared" : found.least ? fmt::format("{:.1f}", *found.least) : "-";
  return fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {} |\n", name, found.chosen, found.compact,
                     found.spread, found.random, least);
}

int run_plan(const PlanSaid& said) {
  pinning::PlanRequest request = request_of(said);
  if (said.compare) {
    std::string table = "| machine | auto | compact | spread | random | exact |\n|---|---|---|---|---|---|\n";
    for (const std::string& text : said.topologies) {
      const std::size_t slash = text.ends_with(".xml") ? text.rfind('/') : std::string::npos;
      const std::string name = slash == std::string::npos ? text : text.substr(slash + 1);
      table += comparison(name, topology_of(text), request);
    }
    print(table);
    return 0;
  }
  if (said.topologies.size() > 1)
    throw Error{
        {"plan for", "several machines", "one plan is for one machine", "give --compare, or one --topology"}};
  const pinning::Topology topology = topology_of(said.topologies.front());
  if (said.topologies.front() == "this") look_around(topology, said.alone, request);
  request = pinning::with_cores(topology, std::move(request));
  const pinning::Plan plan = pinning::plan(topology, request);
  const pinning::Planned planned{topology, request, plan};
  if (said.svg) write_file(*said.svg, pinning::to_svg(planned));
  said.json ? print_exactly(pinning::to_json(planned)) : print_prose(pinning::explain(planned));
  return plan.oversubscribed ? kDoesNotHold : 0;
}

void add_topo(CLI::App& program) {
  auto machine = std::make_shared<std::string>("this");
  CLI::App* topo = program.add_subcommand("topo", "Show a machine as a plan sees it");
  topo->add_option("--topology", *machine, "As for plan")->type_name("MACHINE")->capture_default_str();
  end_help(*topo, "",
           {"sluice topo", "sluice topo --topology \"pack:2 numa:1 l3:2 core:8 pu:2\"",
            "lstopo machine.xml && sluice topo --topology machine.xml"});
  topo->callback([machine] { print_prose(pinning::to_text(topology_of(*machine))); });
}

}  // namespace

void add_plan(CLI::App& program, std::vector<std::string> behind_dashes, int& status) {
  auto said = std::make_shared<PlanSaid>();
  said->arguments = std::move(behind_dashes);
  said->topologies = {"this"};
  CLI::App* plan =
      program.add_subcommand("plan", "Tell where a pipeline would run, on this machine or another");
  plan->formatter(detail::help_formatter("[-- ARGUMENTS...]"));
  plan->add_option("--topology", said->topologies,
                   "this, a FILE.xml of lstopo, or a synthetic one: \"pack:2 numa:1 l3:2 core:8 pu:2\"")
      ->type_name("MACHINE")
      ->take_all()
      ->allow_extra_args(false)
      ->capture_default_str();
  plan->add_option(
          "--pipeline", said->pipeline,
          "Stages and flows: \"read:1 parse:4x2 book:cores read>parse parse=>book\"; or a program of "
          "Sluice, its arguments behind --")
      ->type_name("TEXT|PROGRAM")
      ->capture_default_str();
  plan->add_option("--within", said->time, "How long a program may take to come to its pipeline")
      ->type_name("TIME")
      ->capture_default_str();
  plan->add_option("--policy", said->policy,
                   "auto (unless the program says otherwise), compact, spread, float or none")
      ->type_name("NAME")
      ->check(not_empty());
  plan->add_option("--place", said->places, "A stage's own place, parse@package:0; can be repeated")
      ->type_name("STAGE@PLACE")
      ->take_all()
      ->allow_extra_args(false);
  plan->add_option("--reserve", said->reserved, "CPUs that no process of the pipeline uses, 0-1,8")
      ->type_name("CPUS")
      ->check(not_empty());
  plan->add_option("--measured", said->measured,
                   "What a run has done, as `sluice stats --measured` has it: parse@1.7 read>parse@2e6")
      ->type_name("TEXT")
      ->check(not_empty());
  CLI::Option* svg =
      plan->add_option("--svg", said->svg, "Draw the machine and the plan into a file")->type_name("FILE");
  CLI::Option* json = plan->add_flag("--json", said->json, "Print one JSON object, every lane included");
  plan->add_flag("--isolated", said->isolated, "Use isolated CPUs, and first");
  plan->add_flag("--alone", said->alone, "Leave out of account what other pipelines hold on this machine");
  plan->add_flag("--no-smt", said->no_smt, "One worker for each core and no more");
  plan->add_flag(
          "--compare", said->compare,
          "A table: the cost of auto, compact, spread, random places and, where it can be proved, the least")
      ->excludes(svg)
      ->excludes(json);
  end_help(
      *plan,
      "Status 0: each worker has a core of its own; 1: it has not, or the quota is too small; 2: bad input.",
      {"sluice plan --pipeline \"read:1 parse:4 write:1 read>parse parse=>write\"",
       "sluice plan --pipeline build/words --topology \"pack:2 core:8 pu:2\"",
       "sluice plan --pipeline build/words --compare"});
  plan->callback([said, &status] { status = run_plan(*said); });
  add_topo(program);
}

}  // namespace sluice::command
