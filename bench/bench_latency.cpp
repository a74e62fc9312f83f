// Question: how long is an event under way, and what does it cost to wake whoever sleeps?
//
// Baseline: for a wake-up, a bare eventfd for each direction (`baseline:eventfd`) and a bare futex
// (`baseline:futex`), which are always rung, by processes that always block.
//
// Machine: two processing units, 0 and 1. What a wake-up takes is mostly what the processor takes to leave
// its idle state: `held` holds /dev/cpu_dma_latency at 0 meanwhile, which forbids deep ones, where this
// process may open it.
//
//   parked_round_trip/...  64 B to another process and back, one at a time; whoever waits is asleep.
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <optional>
#include <string>
#include <unistd.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/error.hpp>

#include "parked.hpp"
#include "peer.hpp"
#include "samples.hpp"
#include "suite.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kStop = ~std::uint64_t{0};

// Open, it forbids idle states that take longer to leave than nothing. Source: the kernel's pm_qos_interface.
class NoDeepIdle {
 public:
  NoDeepIdle() : fd_{::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC)} {
    const std::int32_t none_us = 0;
    if (fd_ >= 0 && ::write(fd_, &none_us, sizeof(none_us)) != sizeof(none_us)) close();
  }
  ~NoDeepIdle() { close(); }
  NoDeepIdle(const NoDeepIdle&) = delete;
  NoDeepIdle& operator=(const NoDeepIdle&) = delete;
  bool held() const noexcept { return fd_ >= 0; }

 private:
  void close() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd_;
};

template <class Way>
void echo(Way& way) {
  typename Way::Side side{way, 1};
  std::uint64_t number = 0;
  while (side.receive(number)) {
    side.send(number);
    if (number == kStop) return;
  }
}

template <class Way>
void parked_round_trip(benchmark::State& state, bool held) {
  std::optional<NoDeepIdle> idle;
  if (held && !idle.emplace().held()) return state.SkipWithError("/dev/cpu_dma_latency cannot be opened");
  Way way;
  const Peer peer{Apart::processes, 1, [&way] { echo(way); }};
  typename Way::Side side{way, 0};
  Samples times;
  std::uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    side.send(++number);
    std::uint64_t back = 0;
    if (!side.receive(back) || back != number) {
      state.SkipWithError("what came back in a second is not what was sent");
      break;
    }
    times.add(std::chrono::steady_clock::now() - start);
  }
  side.send(kStop);
  times.report(state);
}

template <class Way>
void add_parked(const char* subject) {
  for (const bool held : {false, true}) {
    add(fmt::format("parked_round_trip/{}/64B{}", subject, held ? "/held" : ""),
        [held](auto& state) { parked_round_trip<Way>(state, held); });
  }
}

void add_all(const Options&) {
  pin(0);  // The peer has 1.
  add_parked<ParkedEventfd>("baseline:eventfd");
  add_parked<ParkedFutex>("baseline:futex");
  add_parked<ParkedLane>("lane");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
