// SPDX-License-Identifier: Apache-2.0
#include "disturbance.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "peer.hpp"

namespace sluice::bench {
namespace {

double seconds_of(const timeval& time) noexcept {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// This process and all of its descendants that were waited for.
double own_cpu_seconds() noexcept {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    seconds += seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  }
  return seconds;
}

// Before a suite pins itself to one of them.
const bool two_units = [] {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof(allowed), &allowed);
  return CPU_ISSET(0, &allowed) && CPU_ISSET(1, &allowed);
}();

}  // namespace

Disturbance::Disturbance()
    : start_{std::chrono::steady_clock::now()}, own_s_{own_cpu_seconds()}, machine_{machine_time()} {}

Disturbance::MachineTime Disturbance::machine_time() {
  std::ifstream file{"/proc/stat"};
  std::string cpu;
  // user nice system idle iowait irq softirq steal
  std::array<std::uint64_t, 8> ticks{};
  file >> cpu;
  for (std::uint64_t& value : ticks)
    file >> value;
  const auto tick_s = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
  return {static_cast<double>(busy) * tick_s, static_cast<double>(ticks[7]) * tick_s};
}

Disturbance::Shares Disturbance::until_now() const {
  const MachineTime now = machine_time();
  const double own_s = own_cpu_seconds() - own_s_;
  const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double all_s = elapsed_s * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  // The kernel looks at what a unit does once a tick, so its account may be a tick off on each; our own is
  // exact.
  const double tick_s = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  const double unsure_s = tick_s * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  const double others_s = now.busy_s - machine_.busy_s - own_s - unsure_s;
  return {100 * std::max(0.0, others_s) / all_s, 100 * (now.steal_s - machine_.steal_s) / all_s};
}

double line_trip_ns() {
  constexpr std::uint64_t kTrips = 1000;
  constexpr std::chrono::milliseconds kLimit{20};  // On a unit that others use it may take long.
  using Clock = std::chrono::steady_clock;
  cpu_set_t before;
  CPU_ZERO(&before);
  ::sched_getaffinity(0, sizeof(before), &before);
  if (!two_units) return 0;
  alignas(128) std::atomic<std::uint64_t> word{0};
  const auto end = Clock::now() + kLimit;
  // relaxed, here and below: the word itself is all that travels. Odd numbers go there, even ones come back.
  const auto comes = [&word, end](std::uint64_t number) {
    for (unsigned looks = 1; word.load(std::memory_order_relaxed) != number; ++looks) {
      if (looks % 1024 == 0 && Clock::now() > end) return false;
    }
    return true;
  };
  std::thread other{[&] {
    pin(1);
    for (std::uint64_t number = 1; number < 2 * kTrips && comes(number); number += 2)
      word.store(number + 1, std::memory_order_relaxed);
  }};
  pin(0);
  auto start = Clock::now();
  bool whole = true;
  for (std::uint64_t number = 1; whole && number < 2 * kTrips; number += 2) {
    word.store(number, std::memory_order_relaxed);
    whole = comes(number + 1);
    if (number == 1) start = Clock::now();  // The other one is there.
  }
  const std::chrono::duration<double, std::nano> took = Clock::now() - start;
  other.join();
  ::sched_setaffinity(0, sizeof(before), &before);
  return whole ? took.count() / static_cast<double>(kTrips - 1) : 0;
}

void report(const Disturbance::Shares& shares, benchmark::State& state) {
  state.counters[kOthersPercent] = shares.others_percent;
  state.counters["steal_percent"] = shares.steal_percent;
}

}  // namespace sluice::bench
