// SPDX-License-Identifier: Apache-2.0
// The market demonstration as a pipeline:
//
//     read --- lines ---> parse -+- trades ---> bars -----+
//      |                         +- books ----> book -----+
//      |                         +- tickers --> tickers --+--> write
//      |                         +- tallies --> counts ---+
//      +------- rejected lines --+------------------------+
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

namespace market {

inline constexpr const char* kLinesInlet = "lines";
inline constexpr const char* kRowsInlet = "rejects";

struct MarketInput {
  std::vector<std::string> paths;    // Files; or streams, pipes and "-", whose lines the host pushes.
  std::uint64_t max_line_bytes = 0;  // What a lane into `parse` can carry.
};

// Whether the host reads it. Throws sluice::Error for files and streams together, and for a path that is empty.
bool is_fed_by_the_host(const MarketInput& input);

// Looks into every file. Throws sluice::Error for one that cannot be read. `out_lock`: the descriptor of an OutputLock of
// `out`, which the processes that write there hold as well.
sluice::Pipeline market_pipeline(const MarketInput& input, const std::filesystem::path& out, int out_lock,
                                 const sluice::Settings& settings);

}  // namespace market
