// SPDX-License-Identifier: Apache-2.0
// The rooms of the engine: none includes what belongs to one that stands on it. A public header belongs to
// the room that implements it, and is held to the same order as the sources.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

// Each may use those before it.
constexpr std::array kRooms{"settings",   "graph",    "state", "death",  "log",    "layout",
                            "checkpoint", "observer", "ports", "worker", "master", "host"};

// The public headers of each room, as they are included: <sluice/...>.
const std::map<std::string, std::vector<std::string>> kHeaders{
    {"settings",
     {"settings.hpp", "units.hpp", "detail/full_policy.hpp", "detail/injected_variables.hpp",
      "detail/settings_summary.hpp"}},
    {"graph",
     {"event.hpp", "event_id.hpp", "key.hpp", "stage_options.hpp", "text.hpp", "detail/elsewhere.hpp",
      "detail/event_type.hpp", "detail/graph.hpp", "detail/hash.hpp", "detail/index.hpp", "detail/fields.hpp",
      "detail/key_equality.hpp", "detail/no_function.hpp", "detail/route.hpp", "detail/wire.hpp"}},
    {"state",
     {"refused.hpp", "state.hpp", "unavailable.hpp", "worker.hpp", "detail/problems.hpp",
      "detail/progress.hpp", "detail/source_lag.hpp", "detail/state_area.hpp", "detail/table_index.hpp"}},
    {"layout", {"checkpoint_shipper.hpp", "end.hpp", "detail/readied_shipper.hpp"}},
    {"observer", {"bottleneck.hpp", "stats.hpp", "observer.hpp"}},
    {"ports", {"detail/batch.hpp", "detail/output_port.hpp", "detail/staging.hpp"}},
    {"worker",
     {"handler.hpp", "output.hpp", "append_file.hpp", "dead_letter.hpp", "detail/promises.hpp",
      "detail/runner.hpp", "detail/signature.hpp"}},
    {"host",
     {"pipeline.hpp", "host_ends.hpp", "push_result.hpp", "inline.hpp", "engine.hpp", "executed_worker.hpp",
      "sluice.hpp", "detail/host_inlet.hpp", "detail/host_outlet.hpp", "detail/interruption.hpp",
      "detail/numbered_lives.hpp"}},
};
// Of the floors below the engine, and what programs add above it.
const std::regex kOtherFloors{
    "(error|printable|detail/"
    "(assert|call_remedy|cgroup|checksum|clock|counted|descriptor|file_limit|home_process|inherited|journal|"
    "json_"
    "parts|kept_"
    "from_"
    "children|nearest|own_"
    "directory|"
    "pages|path|plain_text|"
    "process_name|"
    "sanitizers|"
    "scheduling|signals|standard_streams|storage|text_file|try_sockets))\\.hpp|(ipc|pinning)/.*"};
const std::string kAbove = "main.hpp";

std::ptrdiff_t rank(const std::string& room) {
  return std::find(kRooms.begin(), kRooms.end(), room) - kRooms.begin();
}

// The room that owns a public header, or nothing.
std::string owner_of(const std::string& header) {
  for (const auto& [room, headers] : kHeaders) {
    if (std::find(headers.begin(), headers.end(), header) != headers.end()) return room;
  }
  return {};
}

// The rooms that a file of `room` looks into; how many of its includes were resolved.
std::size_t check(const fs::path& file, const std::string& room) {
  const std::regex include{"#include (?:[<\"]sluice/([a-z_/]+\\.hpp)[>\"]|\"([a-z_]+)/[a-z_]+\\.hpp\")"};
  std::size_t found = 0;
  std::ifstream text{file};
  for (std::string line; std::getline(text, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string header = match[1];
    if (std::regex_match(header, kOtherFloors) || (header == kAbove && room == "host")) continue;
    const std::string used = header.empty() ? std::string{match[2]} : owner_of(header);
    ++found;
    EXPECT_NE(used, "") << file << ": no room owns <sluice/" << header << ">; name its room in this test";
    EXPECT_LE(rank(used), rank(room)) << file << ", of room " << room << ", looks up: " << line;
  }
  return found;
}

TEST(Rooms, KnowOnlyThoseThatTheyStandOn) {
  std::size_t found = 0;
  for (const auto& file : fs::recursive_directory_iterator{SLUICE_ENGINE_SOURCES}) {
    if (!file.is_regular_file()) continue;
    const fs::path path = fs::relative(file.path(), SLUICE_ENGINE_SOURCES);
    const std::string room = path.begin()->string();
    EXPECT_TRUE(path.has_parent_path() && rank(room) < std::ssize(kRooms)) << path << " is in no room";
    found += check(file.path(), room);
  }
  EXPECT_GT(found, 200U);
}

TEST(Rooms, OwnEveryPublicHeaderAndHoldItToTheirOrder) {
  std::size_t found = 0;
  const fs::path headers = fs::path{SLUICE_ENGINE_HEADERS} / "sluice";
  for (const auto& file : fs::recursive_directory_iterator{headers}) {
    if (!file.is_regular_file()) continue;
    const std::string header = fs::relative(file.path(), headers).string();
    const std::string room = owner_of(header);
    EXPECT_NE(room, "") << "no room owns <sluice/" << header << ">; name its room in this test";
    if (!room.empty()) found += check(file.path(), room);
  }
  EXPECT_GT(found, 20U);
}

}  // namespace
