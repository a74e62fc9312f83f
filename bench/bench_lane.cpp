// Question: what does a lane cost above the least that a shared-memory ring can be?
//
// Baseline: a bare ring with cached cursors (bare_ring.hpp), of the same bytes, in the same memory, in the
// same run. Read the ratios, lane to bare; figures drift between machines and hours by a third or more.
//
// Machine: any with two processing units, 0 and 1, which both sides are pinned to. On one where both share a
// core, or where other programs run, it measures that. Google Benchmark prints the machine above the table.
//
//   one_way/CHANNEL/THREADS-OR-PROCESSES/BYTES/BATCH   events a second. BATCH is how many events one
//       publication covers: 1 is each by itself. The sender writes every byte, the receiver reads every byte.
//   round_trip/...   64 B there and back, one at a time: time in ns, its median and its tail as counters.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/ipc/waiting.hpp>

#include "channel.hpp"
#include "peer.hpp"
#include "suite.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kStop = ~std::uint64_t{0};
constexpr std::uint64_t kEventsAnIteration = 4096;

void write_event(std::byte* at, std::size_t bytes, std::uint64_t number) noexcept {
  std::memset(at, static_cast<int>(number), bytes);
  std::memcpy(at, &number, sizeof(number));
}

std::uint64_t read_event(const std::byte* at, std::size_t bytes) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, sizeof(word));
    sum += word;
  }
  return sum;
}

std::uint64_t number_of(const std::byte* at) noexcept {
  std::uint64_t number = 0;
  std::memcpy(&number, at, sizeof(number));
  return number;
}

template <class Sender>
std::byte* wait_for_room(Sender& sender) noexcept {
  std::byte* at = nullptr;
  while ((at = sender.reserve()) == nullptr) {
    sender.publish();
    ipc::relax();
  }
  return at;
}

template <class Receiver>
const std::byte* wait_for_event(Receiver& receiver) noexcept {
  const std::byte* at = nullptr;
  while ((at = receiver.peek()) == nullptr)
    ipc::relax();
  return at;
}

template <class Channel>
void send_stop(typename Channel::Sender& sender) {
  write_event(wait_for_room(sender), Channel::kEventBytes, kStop);
  sender.advance();
  sender.publish();
}

// Takes what is there, up to `batch` events a publication, until it is told to stop.
template <class Channel>
void receive(const Memory& memory, std::uint64_t batch) {
  typename Channel::Receiver receiver{memory, 0};
  while (true) {
    const std::byte* at = wait_for_event(receiver);
    for (std::uint64_t taken = 0; at != nullptr; at = receiver.peek()) {
      if (number_of(at) == kStop) return;
      benchmark::DoNotOptimize(read_event(at, Channel::kEventBytes));
      receiver.advance();
      if (++taken == batch) break;
    }
    receiver.publish();
  }
}

template <class Channel, Apart kApart, std::uint64_t kBatch>
void one_way(benchmark::State& state) {
  const Memory memory;
  const Peer peer{kApart, 1, [&memory] { receive<Channel>(memory, kBatch); }};
  typename Channel::Sender sender{memory, 0};
  std::uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (const std::uint64_t end = number + kEventsAnIteration; number < end;) {
      for (std::uint64_t i = 0; i < kBatch; ++i, ++number) {
        write_event(wait_for_room(sender), Channel::kEventBytes, number);
        sender.advance();
      }
      sender.publish();
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(number));
  send_stop<Channel>(sender);
}

template <class Channel>
void echo(const Memory& memory) {
  typename Channel::Receiver receiver{memory, 0};
  typename Channel::Sender sender{memory, 1};
  std::uint64_t number = 0;
  do {
    const std::byte* at = wait_for_event(receiver);
    number = number_of(at);
    std::memcpy(wait_for_room(sender), at, Channel::kEventBytes);
    receiver.advance();
    sender.advance();
    sender.publish();
    receiver.publish();
  } while (number != kStop);
}

void count_quantiles(benchmark::State& state, std::vector<float>& times_ns) {
  std::sort(times_ns.begin(), times_ns.end());
  for (const auto& [name, part] : {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}}) {
    const auto rank = static_cast<std::size_t>(part * static_cast<double>(times_ns.size() - 1));
    state.counters[name] = times_ns[rank];
  }
}

template <class Channel, Apart kApart>
void round_trip(benchmark::State& state) {
  const Memory memory;
  const Peer peer{kApart, 1, [&memory] { echo<Channel>(memory); }};
  typename Channel::Sender sender{memory, 0};
  typename Channel::Receiver receiver{memory, 1};
  std::vector<float> times_ns;
  times_ns.reserve(static_cast<std::size_t>(state.max_iterations));
  std::uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    write_event(wait_for_room(sender), Channel::kEventBytes, number++);
    sender.advance();
    sender.publish();
    benchmark::DoNotOptimize(read_event(wait_for_event(receiver), Channel::kEventBytes));
    receiver.advance();
    receiver.publish();
    times_ns.push_back(
        std::chrono::duration<float, std::nano>(std::chrono::steady_clock::now() - start).count());
  }
  count_quantiles(state, times_ns);
  send_stop<Channel>(sender);
}

template <class Channel, Apart kApart>
void register_sides(const char* channel, const char* sides) {
  const std::string what = fmt::format("{}/{}/{}", channel, sides, Channel::kEventBytes);
  add("one_way/" + what + "/1", &one_way<Channel, kApart, 1>);
  add("one_way/" + what + "/32", &one_way<Channel, kApart, 32>);
  if (Channel::kEventBytes == 64) add("round_trip/" + what, &round_trip<Channel, kApart>);
}

template <class Channel>
void register_channel(const char* channel) {
  register_sides<Channel, Apart::threads>(channel, "threads");
  register_sides<Channel, Apart::processes>(channel, "processes");
}

// What is compared stands together.
template <std::size_t kBytes>
void register_events() {
  register_channel<Bare<kBytes>>("bare");
  register_channel<Lane<kBytes>>("lane");
}
template <std::size_t kBytes>
void register_records() {
  register_channel<Bare<kBytes>>("bare");
  register_channel<Records<kBytes>>("records");
}

void add_all(const Options&) {
  pin(0);  // The peer has 1.
  register_events<8>();
  register_events<64>();
  register_events<256>();
  register_events<1024>();
  register_records<150>();
  register_channel<Records<1024>>("records");
  register_records<16384>();
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
