// SPDX-License-Identifier: Apache-2.0
// Fuzz target: everything that reads settings - variables, assignments, profile files, units, lists of
// processing units. What is refused is refused by an Error; what is accepted reads back as it was written.
#include <array>
#include <sstream>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/pinning/cpu_set.hpp>
#include <sluice/settings.hpp>
#include <sluice/units.hpp>

#include "bytes.hpp"

namespace {

using namespace sluice;
using fuzz::require;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

void look_at(const Settings& settings) {
  static_cast<void>(settings.show());
  static_cast<void>(settings.show("parse"));
  static_cast<void>(settings.fingerprint());
  settings.check_stages(std::array{std::string{"parse"}, std::string{"bars"}});
}

void read_variables(const std::string& text) {
  const std::vector<std::string> lines = lines_of(text);
  std::vector<const char*> variables;
  for (const std::string& line : lines)
    variables.push_back(line.c_str());
  look_at(Settings::from_environment(variables));
}

void read_assignments(const std::string& text) {
  Settings settings;
  for (const std::string& line : lines_of(text))
    settings.set_assignment(line);
  look_at(settings);
}

void read_profile(const std::string& text) {
  const int file = ::memfd_create("profile", MFD_CLOEXEC);
  require(file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
          "the profile file is there");
  struct Close {
    int file;
    ~Close() { ::close(file); }
  } const close{file};
  Settings settings;
  settings.set("profile.file", "/proc/self/fd/" + std::to_string(file));
  look_at(settings);
}

template <class Parse, class Format>
void read_unit(const std::string& text, Parse parse, Format format) {
  const auto parsed = parse(text);
  if (!parsed.ok()) return;
  const auto again = parse(format(parsed.value));
  require(again.ok() && again.value == parsed.value, "what is written canonically reads back");
}

void read_units(const std::string& text) {
  read_unit(text, parse_count, format_count);
  read_unit(text, parse_bytes, format_bytes);
  read_unit(text, parse_duration, format_duration);
  read_unit(text, parse_flag, format_flag);
}

void read_processing_units(const std::string& text) {
  const pinning::CpuSet set = pinning::CpuSet::parse(text);
  require(pinning::CpuSet::parse(set.to_string()) == set, "a set of units reads back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes input{data, size};
  const std::size_t what = input.below(6);
  const std::string text = input.text();
  try {
    switch (what) {
      case 0:
        read_variables(text);
        break;
      case 1:
        read_assignments(text);
        break;
      case 2:
        read_profile(text);
        break;
      case 3:
        read_units(text);
        break;
      case 4:
        read_processing_units(text);
        break;
      default:
        static_cast<void>(Settings{}.explain(text));
    }
  } catch (const Error& error) {
    require(error.what()[0] != '\0', "an Error says something");
  }
  return 0;
}
