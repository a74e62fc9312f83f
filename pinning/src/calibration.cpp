// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <limits>
#include <pthread.h>
#include <sched.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/pinning/masks.hpp>

namespace sluice::pinning {
namespace {

constexpr int kRoundTrips = 50;  // Of which the time is taken; the quickest of several such counts.
constexpr int kTries = 4;        // In each look at a pair, so that one of them was not interrupted.

// Twice a line, as processors fetch them in pairs.
struct alignas(128) Line {
  std::atomic<std::uint32_t> turn{0};
};

// Two threads, bound anew for each pair. The first is the caller's own, the second answers it.
class Pair {
 public:
  // Not a std::thread: that ends the process when it is not joined, and this library is a host's.
  Pair() {
    const auto run = [](void* pair) -> void* {
      static_cast<Pair*>(pair)->answer();
      return nullptr;
    };
    if (const int error = ::pthread_create(&answering_, nullptr, run, this); error != 0)
      throw Error{{"make a thread", "to measure the way between units", errno_text(error), ""}};
  }
  ~Pair() {
    // [calibrate.order] release: pairs with the acquire in answer().
    order_.store(kStop, std::memory_order_release);
    ::pthread_join(answering_, nullptr);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  // Half a round trip, the quickest; 0 if a unit could not be had.
  double measure(unsigned from, unsigned to) {
    const std::uint64_t order = ++orders_ << kUnitBits | to;
    // [calibrate.order] release: pairs with the acquire in answer().
    order_.store(order, std::memory_order_release);
    const bool bound = write_mask(0, mask_of(CpuSet{from})) == 0;
    // [calibrate.bound] acquire: pairs with the release in answer().
    while (bound_for_.load(std::memory_order_acquire) != order)
      ::sched_yield();
    if (!bound || refused_.load(std::memory_order_relaxed)) return 0;  // relaxed: it came with the answer.
    double quickest = std::numeric_limits<double>::max();
    for (int i = 0; i < kTries; ++i)
      quickest = std::min(quickest, one_try());
    return quickest / 2;
  }

 private:
  static constexpr unsigned kUnitBits = 20;
  static constexpr std::uint64_t kStop = ~std::uint64_t{0};

  double one_try() {
    const auto start = detail::monotonic_now();
    for (int i = 0; i < kRoundTrips; ++i) {
      // [calibrate.turn] release: the line is the other's; pairs with the acquire there.
      line_.turn.store(1, std::memory_order_release);
      // [calibrate.turn] acquire: it is here again. On one unit for both it would wait for its whole slice.
      for (int look = 0; line_.turn.load(std::memory_order_acquire) != 0; ++look) {
        if (look > kLooks) ::sched_yield();
      }
    }
    return static_cast<double>((detail::monotonic_now() - start).count()) / kRoundTrips;
  }

  void obey(std::uint64_t order) {
    const auto unit = static_cast<unsigned>(order & ((1U << kUnitBits) - 1));
    const bool done = write_mask(0, mask_of(CpuSet{unit})) == 0;
    refused_.store(!done, std::memory_order_relaxed);  // relaxed: before the store below.
    // [calibrate.bound] release: pairs with the acquire in measure().
    bound_for_.store(order, std::memory_order_release);
  }

  void answer() {
    std::uint64_t obeyed = 0;
    for (int look = 0;; ++look) {
      // [calibrate.order] acquire: pairs with measure() and the destructor.
      const std::uint64_t order = order_.load(std::memory_order_acquire);
      if (order == kStop) return;
      if (order != obeyed) obey(order);
      obeyed = order;
      // [calibrate.turn] acquire: the line is here, or not yet.
      if (line_.turn.load(std::memory_order_acquire) == 1) {
        line_.turn.store(0, std::memory_order_release);  // [calibrate.turn] release: it goes back.
        look = 0;
      } else if (look > kLooks) {
        ::sched_yield();
      }
    }
  }

  static constexpr int kLooks = 20'000;
  Line line_;
  Line apart_;  // Between the line that is measured and what follows.
  std::atomic<std::uint64_t> order_{0};
  std::atomic<std::uint64_t> bound_for_{0};
  std::atomic<bool> refused_{false};
  std::uint64_t orders_ = 0;  // Of the caller.
  pthread_t answering_{};
};

void pause_for(std::chrono::nanoseconds time) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const timespec pause{seconds.count(), (time - seconds).count()};
  ::nanosleep(&pause, nullptr);
}

// Gives the calling thread its mask back.
class KeptMask {
 public:
  KeptMask() { known_ = read_mask(0, mask_) == 0; }
  ~KeptMask() {
    if (known_) write_mask(0, mask_);
  }
  KeptMask(const KeptMask&) = delete;
  KeptMask& operator=(const KeptMask&) = delete;

 private:
  Mask mask_{};
  bool known_ = false;
};

}  // namespace

PairCost pair_cost(std::vector<double> measured) {
  constexpr double kAgree =
      1.6;  // Looks at a pair that stays where it is differ by less, also beside other work.
  if (measured.empty()) return {.steady = false};
  std::sort(measured.begin(), measured.end());
  // One look that was disturbed throughout, at either end, says nothing.
  const std::size_t cut = measured.size() / 8;
  const double least = measured[cut];
  const double most = measured[measured.size() - 1 - cut];
  return {measured[measured.size() / 2], measured.size() >= kLeastLooks && most <= least * kAgree};
}

namespace {

// What was measured of each pair of `units`, which are numbered as they stand there.
class Looks {
 public:
  explicit Looks(std::vector<unsigned> units)
      : units_{std::move(units)}, measured_(units_.size() * units_.size()) {}

  // Until it is time; whether it came to an end before.
  bool look_at_all(Pair& pair, std::chrono::nanoseconds until) {
    for (std::size_t from = 0; from < units_.size(); ++from) {
      for (std::size_t to = from + 1; to < units_.size(); ++to) {
        const double cost = pair.measure(units_[from], units_[to]);
        if (cost <= 0) {
          throw Error{{"bind a thread to one of the units",
                       fmt::format("{} and {}", units_[from], units_[to]), "the kernel refuses", ""}};
        }
        measured_[from * units_.size() + to].push_back(cost);
        ++looks_;
        if (detail::monotonic_now() >= until) return false;
      }
    }
    return true;
  }

  Calibration result(std::chrono::nanoseconds taken) const {
    const std::size_t n = units_.size();
    Calibration result{.costs = {units_, std::vector<double>(n * n, 0.0), true}, .fewest_looks = looks_};
    for (std::size_t from = 0; from < n; ++from) {
      for (std::size_t to = from + 1; to < n; ++to) {
        const std::vector<double>& looks = measured_[from * n + to];
        const PairCost cost = pair_cost(looks);
        result.costs.nanoseconds[from * n + to] = result.costs.nanoseconds[to * n + from] = cost.nanoseconds;
        result.costs.steady = result.costs.steady && cost.steady;
        result.fewest_looks = std::min(result.fewest_looks, looks.size());
      }
    }
    result.enough = taken * (kLeastLooks * n * (n - 1) / 2) / std::max<std::size_t>(1, looks_);
    return result;
  }

 private:
  std::vector<unsigned> units_;
  std::vector<std::vector<double>> measured_;  // A row for each unit.
  std::size_t looks_ = 0;
};

}  // namespace

Calibration measure_costs(const CpuSet& units, std::chrono::nanoseconds limit) {
  if (units.count() < 2) {
    throw Error{{"measure the way between units", units.to_string(), "it takes two of them",
                 "widen the affinity mask or the cpuset"}};
  }
  const KeptMask own;
  Looks looks{units.to_vector()};
  const auto begin = detail::monotonic_now();
  const auto until = begin + limit;
  std::chrono::nanoseconds looking{0};  // Without the pauses.
  constexpr std::size_t kMostRounds = 64;
  Pair pair;
  for (std::size_t round = 0; round < kMostRounds; ++round) {
    const auto before = detail::monotonic_now();
    const bool whole = looks.look_at_all(pair, until);
    const auto now = detail::monotonic_now();
    looking += now - before;
    if (!whole || now >= until) break;
    // Spread over the time: units that wander do so between the looks.
    pause_for((until - now) / (kMostRounds - round));
  }
  return looks.result(looking);
}

}  // namespace sluice::pinning
