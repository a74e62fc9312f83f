// SPDX-License-Identifier: Apache-2.0
// A program that is to handle one dead letter under a debugger: `sluice dead debug` runs it with two variables, which hold
// the file of the letter and the byte at which it begins there (worker/only_debugs.hpp).
//
// Its handler is made and called in the program's own process and thread, so that a debugger that runs the program sees it die
// in the same line. No process is started, no other handler is made, and nothing is kept: segments, checkpoints and reports
// are left alone, and an AppendFile writes into memory.
#pragma once

#include <sluice/detail/graph.hpp>
#include <sluice/settings.hpp>

namespace sluice::detail {

// Without those variables it does nothing. With them, has the handler of the letter's stage handle it; what that throws comes
// out, and so does an Error when it has not died: no pipeline is started. By the first Engine of the program.
void debug_letter(const Graph& graph, const Settings& settings);

}  // namespace sluice::detail
