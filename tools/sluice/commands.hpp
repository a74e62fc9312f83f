// The commands of `sluice`. Each function adds one to the program; it runs once the command line has been
// read, prints to standard output, and throws sluice::Error for what the user must put right.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::command {

void add_config(CLI::App& program);

}  // namespace sluice::command
