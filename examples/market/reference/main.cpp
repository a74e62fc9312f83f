// SPDX-License-Identifier: Apache-2.0
// market-reference: the answers of the market demonstration, computed in one thread, to be compared with.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <sluice/cli.hpp>

#include "answers.hpp"
#include "capture.hpp"
#include "event.hpp"
#include "instrument.hpp"

namespace reference {
namespace {

struct Run {
  Market market;
  std::vector<Rejected> rejected;
  std::int64_t events = 0;
};

void read_capture(Capture& capture, Run& run) {
  EventParser parser;
  std::string line;
  while (capture.next(line)) {
    try {
      const CaptureLine split = split_line(capture.name(), line);
      const std::string venue{split.venue};
      Event event = parser.parse(split);
      const InstrumentKey key{venue, event.symbol};
      run.market.try_emplace(key, venue).first->second.take(std::move(event));
      ++run.events;
    } catch (const BadLine& bad) {
      run.rejected.push_back({capture.path(), capture.line_number(), bad.what()});
    }
  }
}

// Files in order of their first receive time, so that an instrument recorded in several files is read in
// order.
std::vector<std::unique_ptr<Capture>> open_captures(const std::vector<std::string>& paths) {
  std::vector<std::unique_ptr<Capture>> captures;
  captures.reserve(paths.size());
  for (const std::string& path : paths)
    captures.push_back(std::make_unique<Capture>(path));
  std::stable_sort(captures.begin(), captures.end(), [](const auto& left, const auto& right) {
    return left->first_receive_ns() < right->first_receive_ns();
  });
  return captures;
}

// 0, or 1 when a file could not be read to its end; what was read before stands.
int answer(const std::string& out, const std::vector<std::string>& paths) {
  const auto start = std::chrono::steady_clock::now();
  Run run;
  int status = 0;
  for (const auto& capture : open_captures(paths)) {
    try {
      read_capture(*capture, run);
    } catch (const std::overflow_error&) {
      throw;
    } catch (const std::runtime_error& error) {
      std::fprintf(stderr, "market-reference: %s\n", error.what());
      status = 1;
    }
  }
  const std::size_t rejected = run.rejected.size();
  write_answers(out, run.market, std::move(run.rejected));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::fprintf(stderr, "market-reference: %lld events, %zu rejected, %.3f s, %.0f events/s\n",
               static_cast<long long>(run.events), rejected, seconds.count(),
               static_cast<double>(run.events) / std::max(seconds.count(), 1e-9));
  return status;
}

}  // namespace
}  // namespace reference

int main(int argc, char** argv) {
  CLI::App app{
      "Computes the answers of the market demonstration in one thread,\n"
      "independently of the pipeline.",
      "market-reference"};
  std::string out;
  std::vector<std::string> paths;
  app.add_option("--out", out, "directory for the answer files")->required();
  app.add_option("files", paths, "captures (gzip, zstd or plain); - for stdin")->required();
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "market-reference of Sluice " SLUICE_VERSION,
                       "Print the version and exit");
  app.footer(
      "Examples:\n"
      "  market-reference --out answers captures/*.gz\n"
      "  market-reference --out answers capture.tsv.zst\n"
      "  zstdcat capture.tsv.zst | market-reference --out answers -");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return sluice::end_of_parse(app, error);
  }
  try {
    return reference::answer(out, paths);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "market-reference: %s\n", error.what());
    return 1;
  }
}
