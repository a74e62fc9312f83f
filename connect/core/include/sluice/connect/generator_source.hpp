// SPDX-License-Identifier: Apache-2.0
// GeneratorSource: numbers as events, as many and as fast as wanted, each once. For loads, demonstrations and tests.
//
//     auto numbers = pipeline.source<sluice::GeneratorSource>("make",
//                                                             sluice::GeneratorOptions{.count = 1'000'000, .rate = 50'000});
//     numbers.to("payments", [](const sluice::Generated& made, sluice::Output<Payment>& out) { ... });
//
// With a rate each event has a time at which it is due, whether the stages behind keep up or not: who measures how long an
// event took from there measures what a sender outside would have waited. What is late goes at once. Several workers share
// the numbers: each makes every n-th.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <sluice/connect/detail/wall_clock.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct Generated {
  std::uint64_t number = 0;  // From 0.
  std::int64_t due_ns =
      0;  // Since 1970, as std::chrono::system_clock counts; without a rate, when it was made.
};

struct GeneratorOptions {
  std::uint64_t count = 0;  // Then the source ends; 0: never.
  double rate = 0;          // Events in a second, of all workers together; 0 or less: as fast as they go.
};

class GeneratorSource {
 public:
  GeneratorSource(Worker& worker, const GeneratorOptions& options)
      : worker_{worker},
        options_{options},
        state_{worker.state<State>("generator", State{worker.replica(), detail::wall_clock_ns()})} {
    if (options_.count == 0) worker.declare_endless();
  }

  SourceState operator()(Output<Generated>& out) {
    const std::uint64_t number = state_->next;
    if (options_.count != 0 && number >= options_.count) return SourceState::end;
    std::int64_t due_ns = detail::wall_clock_ns();
    if (options_.rate > 0) {
      constexpr double kMostNs = 4e18;  // More than a century: what is due then never is.
      const double since_first = std::min(static_cast<double>(number) / options_.rate * 1e9, kMostNs);
      const std::int64_t wait_ns = state_->first_ns + static_cast<std::int64_t>(since_first) - due_ns;
      due_ns += wait_ns;
      // A wait that is shorter than this costs more than it is worth; what is due within it goes together.
      constexpr std::int64_t kShortest = 500'000;
      if (wait_ns > kShortest) {
        // In pieces, since the clock may be set meanwhile.
        constexpr std::chrono::nanoseconds kPiece = std::chrono::seconds{1};
        worker_.wait_for(std::min(std::chrono::nanoseconds{wait_ns}, kPiece));
        if (due_ns - detail::wall_clock_ns() > kShortest) return SourceState::nothing_now;
      }
    }
    out.push({number, due_ns});
    state_.edit(&State::next) += worker_.replicas();
    return SourceState::more;
  }

 private:
  struct State {
    std::uint64_t next;
    std::int64_t first_ns;
  };

  Worker& worker_;
  GeneratorOptions options_;
  Recoverable<State> state_;
};

}  // namespace sluice
