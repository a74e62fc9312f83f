// SPDX-License-Identifier: Apache-2.0
// When chaos hurts whom: what was asked for, and the hits that come of it. Pure: a seed and times in, hits
// out.
//
// Each harm has a random stream of its own, made from the seed, and exponential gaps (a Poisson process): the
// kills come at the same times whatever the rate of the stops. A seed repeats the times of the hits and the
// numbers that choose whom they meet; what the pipeline is doing just then is not in its power.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace sluice {

enum class Harm : std::uint8_t {
  kill,   // SIGKILL.
  stall,  // SIGUSR2, the engine's drill: the worker hangs until the watchdog ends it.
  stop,   // SIGSTOP, and SIGCONT after a while.
};
inline constexpr std::array kHarms = {Harm::kill, Harm::stall, Harm::stop};

std::string_view name_of(Harm harm) noexcept;

// More hits a second than this and finding the processes would be most of what chaos does.
inline constexpr double kMostHarm = 1000;

struct ChaosOptions {
  std::array<double, kHarms.size()> rates{5, 0.2, 0.2};  // Times a second, in the order of kHarms.
  std::uint64_t seed = 0;

  double rate(Harm harm) const noexcept { return rates[static_cast<std::size_t>(harm)]; }
  friend bool operator==(const ChaosOptions&, const ChaosOptions&) = default;
};

// The default rates, and a seed that was drawn.
ChaosOptions default_chaos();
// The same without any harm: for those that are named one by one.
ChaosOptions no_chaos();

// "kill=5/s stall=0.2/s stop=0.2/s seed=7", in any order. Who names a harm gets those that are named; who names none gets those
// of default_chaos(). Throws Error.
ChaosOptions parse_chaos(std::string_view text);
// Sets one of them, "kill", "stall", "stop" or "seed": a rate of 0 to kMostHarm ("5/s", "12/min", "0"), a
// seed of 64 bits. Throws Error that says what is wrong; nothing has changed then.
void set_chaos(ChaosOptions& options, std::string_view key, std::string_view value);
std::string to_text(const ChaosOptions& options);  // parse_chaos() reads it.

// A restart budget that hits at these rates do not use up, if restart.window is not longer than a few
// minutes.
std::uint64_t restart_budget_for(const ChaosOptions& options);

struct Hit {  // One harm that is due.
  Harm harm = Harm::kill;
  std::chrono::nanoseconds at{0};
  std::uint64_t choice = 0;           // Any 64 bits: they choose the process.
  std::chrono::nanoseconds pause{0};  // Until the SIGCONT of a stop.
};

class ChaosSchedule {  // Decides what is hurt when: the same for the same seed.
 public:
  // Times are of any one clock that does not go back; `now` is when it begins.
  ChaosSchedule(const ChaosOptions& options, std::chrono::nanoseconds now);

  // When the next hit is due; nothing when there will never be one.
  std::optional<std::chrono::nanoseconds> next() const;

  // The earliest hit that is due at `now`. After a pause of the caller the hits go on from now: those that
  // were missed for longer than a moment are not made up for.
  std::optional<Hit> take(std::chrono::nanoseconds now);

 private:
  struct Stream {
    double rate = 0;
    std::mt19937_64 random;
    std::chrono::nanoseconds due{0};
  };

  static void draw_next(Stream& stream, std::chrono::nanoseconds from);
  const Stream* earliest() const;

  std::array<Stream, kHarms.size()> streams_;
};

}  // namespace sluice
