// SPDX-License-Identifier: Apache-2.0
// The ten targets: which benchmarks they look at, and where the line is.

#include "targets.hpp"

#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "judge.hpp"

namespace sluice::bench {
namespace {

// Events are dealt to two workers and gathered again, beside threads that hand blocks on.
void fan_out(Judge& judge) {
  const Found threads = judge.find("pipeline", "fan_out/peer:tbb_pipeline", "items_per_second");
  const char* of = "oneTBB's parallel_pipeline";
  judge.ratio(1, "handlers of spans", "items_per_second",
              judge.find("pipeline", "fan_out/sluice_spans", "items_per_second"), threads, Bound::at_least,
              1.0, of);
  judge.ratio(1, "handlers of events", "items_per_second",
              judge.find("pipeline", "fan_out/sluice", "items_per_second"), threads, Bound::at_least, 0.7,
              of);
  const Found threads_cpu = judge.find("pipeline", "fan_out/peer:tbb_pipeline", "cpu_ns_per_item");
  for (const auto& [what, subject] : {std::pair{"spans", "sluice_spans"}, {"events", "sluice"}}) {
    judge.ratio(1, fmt::format("CPU time, handlers of {}", what), "cpu_ns_per_item",
                judge.find("pipeline", fmt::format("fan_out/{}", subject), "cpu_ns_per_item"), threads_cpu,
                Bound::at_most, 1.3, of);
  }
}

// What each of `stages` more costs.
Found per_further(Found all, const Found& first, int stages) {
  if (!all.value || !first.value) return all.value ? first : all;
  all.value = (*all.value - *first.value) / stages;
  all.disturbed |= first.disturbed;
  return all;
}

// Source, stages and sink called in one thread, with all their commits: what an event costs without any distance.
void one_thread(Judge& judge) {
  for (const auto& [what, subject, line] :
       {std::tuple{"events", "inline", 3.0}, {"spans", "inline_spans", 2.0}}) {
    const auto of = [&judge, subject = subject](int stages) {
      return time_each(judge.find("pipeline", fmt::format("chain/baseline:{}/stages:{}", subject, stages),
                                  "items_per_second"));
    };
    const Found one = of(1);
    judge.value(2, fmt::format("source, stage, sink; {}", what), "_ns", one, 8);
    judge.value(2, fmt::format("each further stage; {}", what), "_ns", per_further(of(8), one, 7), line);
  }
}

// What a program gets that uses the public face.
void user(Judge& judge) {
  const auto of = [&judge](const char* group, const char* subject, const char* parameters) {
    return judge.find("user", fmt::format("{}/{}/{}", group, subject, parameters), "items_per_second");
  };
  for (const char* parameters : {"64B/push:1", "64B/push:32"}) {
    judge.ratio(3, fmt::format("push, worker, poll {}", parameters), "items_per_second",
                of("push_poll", "sluice", parameters), of("push_poll", "baseline:two_threads", parameters),
                Bound::at_least, 0.9, "two threads with a ring");
  }
  judge.ratio(3, "push of 32 against push of one", "items_per_second",
              of("push_sink", "sluice", "64B/push:32"), of("push_sink", "sluice", "64B/push:1"),
              Bound::at_least, 4, "push of one");
}

void one_way(Judge& judge) {
  for (const char* size : {"8B", "64B", "256B", "1024B"}) {
    // What copies is compared with what copies; batches and work in place are one kind: whichever is best.
    const std::array<std::pair<const char*, std::vector<std::string>>, 2> kinds = {
        {{"single", {"single"}}, {"batch or in place", {"batch", "in_place"}}}};
    for (const auto& [kind, forms] : kinds) {
      std::vector<std::string> names;
      std::vector<std::string> parameters;
      for (const std::string& form : forms) {
        names.push_back(fmt::format("one_way/lane/{}/{}", size, form));
        parameters.push_back(fmt::format("{}/{}", size, form));
      }
      const bool is_promised_more = std::string_view{size} == "64B" && forms.size() == 1;
      judge.ratio(4, fmt::format("{}, {}", size, kind), "items_per_second",
                  judge.best("peers", names, "items_per_second"),
                  judge.best_peer("peers", "one_way", parameters, "items_per_second"), Bound::at_least,
                  is_promised_more ? 1.2 : 1.0, "the best peer");
    }
  }
}

void round_trip(Judge& judge) {
  const std::string lane = "round_trip/lane/64B";
  const std::array<std::string, 1> parameters = {"64B"};
  judge.ratio(5, "a lane, p50", "p50_ns", judge.find("peers", lane, "p50_ns"),
              judge.find("peers", "round_trip/limit:one_line/64B", "p50_ns"), Bound::at_most, 1.15,
              "one line's ping-pong");
  judge.ratio(5, "a lane, p99.9", "p99.9_ns", judge.find("peers", lane, "p99.9_ns"),
              judge.best_peer("peers", "round_trip", parameters, "p99.9_ns"), Bound::at_most, 1.0,
              "the best peer");
  judge.difference_ns(5, "through a worker, p50", judge.find("hop", "round_trip/worker/64B", "p50_ns"),
                      judge.find("hop", "round_trip/baseline:bare_loop/64B", "p50_ns"), 25, "the bare loop");
}

void exactness(Judge& judge) {
  for (const auto& [batch, line] : {std::pair{"natural", 0.95}, {"1", 0.85}}) {
    judge.ratio(
        6, fmt::format("through a worker, batch {}", batch), "items_per_second",
        judge.find("hop", fmt::format("through/worker/batch:{}/stateless", batch), "items_per_second"),
        judge.find("hop", fmt::format("through/baseline:bare_loop/batch:{}/stateless", batch),
                   "items_per_second"),
        Bound::at_least, line, "the bare loop");
  }
  judge.ratio(6, "in one thread, batch natural", "items_per_second",
              judge.find("hop", "one_thread/worker/batch:natural/stateless", "items_per_second"),
              judge.find("hop", "one_thread/baseline:bare_loop/batch:natural/stateless", "items_per_second"),
              Bound::at_least, 0.85, "the bare loop");
  judge.difference_ns(6, "table update", time_each(judge.find("hop", "table/undo", "items_per_second")),
                      time_each(judge.find("hop", "table/baseline:no_undo", "items_per_second")), 15,
                      "the same without undo");
}

void whole_pipeline(Judge& judge) {
  const std::string ours = "market/sluice";
  const std::string single = "market/baseline:single_thread";
  judge.ratio(7, "market, CPU time", "cpu_s", judge.find("pipeline", ours, "cpu_s"),
              judge.find("pipeline", single, "cpu_s"), Bound::at_most, 1.15, "one thread");
  judge.ratio(7, "market, wall time", "time_ns", judge.find("pipeline", ours, "time_ns"),
              judge.find("pipeline", single, "time_ns"), Bound::at_most, 0.55, "one thread");
  for (const auto& [peer, line] : {std::pair{"node_cluster", 20.0}, {"zeromq", 5.0}, {"pipe", 5.0}}) {
    judge.ratio(7, fmt::format("fan-out against {}", peer), "items_per_second",
                judge.find("pipeline", "fan_out/sluice", "items_per_second"),
                judge.find("pipeline", fmt::format("fan_out/peer:{}", peer), "items_per_second"),
                Bound::at_least, line, peer);
  }
}

void recovery(Judge& judge) {
  const Found limit = judge.find("recovery", "replacement/limit:fork_store/state:0B", "p50_ns");
  for (const char* state : {"0B", "1GiB"}) {
    const std::string name = fmt::format("replacement/sluice/state:{}", state);
    judge.ratio(8, fmt::format("{} of state, p50", state), "p50_ns", judge.find("recovery", name, "p50_ns"),
                limit, Bound::at_most, 1.5, "a bare kill, fork, store");
    judge.value(8, fmt::format("{} of state, p99", state), "p99_ns", judge.find("recovery", name, "p99_ns"),
                2e6);
  }
  judge.ratio(8, "the others meanwhile", "items_per_second",
              judge.find("recovery", "bystander/sluice/killing", "items_per_second"),
              judge.find("recovery", "bystander/baseline:undisturbed/killing", "items_per_second"),
              Bound::at_least, 0.95, "undisturbed");
  const std::string crowded = "replacement/sluice/state:1MiB,busy:8";
  judge.value(8, "eight other programs, p50", "p50_ns", judge.find("recovery", crowded, "p50_ns"), 2e6);
  judge.value(8, "eight other programs, p99", "p99_ns", judge.find("recovery", crowded, "p99_ns"), 20e6);
}

void many(Judge& judge) {
  const std::array<std::string, 2> idle = {"lanes/worker/idle:255/active:1",
                                           "lanes/worker/idle:256/active:1"};
  Found alone = time_each(judge.find("scale", "lanes/worker/idle:0/active:1", "items_per_second"));
  alone.subject = "alone";
  judge.difference_ns(9, "an event beside 256 idle lanes",
                      time_each(judge.best("scale", idle, "items_per_second")), alone, 30, "alone");
  constexpr double kPageBytes = 4096;
  judge.value(9, "a lane beyond its slots", "overhead_bytes",
              judge.find("scale", "memory/lane", "overhead_bytes"), 512 + kPageBytes);
  judge.value(9, "a worker", "private_bytes", judge.find("scale", "memory/worker", "private_bytes"), 1048576);
  for (const auto& [workers, line_s] : {std::pair{128, 2.0}, {256, 10.0}})
    judge.value(9, fmt::format("{0} to {0}, start", workers), "_ns",
                judge.find("scale", fmt::format("all_to_all/engine/workers:{}", workers), "start_ns"),
                line_s * 1e9);
  judge.value(9, "128 to 128, kernel memory", "kernel_bytes",
              judge.find("scale", "all_to_all/engine/workers:128", "kernel_bytes"), 150e6);
  judge.value(9, "128 to 128, respawn", "_ns",
              judge.find("scale", "all_to_all/engine/workers:128", "respawn_ns"), 2e6);
}

void tails(Judge& judge) {
  judge.ratio(10, "parked round trip, p50", "p50_ns",
              judge.find("latency", "parked_round_trip/lane/64B", "p50_ns"),
              judge.find("latency", "parked_round_trip/baseline:eventfd/64B", "p50_ns"), Bound::at_most, 1.3,
              "a bare eventfd pair");
  judge.value(10, "64 idle workers", "cpu_percent", judge.find("scale", "idle/workers/64", "cpu_percent"),
              0.1);
  // An event waits for both units, and the machine takes now one, now the other.
  const std::array<std::string, 2> idle = {"open_loop/limit:idle_loop_host/load:50%/latency",
                                           "open_loop/limit:idle_loop_worker/load:50%/latency"};
  judge.ratio(10, "open loop, half the load, p99.9", "p99.9_ns",
              judge.find("latency", "open_loop/end_to_end/load:50%/latency", "p99.9_ns"),
              judge.worst("latency", idle, "p99.9_ns"), Bound::at_most, 3, "a loop that reads the clock");
}

struct Target {
  std::string_view title;
  void (*judge)(Judge&);
};

constexpr std::array<Target, kTargets> kAll = {{
    {"Fan-out to two workers and back together, 64 B", fan_out},
    {"Everything in one thread, 64 B", one_thread},
    {"What a program gets", user},
    {"A lane, one way, two processes, against the best peer of the same kind", one_way},
    {"There and back, 64 B, two processes, spinning", round_trip},
    {"The price of exactness", exactness},
    {"The market demonstration, and fan-out against what others use", whole_pipeline},
    {"From SIGKILL to the replacement's first event", recovery},
    {"Many lanes and many workers", many},
    {"Sleeping, waking and tails", tails},
}};

}  // namespace

std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::holds:
      return "holds";
    case Verdict::falls_short:
      return "falls short";
    case Verdict::not_measured:
      break;
  }
  return "not measured";
}

std::string_view title_of_target(int number) noexcept {
  return kAll[static_cast<std::size_t>(number - 1)].title;
}

std::vector<TargetRow> targets(const Report& report) {
  Judge judge{report};
  for (const Target& target : kAll)
    target.judge(judge);
  return judge.take();
}

}  // namespace sluice::bench
