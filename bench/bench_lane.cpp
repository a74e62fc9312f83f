// SPDX-License-Identifier: Apache-2.0
// Question: what does a lane cost above the least that a shared-memory ring can be, and what does each of its
// dimensions change?
//
// Baseline: a bare ring with cached cursors (bare_ring.hpp), of the same bytes, in the same memory, in the
// same run. Limits: cache lines that go to and fro, and reading what another core has written. Read the
// ratios; figures drift between machines and hours by a third or more.
//
// Machine: any with two processing units, 0 and 1, which both sides are pinned to. On one where both share a
// core, or where other programs run, it measures that. Google Benchmark prints the machine above the table.
//
// One question at a time, all else being: two processes, 64 B, a ring of 1 MiB in pages of 4 KiB.
//   one_way/SUBJECT/BYTES/MANNER       events a second; MANNER is single, batch, in_place: traffic.hpp
//   one_way_records/...                the same for records, which carry their length
//   sides/SUBJECT/64B/threads|processes/MANNER
//   capacity/SUBJECT/64B/RING          in batches: from a ring within L1 to one beyond L2
//   pages/SUBJECT/64B/4KiB|2MiB        in batches, a ring of 4 MiB
//   cursor_line/baseline:bare/64B/64B|128B       single: how far apart tail and head are
//   round_trip/SUBJECT/64B             there and back, one at a time: ns, median and tail as counters
//   round_trip_cursor_line, round_trip_sides, round_trip_records    the same, by the same questions
//   stream/limit:dirty_lines/BLOCK     lines a second read from a block that the other core has just written
#include <array>
#include <atomic>
#include <cstring>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "channel.hpp"
#include "peer.hpp"
#include "ping_pong.hpp"
#include "suite.hpp"
#include "traffic.hpp"

namespace sluice::bench {
namespace {

template <class Channel, Manner kManner>
void add_in_room(const std::string& name, const Room& room, Apart apart = Apart::processes) {
  add(name, [room, apart](benchmark::State& state) {
    Channel channel{room};
    one_way<kManner>(state, channel, apart);
  });
}

template <class Channel>
void add_trip(const std::string& name, const Room& room = {}, Apart apart = Apart::processes) {
  add(name, [room, apart](benchmark::State& state) {
    Channel channel{room};
    round_trip(state, channel, apart);
  });
}

// What is compared stands together.
template <std::size_t kBytes>
void add_events() {
  add_manners<Bare<kBytes>>("one_way", "baseline:bare");
  add_manners<Lane<kBytes>>("one_way", "lane");
}
template <std::size_t kBytes>
void add_records() {
  add_manners<Bare<kBytes>>("one_way_records", "baseline:bare");
  add_manners<Records<kBytes>>("one_way_records", "lane");
}

void add_sides() {
  for (const auto& [name, apart] : {std::pair{"threads", Apart::threads}, {"processes", Apart::processes}}) {
    add_in_room<Bare<64>, Manner::single>(fmt::format("sides/baseline:bare/64B/{}/single", name), {}, apart);
    add_in_room<Lane<64>, Manner::single>(fmt::format("sides/lane/64B/{}/single", name), {}, apart);
    add_in_room<Bare<64>, Manner::batch>(fmt::format("sides/baseline:bare/64B/{}/batch", name), {}, apart);
    add_in_room<Lane<64>, Manner::batch>(fmt::format("sides/lane/64B/{}/batch", name), {}, apart);
    add_trip<Lane<64>>(fmt::format("round_trip_sides/lane/64B/{}", name), {}, apart);
  }
}

void add_capacities(bool quick) {
  for (const auto& [name, bytes] : {std::pair{"16KiB", std::size_t{16} << 10},
                                    {"64KiB", std::size_t{64} << 10},
                                    {"256KiB", std::size_t{256} << 10},
                                    {"1MiB", std::size_t{1} << 20},
                                    {"4MiB", std::size_t{4} << 20},
                                    {"16MiB", std::size_t{16} << 20}}) {
    if (quick && bytes != kRingBytes && bytes != std::size_t{64} << 10) continue;
    add_in_room<Bare<64>, Manner::batch>(fmt::format("capacity/baseline:bare/64B/{}", name), {bytes});
    add_in_room<Lane<64>, Manner::batch>(fmt::format("capacity/lane/64B/{}", name), {bytes});
  }
}

void add_pages() {
  constexpr std::size_t kBytes = std::size_t{4} << 20;
  add_in_room<Lane<64>, Manner::batch>("pages/lane/64B/4KiB", {kBytes});
  add_in_room<Lane<64>, Manner::batch>("pages/lane/64B/2MiB", {kBytes, Pages::huge});
}

void add_cursor_lines() {
  for (const std::size_t apart : {64U, 128U}) {
    const Room room{.bare_cursors_apart = apart};
    add_in_room<Bare<64>, Manner::single>(fmt::format("cursor_line/baseline:bare/64B/{}B", apart), room);
    add_trip<Bare<64>>(fmt::format("round_trip_cursor_line/baseline:bare/64B/{}B", apart), room);
  }
}

void add_trips(bool quick) {
  add("round_trip/limit:one_line/64B", [](benchmark::State& state) { ping_pong(state, true); });
  add("round_trip/limit:two_lines/64B", [](benchmark::State& state) { ping_pong(state, false); });
  add_trip<Bare<64>>("round_trip/baseline:bare/64B");
  add_trip<Lane<64>>("round_trip/lane/64B");
  if (quick) return;
  add_trip<Bare<8>>("round_trip/baseline:bare/8B");
  add_trip<Lane<8>>("round_trip/lane/8B");
  add_trip<Bare<1024>>("round_trip/baseline:bare/1024B");
  add_trip<Lane<1024>>("round_trip/lane/1024B");
  add_trip<Bare<152>>("round_trip_records/baseline:bare/152B");
  add_trip<Records<152>>("round_trip_records/lane/152B");
}

void add_streams(bool quick) {
  for (const auto& [name, bytes] : {std::pair{"4KiB", std::size_t{4} << 10},
                                    {"256KiB", std::size_t{256} << 10},
                                    {"8MiB", std::size_t{8} << 20}}) {
    if (quick && bytes > std::size_t{256} << 10) continue;
    add(fmt::format("stream/limit:dirty_lines/{}", name),
        [size = bytes](benchmark::State& state) { read_dirty_lines(state, size); });
  }
}

void add_all(const Options& options) {
  pin(0);  // The peer has 1.
  add_events<64>();
  if (!options.quick) {
    add_events<8>();
    add_events<256>();
    add_events<1024>();
    add_records<1024>();
    add_records<16384>();
    add_sides();
    add_pages();
  }
  add_records<152>();
  add_capacities(options.quick);
  add_cursor_lines();
  add_trips(options.quick);
  add_streams(options.quick);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
