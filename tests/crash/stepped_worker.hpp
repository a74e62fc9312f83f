// SPDX-License-Identifier: Apache-2.0
// A life of the worker under test in a child, one instruction at a time.
#pragma once

#include <functional>

#include <sluice/detail/sanitizers.hpp>

#include "scene.hpp"
#include "stepped_child.hpp"

namespace sluice::test {

using namespace detail;

// Single steps take a sanitized build, whose instructions are many times as many, too long.
inline constexpr bool kSteppingIsTooSlow = SLUICE_ADDRESS_SANITIZER;
#ifdef __OPTIMIZE__
inline constexpr bool kOptimized = true;
#else
inline constexpr bool kOptimized = false;  // Several times as many instructions, as in the preset dev.
#endif

// What the worker's process does after its fork; calls `between` before its construction and its steps.
void live_in_child(Scene& scene, const std::function<void()>& between = {});

// Writes down what a master knows of the process it has forked.
void register_worker(Scene& scene, pid_t pid);

// The neighbours attend to the child while it sleeps, and ring.
class Attendant {
 public:
  explicit Attendant(Scene& scene) : scene_{scene} {}
  // After each step: when it has begun to sleep.
  void look();
  // While it runs: whenever it is seen to sleep.
  void help();

 private:
  Scene& scene_;
  bool slept_ = false;
};

// A life in a child, to its end or only until it has recovered; `look` runs before its first instruction and
// after each, until it says false.
enum class Span { whole, recovery };
ipc::test::Steps step_life(Scene& scene, Span span, const std::function<bool()>& look);

}  // namespace sluice::test
