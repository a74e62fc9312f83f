// SPDX-License-Identifier: Apache-2.0
// Replacements in address spaces of their own, for a program that hands its pipeline over as a function.
//
//     sluice::Pipeline parse(int argc, char** argv);   // from the arguments, and from nothing else
//
//     int main(int argc, char** argv) {
//       sluice::executed_worker(argc, argv, parse);    // before anything else
//       sluice::Engine engine{parse(argc, argv)};
//       ...
//
// sluice::main(argc, argv, parse) of main.hpp has both. A worker of a stage with StageOptions::hostile_input that has died is
// then replaced by this program, executed anew: addresses of code, heap, libraries, stack and segment are others than those
// that an attacker has learned from the life before, and so is the stack canary. A program that does not call it has
// replacements that are forked, with a canary of their own and the addresses of the first life.
#pragma once

#include <functional>

#include <sluice/pipeline.hpp>

namespace sluice {

// The first call of main(). In a program that somebody has started it keeps a copy of the arguments and returns. In a
// replacement it calls `build` with the same arguments, becomes the worker, and does not return.
//
// `build` makes the pipeline that the Engine of this program is started with, and does nothing else: it runs again in each such
// replacement, in the directory and with the environment that start() was called in. One that makes another pipeline ends the
// pipeline, with what differs; one that throws is a death of the worker (restart.budget). What handlers, routes and arguments
// of constructors need is made by it, too. Every pipeline of the program that has such a stage has to be the one that it makes: start() of
// a second one is an Error.
// Throws Error for a function that is empty.
void executed_worker(int argc, char** argv, const std::function<Pipeline(int argc, char** argv)>& build);

}  // namespace sluice
