// SPDX-License-Identifier: Apache-2.0
// Question: what does a program get that does what README says?
//
// With the public face only, settings as they come, and the host in the place that the plan has for it. Baseline: two
// threads of one process with a ring of their own in each direction (user/thread_ends.hpp). Peers: two processes and pipes,
// two threads and oneTBB's bounded queue.
//
// Machine: two processing units, the host's and the worker's.
//
//   push_poll/SUBJECT/SIZE/push:N    a host of one thread pushes N events at a time, a worker hands each on, the host polls.
//   push_sink/SUBJECT/SIZE/push:N    the host pushes, a worker adds them up. record: events of varying size.
//   source_poll/SUBJECT/SIZE/push:N  a worker makes events, N at a time, the host polls.
//   round_trip/SUBJECT/SIZE          as push_poll, one event at a time; as the host sees it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "counted_runs.hpp"
#include "open_loop.hpp"
#include "shared.hpp"
#include "suite.hpp"
#include "user/pipe_ends.hpp"
#include "user/sluice_ends.hpp"
#include "user/thread_ends.hpp"
#ifdef SLUICE_BENCH_TBB
#include "user/tbb_ends.hpp"
#endif

namespace sluice::bench {
namespace {

void add_counted(const std::string& name, const Traffic& traffic, std::function<int(const Traffic&)> run) {
  add_once(name, [traffic, run = std::move(run)](benchmark::State& state) {
    measure(
        state, [&] { return run(traffic); }, traffic.events, sum_of_numbers(traffic.events));
  });
}

// The same number of bytes for each size, within bounds.
std::uint64_t events_of(std::size_t bytes, const Options& options) {
  constexpr std::uint64_t kBytes = 256U << 20U;
  const std::uint64_t events = std::min<std::uint64_t>(kBytes / bytes, 4'000'000);
  return (options.quick ? events / 8 : events) / kMostAtOnce * kMostAtOnce;
}

template <std::size_t kBytes>
void add_size(const Options& options) {
  using Event = Load<kBytes>;
  for (const std::size_t batch : {std::size_t{1}, kMostAtOnce}) {
    const Traffic traffic{events_of(kBytes, options), batch};
    const std::string what = fmt::format("{}B/push:{}", kBytes, batch);
    add_counted("push_poll/sluice/" + what, traffic, push_poll_by_sluice<Event, PassOn<Event>>);
    add_counted("push_poll/sluice_spans/" + what, traffic, push_poll_by_sluice<Event, PassOnMany<Event>>);
    add_counted("push_poll/baseline:two_threads/" + what, traffic, push_poll_by_threads<Event>);
    add_counted("push_sink/sluice/" + what, traffic, push_by_sluice<Event>);
    add_counted("push_sink/baseline:two_threads/" + what, traffic,
                [](const Traffic& all) { return one_way_by_threads<Event>(all, true); });
    add_counted("source_poll/sluice/" + what, traffic, poll_by_sluice<Event>);
    add_counted("source_poll/baseline:two_threads/" + what, traffic,
                [](const Traffic& all) { return one_way_by_threads<Event>(all, false); });
#ifdef SLUICE_BENCH_TBB
    if (options.peers) add_counted("push_poll/peer:tbb_queue/" + what, traffic, push_poll_by_tbb<Event>);
#endif
    if (!options.peers || kBytes != 64) continue;
    add_counted("push_poll/peer:pipes/" + what, traffic, push_poll_by_pipes<Load<64>>);
  }
}

void add_records(const Options& options) {
  for (const std::size_t batch : {std::size_t{1}, kMostAtOnce}) {
    add_counted(fmt::format("push_sink/sluice/record:64B/push:{}", batch), {events_of(64, options), batch},
                push_records_by_sluice<Load<64>>);
  }
}

void add_round_trip(const std::string& subject, const Options& options,
                    int (*run)(std::uint64_t events, Histogram& times)) {
  const std::uint64_t events = options.quick ? 20'000 : 200'000;
  add_once(fmt::format("round_trip/{}/64B", subject), [=](benchmark::State& state) {
    const Shared<Histogram> times;
    measure(
        state, [&] { return run(events, *times); }, events, sum_of_numbers(events));
    report(*times, state);
  });
}

void add_all(const Options& options) {
  add_size<64>(options);
  if (!options.quick) {
    add_size<8>(options);
    add_size<256>(options);
    add_size<1024>(options);
  }
  add_records(options);
  add_round_trip("sluice", options, round_trips_by_sluice<Load<64>>);
  add_round_trip("baseline:two_threads", options, round_trips_by_threads<Load<64>>);
  if (options.peers) add_round_trip("peer:pipes", options, round_trips_by_pipes<Load<64>>);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
