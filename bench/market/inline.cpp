// SPDX-License-Identifier: Apache-2.0
// The market in one thread of one process, by run_inline: the engine's own loops, lanes and commits, whose instructions a tool
// can count one by one. For tools/observation-cost.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

#include "market/market_pipeline.hpp"
#include "market/output_files.hpp"

namespace {

void run(const std::filesystem::path& directory, const std::vector<std::string>& captures,
         const std::vector<std::string>& assignments) {
  sluice::Settings settings;
  for (const std::string& assignment : assignments)
    settings.set_assignment(assignment);
  constexpr std::uint64_t kHeadBytes = 256;  // As `market` has it.
  const market::MarketInput input{.paths = captures,
                                  .max_line_bytes = settings.bytes("lane.bytes", "parse") - kHeadBytes};
  market::prepare_output(directory);
  const market::OutputLock lock{directory};
  const sluice::Pipeline pipeline = market::market_pipeline(input, directory, lock.descriptor(), settings);
  // No statistics: what they cost would be counted.
  sluice::run_inline(pipeline, settings);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments{argv + 1, argv + argc};
  if (arguments.size() == 1 && arguments[0] == "--version") {
    return std::puts("market_inline of Sluice " SLUICE_VERSION) >= 0 && std::fflush(stdout) == 0 ? 0 : 1;
  }
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (arguments.size() < 4 || arguments[0] != "--out" || dashes == arguments.end()) {
    std::fputs("usage: market_inline --out DIR KEY=VALUE... -- FILE...\n", stderr);
    return 2;
  }
  try {
    run(arguments[1], {dashes + 1, arguments.end()}, {arguments.begin() + 2, dashes});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
