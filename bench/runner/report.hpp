// SPDX-License-Identifier: Apache-2.0
// A whole run as a value, and as JSON: every sample, the machine, the settings, the places.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "results.hpp"

namespace sluice::bench {

using Facts = std::vector<std::pair<std::string, std::string>>;  // In the order in which people want them.

struct Machine {
  Facts facts;        // "cpu", "kernel", "governor", ...
  Facts mitigations;  // As the kernel names them in /sys/devices/system/cpu/vulnerabilities.
  std::string hwloc_xml;
};

struct SettingValue {
  std::string key;
  std::string value;
  std::string origin;  // "default", "environment SLUICE_PROFILE".
};

struct Report {
  std::string version;  // Of Sluice.
  std::string commit;   // "unknown" outside a repository; ends in "-dirty" if files were changed.
  std::string date;     // Of the start, UTC, ISO 8601.
  bool quick = false;
  bool peers = false;
  Machine machine;
  std::vector<SettingValue> settings;  // What the suites find; one that sets its own says so in its file.
  std::string placement;               // What the pinning floor says of this machine, and would plan.
  std::vector<SuiteResult> suites;
};

// Raised when a reader of the old form would be misled.
inline constexpr int kReportSchema = 1;

std::string to_json(const Report& report);

// Throws Error that names `source` if the text is no JSON, not ours, of another schema, or damaged.
Report from_json(const std::string& text, const std::string& source);

// The same of a file, which may also be missing.
Report read_report(const std::string& path);

}  // namespace sluice::bench
