// SPDX-License-Identifier: Apache-2.0
#include "sluice/chaos_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

namespace sluice {

namespace {

constexpr std::chrono::nanoseconds kShortestPause = std::chrono::milliseconds{50};
constexpr std::chrono::nanoseconds kLongestPause = std::chrono::milliseconds{500};

// Hits that came due longer ago than this are dropped.
constexpr std::chrono::nanoseconds kMostLate = std::chrono::milliseconds{100};

// In [0, 1), the same on every machine, which std::uniform_real_distribution does not promise.
double unit_of(std::uint64_t random) {
  return static_cast<double>(random >> 11U) * 0x1p-53;
}

std::uint64_t seed_of(std::string_view text) {
  const Parsed<std::uint64_t> seed = parse_count(text);
  if (!seed.ok()) throw Error{{"read the seed", fmt::format("'{}'", text), seed.fault, "seed=7"}};
  return seed.value;
}

double rate_of(std::string_view harm, std::string_view text) {
  const Parsed<double> rate = parse_rate(text);
  const std::string fault =
      rate.ok() && rate.value > kMostHarm ? fmt::format("it is more than {:g}/s", kMostHarm) : rate.fault;
  if (fault.empty()) return rate.value;
  throw Error{{fmt::format("read the rate '{}' of", text), std::string{harm}, fault,
               "write how often, such as 5/s or 12/min, or 0 for never"}};
}

}  // namespace

std::string_view name_of(Harm harm) noexcept {
  switch (harm) {
    case Harm::kill:
      return "kill";
    case Harm::stall:
      return "stall";
    case Harm::stop:
      return "stop";
  }
  return "?";
}

ChaosOptions default_chaos() {
  ChaosOptions options;
  options.seed = std::random_device{}();
  return options;
}

ChaosOptions no_chaos() {
  ChaosOptions options = default_chaos();
  options.rates.fill(0);
  return options;
}

ChaosOptions parse_chaos(std::string_view text) {
  ChaosOptions options = no_chaos();
  bool harms = false;
  std::istringstream words{std::string{text}};
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      throw Error{{"read the chaos option", "'" + word + "'", "it is no key=value",
                   "for example kill=5/s stall=0.2/s stop=0.2/s seed=7"}};
    }
    const std::string_view key = std::string_view{word}.substr(0, equals);
    set_chaos(options, key, std::string_view{word}.substr(equals + 1));
    harms = harms || key != "seed";
  }
  if (!harms) options.rates = ChaosOptions{}.rates;
  return options;
}

void set_chaos(ChaosOptions& options, std::string_view key, std::string_view value) {
  if (key == "seed") {
    options.seed = seed_of(value);
    return;
  }
  const auto harm = std::ranges::find(kHarms, key, [](Harm each) { return name_of(each); });
  if (harm == kHarms.end()) {
    throw Error{{"read the chaos option", fmt::format("'{}'", key), "there is none of this name",
                 "there are kill, stall, stop and seed"}};
  }
  options.rates[static_cast<std::size_t>(*harm)] = rate_of(key, value);
}

std::string to_text(const ChaosOptions& options) {
  std::string text;
  for (const Harm harm : kHarms)
    text += fmt::format("{}={} ", name_of(harm), format_rate(options.rate(harm)));
  return text + fmt::format("seed={}", options.seed);
}

std::uint64_t restart_budget_for(const ChaosOptions& options) {
  constexpr double kSeconds = 100;
  const double deaths = options.rate(Harm::kill) + options.rate(Harm::stall);
  return 1000 + static_cast<std::uint64_t>(std::min(deaths, kMostHarm - 1) * kSeconds);
}

ChaosSchedule::ChaosSchedule(const ChaosOptions& options, std::chrono::nanoseconds now) {
  for (const Harm harm : kHarms) {
    const auto index = static_cast<std::size_t>(harm);
    std::seed_seq seed{static_cast<std::uint32_t>(options.seed),
                       static_cast<std::uint32_t>(options.seed >> 32U), static_cast<std::uint32_t>(index)};
    streams_[index].rate = options.rate(harm);
    streams_[index].random.seed(seed);
    draw_next(streams_[index], now);
  }
}

void ChaosSchedule::draw_next(Stream& stream, std::chrono::nanoseconds from) {
  if (stream.rate <= 0) return;
  // A gap of an exponential distribution by inversion of its distribution function, bounded by a year.
  constexpr double kLongestGap = 365.0 * 24 * 3600;
  const double seconds = std::min(-std::log1p(-unit_of(stream.random())) / stream.rate, kLongestGap);
  stream.due = from + std::chrono::nanoseconds{static_cast<std::int64_t>(seconds * 1e9)};
}

const ChaosSchedule::Stream* ChaosSchedule::earliest() const {
  const Stream* first = nullptr;
  for (const Stream& stream : streams_) {
    if (stream.rate > 0 && (first == nullptr || stream.due < first->due)) first = &stream;
  }
  return first;
}

std::optional<std::chrono::nanoseconds> ChaosSchedule::next() const {
  const Stream* first = earliest();
  if (first == nullptr) return std::nullopt;
  return first->due;
}

std::optional<Hit> ChaosSchedule::take(std::chrono::nanoseconds now) {
  const Stream* first = earliest();
  if (first == nullptr || first->due > now) return std::nullopt;
  const auto index = static_cast<std::size_t>(first - streams_.data());
  Stream& stream = streams_[index];
  Hit hit{kHarms[index], stream.due, stream.random(), {}};
  const auto range = static_cast<double>((kLongestPause - kShortestPause).count());
  if (hit.harm == Harm::stop)
    hit.pause = kShortestPause +
                std::chrono::nanoseconds{static_cast<std::int64_t>(range * unit_of(stream.random()))};
  draw_next(stream, std::max(stream.due, now - kMostLate));
  return hit;
}

}  // namespace sluice
