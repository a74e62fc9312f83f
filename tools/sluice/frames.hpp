// SPDX-License-Identifier: Apache-2.0
// Stacks for people: what a handler called, and how much of the engine is below it. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace sluice::command {

// Frames as symbolize() and the reports have them, innermost first, of one stack or of several, each behind a line of its own.
// Those of the engine that lie below a handler are one line: "... 21 frames of the engine". Without names all are left.
std::vector<std::string> without_engine(std::span<const std::string> frames);

}  // namespace sluice::command
