// SPDX-License-Identifier: Apache-2.0
// What is measured of every channel, ours and others': events one way, in the three manners that queues are
// used in, and one event there and back. Both sides are processes, pinned apart.
//
// A channel of events of kBytes is an object that is made before the processes part. From it each side makes
// `Sender{channel, direction}` or `Receiver{channel, direction}`, direction 0 or 1. None of their calls
// blocks:
//   single     bool push(const Event&), bool pop(Event&)             each by itself, copied in and out
//   batch      size_t push(const Event*, size_t) and size_t read(f): 32 a call, and whatever is there, read
//                                                                    in place or copied, whichever is best
//   in_place   size_t write(size_t most, f) and read(f): where the events lie, 32 a publication if possible
// A manner that a channel has no call for is not measured.
//
// Each event carries its number, and in place every word of it; the receiver checks that all came, in order.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "peer.hpp"
#include "shared.hpp"
#include "suite.hpp"
#include "waiting.hpp"

namespace sluice::bench {

inline constexpr std::size_t kBatch = 32;
inline constexpr std::uint64_t kStop = ~std::uint64_t{0};

template <std::size_t kBytes>
struct alignas(kBytes >= 64 ? 64 : 8) Event {
  static constexpr std::size_t kWords = kBytes / 8;
  std::array<std::uint64_t, kWords> words;
};

enum class Manner { single, batch, in_place };
constexpr const char* name_of(Manner manner) noexcept {
  return manner == Manner::single ? "single" : manner == Manner::batch ? "batch" : "in_place";
}

// What the receiver found, where the sender can see it.
struct Findings {
  std::atomic<std::uint32_t> ready;
  std::atomic<std::uint32_t> done;
  std::uint64_t count;
  std::uint64_t sum;
};

// Takes events in: their number must follow the one before.
class Account {
 public:
  template <std::size_t kWords>
  void take_whole(const std::byte* at) noexcept {
    std::array<std::uint64_t, kWords> words;
    std::memcpy(&words, at, sizeof(words));
    wrong_ |= words[0] ^ next_++;
    for (const std::uint64_t word : words)
      sum_ += word;
  }
  void take_number(std::uint64_t number) noexcept {
    wrong_ |= number ^ next_++;
    sum_ += number;
  }
  // The stop has come, or something is wrong.
  bool over() const noexcept { return wrong_ != 0; }
  void report(Findings& findings) const noexcept {
    findings.count = next_ - 1;
    findings.sum = sum_;
    // [bench.done] release: the findings before it; pairs with the load in finish().
    findings.done.store(1, std::memory_order_release);
  }

 private:
  std::uint64_t next_ = 0;
  std::uint64_t wrong_ = 0;
  std::uint64_t sum_ = 0;
};

template <Manner kManner, std::size_t kBytes, class Receiver>
void receive(Receiver& receiver, Account& account) {
  if constexpr (kManner == Manner::single) {
    Event<kBytes> event;
    while (!account.over()) {
      if (!receiver.pop(event)) wait_until([&] { return receiver.pop(event); });
      benchmark::DoNotOptimize(event);  // All of it is copied, whatever is looked at.
      account.take_number(event.words[0]);
    }
  } else {
    const auto take = [&account](const std::byte* at) noexcept { account.take_whole<kBytes / 8>(at); };
    while (!account.over()) {
      if (receiver.read(take) == 0) wait_until([&] { return receiver.read(take) != 0; });
    }
  }
}

template <std::size_t kBytes>
void fill(std::byte* at, std::uint64_t number) noexcept {
  std::array<std::uint64_t, kBytes / 8> words;
  words.fill(number);
  std::memcpy(at, &words, sizeof(words));
}

// Sends kBatch events, numbered from `number` on.
template <Manner kManner, std::size_t kBytes, class Sender>
void send_batch(Sender& sender, std::array<Event<kBytes>, kBatch>& events, std::uint64_t number) {
  if constexpr (kManner == Manner::single) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      events[0].words[0] = number + i;
      if (!sender.push(events[0])) wait_until([&] { return sender.push(events[0]); });
    }
  } else if constexpr (kManner == Manner::batch) {
    for (std::size_t i = 0; i < kBatch; ++i)
      events[i].words[0] = number + i;
    std::size_t sent = sender.push(events.data(), kBatch);
    if (sent != kBatch) {
      wait_until([&] { return (sent += sender.push(events.data() + sent, kBatch - sent)) == kBatch; });
    }
  } else {
    std::size_t sent = 0;
    const auto write = [&number](std::byte* at) noexcept { fill<kBytes>(at, number++); };
    sent = sender.write(kBatch, write);
    if (sent != kBatch) wait_until([&] { return (sent += sender.write(kBatch - sent, write)) == kBatch; });
  }
}

template <Manner kManner, std::size_t kBytes, class Sender>
void send_stop(Sender& sender) {
  Event<kBytes> event{};
  event.words[0] = kStop;
  if constexpr (kManner == Manner::single) {
    wait_until([&] { return sender.push(event); });
  } else if constexpr (kManner == Manner::batch) {
    wait_until([&] { return sender.push(&event, 1) == 1; });
  } else {
    wait_until([&] { return sender.write(1, [](std::byte* at) { fill<kBytes>(at, kStop); }) == 1; });
  }
}

// Waits for what the receiver has to say and compares it with what was sent.
template <Manner kManner, std::size_t kBytes>
void finish(benchmark::State& state, Findings& findings, std::uint64_t sent) {
  // [bench.done] acquire: the findings before it; pairs with the store in Account::report().
  wait_until([&] { return findings.done.load(std::memory_order_acquire) != 0; });
  const std::uint64_t words = kManner == Manner::in_place ? kBytes / 8 : 1;
  const std::uint64_t sum = words * (sent * (sent - 1) / 2 + kStop);
  if (findings.count != sent || findings.sum != sum)
    state.SkipWithError(
        fmt::format("{} events were sent and {} came, or in other order, or damaged", sent, findings.count)
            .c_str());
}

template <Manner kManner, class Channel>
void one_way(benchmark::State& state, Channel& channel, Apart apart) {
  constexpr std::uint64_t kBatchesAnIteration = 128;
  constexpr std::size_t kBytes = Channel::kEventBytes;
  const Shared<Findings> findings;
  const Peer peer{apart, 1, [&] {
                    typename Channel::Receiver receiver{channel, 0};
                    findings->ready.store(1, std::memory_order_relaxed);  // relaxed: a signal, no data.
                    Account account;
                    receive<kManner, kBytes>(receiver, account);
                    account.report(*findings);
                  }};
  typename Channel::Sender sender{channel, 0};
  wait_until([&] { return findings->ready.load(std::memory_order_relaxed) != 0; });  // relaxed: no data.
  std::array<Event<kBytes>, kBatch> events{};
  std::uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (const std::uint64_t end = number + kBatchesAnIteration * kBatch; number < end; number += kBatch)
      send_batch<kManner, kBytes>(sender, events, number);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(number));
  send_stop<kManner, kBytes>(sender);
  finish<kManner, kBytes>(state, *findings, number);
}

inline void count_quantiles(benchmark::State& state, std::vector<float>& times_ns) {
  std::sort(times_ns.begin(), times_ns.end());
  for (const auto& [name, part] : {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}}) {
    const auto rank = static_cast<std::size_t>(part * static_cast<double>(times_ns.size() - 1));
    state.counters[name] = times_ns[rank];
  }
}

// Times one call of `there_and_back` after the other.
template <class Trip>
void time_trips(benchmark::State& state, Trip&& there_and_back) {
  std::vector<float> times_ns;
  times_ns.reserve(static_cast<std::size_t>(state.max_iterations));
  auto before = std::chrono::steady_clock::now();
  for ([[maybe_unused]] auto _ : state) {
    there_and_back();
    const auto now = std::chrono::steady_clock::now();  // One look at the clock a trip.
    times_ns.push_back(std::chrono::duration<float, std::nano>(now - before).count());
    before = now;
  }
  count_quantiles(state, times_ns);
}

// One event there and back, one at a time.
template <class Channel>
void round_trip(benchmark::State& state, Channel& channel, Apart apart) {
  constexpr std::size_t kBytes = Channel::kEventBytes;
  const Peer peer{apart, 1, [&] {
                    typename Channel::Receiver receiver{channel, 0};
                    typename Channel::Sender sender{channel, 1};
                    Event<kBytes> event;
                    do {
                      wait_until([&] { return receiver.pop(event); });
                      wait_until([&] { return sender.push(event); });
                    } while (event.words[0] != kStop);
                  }};
  typename Channel::Sender sender{channel, 0};
  typename Channel::Receiver receiver{channel, 1};
  Event<kBytes> event{};
  std::uint64_t number = 0;
  const auto trip = [&] {
    event.words[0] = number;
    wait_until([&] { return sender.push(event); });
    wait_until([&] { return receiver.pop(event); });
    if (event.words[0] != number++) state.SkipWithError("an event came back damaged, or another did");
  };
  for (int i = 0; i < 100; ++i)
    trip();  // The other side must have begun.
  time_trips(state, trip);
  event.words[0] = kStop;
  wait_until([&] { return sender.push(event); });
}

template <class Channel, Manner kManner>
constexpr bool can() {
  using Sender = typename Channel::Sender;
  using Events = Event<Channel::kEventBytes>;
  if constexpr (kManner == Manner::single) return requires(Sender sender, Events event) {
      sender.push(event);
    };
  if constexpr (kManner == Manner::batch) return requires(Sender sender, const Events* events) {
      sender.push(events, kBatch);
    };
  return requires(Sender sender) {
    sender.write(kBatch, [](std::byte*) {});
  };
}

template <class Channel, Manner kManner>
void add_one_way(const std::string& group, const std::string& subject) {
  if constexpr (can<Channel, kManner>()) {
    add(fmt::format("{}/{}/{}B/{}", group, subject, Channel::kEventBytes, name_of(kManner)),
        [](benchmark::State& state) {
          Channel channel;
          one_way<kManner>(state, channel, Apart::processes);
        });
  }
}

template <class Channel>
void add_manners(const std::string& group, const std::string& subject) {
  add_one_way<Channel, Manner::single>(group, subject);
  add_one_way<Channel, Manner::batch>(group, subject);
  add_one_way<Channel, Manner::in_place>(group, subject);
}

// All manners one way: of all sizes, or of 64 B only.
template <template <std::size_t> class Channel>
void add_sizes(const std::string& subject, bool all) {
  if (all) add_manners<Channel<8>>("one_way", subject);
  add_manners<Channel<64>>("one_way", subject);
  if (!all) return;
  add_manners<Channel<256>>("one_way", subject);
  add_manners<Channel<1024>>("one_way", subject);
}

template <template <std::size_t> class Channel>
void add_round_trip(const std::string& subject) {
  add("round_trip/" + subject + "/64B", [](benchmark::State& state) {
    Channel<64> channel;
    round_trip(state, channel, Apart::processes);
  });
}

// Everything that suite peers asks of one ring.
template <template <std::size_t> class Channel>
void add_ring(const std::string& subject) {
  add_sizes<Channel>(subject, true);
  add_round_trip<Channel>(subject);
}

// And of what is far from being one: less of it when there is little time.
template <template <std::size_t> class Channel>
void add_messages(const std::string& subject, const Options& options) {
  add_sizes<Channel>(subject, !options.quick);
  add_round_trip<Channel>(subject);
}

}  // namespace sluice::bench
