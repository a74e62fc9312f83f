// SPDX-License-Identifier: Apache-2.0
// The limits of the machine: cache lines that go to and fro between two processes, and a stream of them.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include <benchmark/benchmark.h>

#include "peer.hpp"
#include "shared.hpp"
#include "traffic.hpp"
#include "waiting.hpp"

namespace sluice::bench {

struct TwoWords {
  alignas(128) std::atomic<std::uint64_t> there;
  alignas(128) std::atomic<std::uint64_t> back;
};

// One word there, one back: on the same line, which both write, or each on its own.
inline void ping_pong(benchmark::State& state, bool one_line) {
  const Shared<TwoWords> words;
  std::atomic<std::uint64_t>& there = words->there;
  std::atomic<std::uint64_t>& back = one_line ? words->there : words->back;
  // Odd numbers go there, even ones come back. [bench.ping] acquire and release: as a queue must.
  const auto wait_for = [](const std::atomic<std::uint64_t>& word, std::uint64_t number) {
    wait_until([&] { return word.load(std::memory_order_acquire) >= number; });
  };
  const Peer peer{Apart::processes, 1, [&] {
                    for (std::uint64_t number = 1;; number += 2) {
                      wait_for(there, number);
                      // [bench.ping] acquire and release: as a queue must.
                      const std::uint64_t got = there.load(std::memory_order_acquire);
                      if (got == kStop) return;
                      back.store(number + 1, std::memory_order_release);  // [bench.ping] release: as above.
                    }
                  }};
  std::uint64_t number = 1;
  const auto trip = [&] {
    there.store(number, std::memory_order_release);  // [bench.ping] release: as above.
    wait_for(back, number + 1);
    number += 2;
  };
  for (int i = 0; i < 100; ++i)
    trip();
  time_trips(state, trip);
  there.store(kStop, std::memory_order_release);  // [bench.ping] release: as above.
}

// Reads a block that the other core has just written, every word; lines a second, of the reader's time alone.
inline void read_dirty_lines(benchmark::State& state, std::size_t bytes) {
  const SharedBytes block{bytes};
  const Shared<TwoWords> words;
  // [bench.ping] acquire and release: the block is written before it is read, and read before it is written.
  const auto wait_for = [](const std::atomic<std::uint64_t>& word, std::uint64_t number) {
    wait_until([&] { return word.load(std::memory_order_acquire) >= number; });
  };
  const Peer peer{Apart::processes, 1, [&] {
                    for (std::uint64_t round = 1;; ++round) {
                      std::memset(block.data(), static_cast<int>(round & 0x7f), bytes);
                      words->there.store(round,
                                         std::memory_order_release);  // [bench.ping] release: as above.
                      wait_for(words->back, round);
                      // relaxed: a signal, no data.
                      if (words->back.load(std::memory_order_relaxed) == kStop) return;
                    }
                  }};
  std::uint64_t round = 0;
  std::chrono::duration<double> reading{0};
  for ([[maybe_unused]] auto _ : state) {
    wait_for(words->there, ++round);
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, block.data() + at, sizeof(word));
      sum += word;
    }
    benchmark::DoNotOptimize(sum);
    reading += std::chrono::steady_clock::now() - start;
    if (sum != bytes / sizeof(std::uint64_t) * ((round & 0x7f) * 0x0101010101010101U))
      state.SkipWithError("a block was not what the other side had written");
    words->back.store(round, std::memory_order_release);  // [bench.ping] release: as above.
  }
  words->back.store(kStop, std::memory_order_release);  // [bench.ping] release: as above.
  const std::uint64_t read = round * (bytes / 64);
  state.counters["items_per_second"] = static_cast<double>(read) / reading.count();
}

}  // namespace sluice::bench
