// SPDX-License-Identifier: Apache-2.0
// Question: how does a lane stand beside the rings and queues that others have built?
//
// Baseline: a bare ring with cached cursors (bare_ring.hpp). Limit: cache lines that go to and fro. Peers,
// with
// --peers: what tools/bench-setup installs and CMake has found, each in peers/; what is missing is named.
//
// Machine: two processing units, 0 and 1, one for each of two processes that do nothing but send and receive.
// All have about 1 MiB for their events, in pages of 4 KiB, unless they allow no choice. Who waits spins.
//
//   one_way/SUBJECT/BYTES/MANNER     events a second; MANNER is single, batch or in_place: traffic.hpp
//   round_trip/SUBJECT/64B           one event there and back, time in ns, its median and its tail as
//       counters
#include <cstdio>

#include <benchmark/benchmark.h>

#include "channel.hpp"
#include "peers/peer_list.hpp"
#include "ping_pong.hpp"
#include "suite.hpp"
#include "traffic.hpp"

namespace sluice::bench {
namespace {

void add_all(const Options& options) {
  pin(0);  // The other side has 1.
  add("round_trip/limit:one_line/64B", [](benchmark::State& state) { ping_pong(state, true); });
  add("round_trip/limit:two_lines/64B", [](benchmark::State& state) { ping_pong(state, false); });
  add_ring<Bare>("baseline:bare");
  add_ring<Lane>("lane");
  if (options.peers) ListedPeer::add_every(options);
  std::fprintf(stderr, "iceoryx is not measured: it needs its daemon, RouDi, to run beside it\n");
  constexpr const char* kMissing = SLUICE_MISSING_PEERS;
  if (*kMissing != '\0')
    std::fprintf(stderr, "peers that were not found when this was built: %s (tools/bench-setup)\n", kMissing);
  if (!options.peers) std::fprintf(stderr, "other products are measured with --peers\n");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
