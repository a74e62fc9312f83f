// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/settings_summary.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/assert.hpp>

#include "settings/settings_names.hpp"
#include "settings/settings_table.hpp"

namespace sluice::detail {
namespace {

struct Topic {
  std::string_view name;
  std::vector<std::string_view> keys;  // "lane." for all that begin so.
};

// The first that has it is a key's topic; the last has all the others.
const std::vector<Topic>& topics() {
  static const std::vector<Topic> all{
      {"workers", {"workers", "threads", "place", "placement."}},
      {"flow", {"lane.", "batch.", "wait.", "oversize"}},
      {"state", {"state.", "undo.", "table.", "segment.", "checkpoint.", "outside.after"}},
      {"failures", {"restart.", "watchdog.", "poison.", "crash.", "outside.", "host."}},
      {"watching", {"log.", "report.", "stats.", "observe.", "latency."}},
      {"machine", {""}},
  };
  return all;
}

bool has(const Topic& topic, std::string_view key) {
  return std::any_of(topic.keys.begin(), topic.keys.end(), [key](std::string_view each) {
    return each == key || ((each.empty() || each.ends_with('.')) && key.starts_with(each));
  });
}

std::string topic_lines(const Topic& topic, const std::vector<std::string>& keys) {
  constexpr std::size_t kWidth = 80;
  constexpr std::size_t kIndent = 12;
  std::string lines = fmt::format("  {:<{}}", topic.name, kIndent - 3);
  std::size_t column = lines.size();
  for (const std::string& key : keys) {
    if (column + 1 + key.size() > kWidth) {
      lines.append("\n").append(kIndent - 1, ' ');
      column = kIndent - 1;
    }
    lines.append(" ").append(key);
    column += 1 + key.size();
  }
  return lines + "\n";
}

}  // namespace

std::string settings_summary() {
  std::vector<std::vector<std::string>> keys{topics().size()};
  for (const Setting& setting : settings_table()) {
    if (setting.key.starts_with("profile")) continue;  // They have lines of their own.
    const auto topic = std::find_if(topics().begin(), topics().end(),
                                    [&](const Topic& each) { return has(each, setting.key); });
    SLUICE_ASSERT(topic != topics().end());
    const std::string_view stage = setting.scope == Scope::single_stage ? "<name>" : "";
    keys[static_cast<std::size_t>(topic - topics().begin())].push_back(key_of(setting, stage));
  }
  std::string text = "Settings; --help-all says what each is for, and its default:\n";
  for (std::size_t topic = 0; topic < keys.size(); ++topic)
    text += topic_lines(topics()[topic], keys[topic]);
  return text +
         "Ways to set one, the stronger first:\n"
         "  --set lane.slots=64K               for one run\n"
         "  SLUICE_LANE_SLOTS=64K              in the environment\n"
         "  lane.slots = 64K                   in the file that SLUICE_PROFILE_FILE names\n"
         "  --profile latency                  a profile: many defaults at once\n"
         "  --set stage.parse.lane.slots=64K   for the stage \"parse\" alone\n";
}

}  // namespace sluice::detail
