// SPDX-License-Identifier: Apache-2.0
// Sluice as its README shows it: a pipeline of one worker, the host in the place that the plan has for it, and nothing
// but the public face.
#pragma once

#include <cstring>

#include <sluice/sluice.hpp>

#include "user/exchange.hpp"

namespace sluice::bench {

template <class Event>
struct PassOn {
  void operator()(const Event& event, Output<Event>& out) const { out.push(event); }
};

template <class Event>
struct PassOnMany {
  void operator()(std::span<const Event> events, Output<Event>& out) const { out.push(events); }
};

struct Gathered {
  std::uint64_t events;
  std::uint64_t sum;
};

template <class Event>
class SumUp {
 public:
  explicit SumUp(Worker& worker) : gathered_{worker.state<Gathered>("gathered")} {}
  void operator()(const Event& event) {
    Gathered& gathered = gathered_.edit();
    ++gathered.events;
    gathered.sum += event.words[0];
  }
  void finish() { told().end(gathered_->events, gathered_->sum); }

 private:
  Recoverable<Gathered> gathered_;
};

// The same of records, whose bytes begin with the number.
class SumUpRecords {
 public:
  explicit SumUpRecords(Worker& worker) : gathered_{worker.state<Gathered>("gathered")} {}
  void operator()(const Bytes& record) {
    std::uint64_t number = 0;
    std::memcpy(&number, record.body.data(), sizeof(number));
    Gathered& gathered = gathered_.edit();
    ++gathered.events;
    gathered.sum += number;
  }
  void finish() { told().end(gathered_->events, gathered_->sum); }

 private:
  Recoverable<Gathered> gathered_;
};

template <class Event>
class Count {
 public:
  Count(Worker& worker, const Traffic& traffic)
      : traffic_{traffic}, next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<Event>& out) {
    std::uint64_t& next = next_.edit();
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(traffic_.batch, traffic_.events - next));
    for (std::size_t i = 0; i < count; ++i)
      block_[i].words[0] = next + i;
    if (count == 1) {
      out.push(block_[0]);
    } else {
      out.push(std::span<const Event>{block_.data(), count});
    }
    next += count;
    return next < traffic_.events;
  }

 private:
  Traffic traffic_;
  Recoverable<std::uint64_t> next_;
  std::array<Event, kMostAtOnce> block_{};
};

// Both ends in one thread: it must not wait in a push for room that only its own poll makes.
template <class Event>
class SluiceSide {
 public:
  explicit SluiceSide(Engine& engine) : in_{engine.inlet<Event>("in")}, out_{engine.outlet<Event>("out")} {}

  std::size_t push(std::span<const Event> events) {
    const PushResult result = events.size() == 1 ? in_.try_push(events.front()) : in_.try_push_batch(events);
    return result == PushResult::accepted ? events.size() : 0;
  }
  template <class Take>
  std::size_t poll(Take&& take) {
    return out_.poll(take);
  }
  void close() { in_.close(); }

 private:
  Inlet<Event> in_;
  Outlet<Event> out_;
};

// To its place, where there are places: with more processes than units all float.
inline void start(Engine& engine) {
  engine.start();
  engine.bind_host();
}

template <class Event, class Handler>
Pipeline pass_on() {
  Pipeline pipeline{"user"};
  pipeline.inlet<Event>("in").template to<Handler>("pass").outlet("out");
  return pipeline;
}

template <class Event, class Handler>
int push_poll_by_sluice(const Traffic& traffic) {
  Engine engine{pass_on<Event, Handler>()};
  start(engine);
  SluiceSide<Event> side{engine};
  there_and_back<Event>(side, traffic);
  side.close();
  engine.wait();
  return 0;
}

template <class Event>
int round_trips_by_sluice(std::uint64_t events, Histogram& times) {
  Engine engine{pass_on<Event, PassOn<Event>>()};
  start(engine);
  SluiceSide<Event> side{engine};
  round_trips<Event>(side, events, times);
  side.close();
  engine.wait();
  return 0;
}

template <class Event>
int push_by_sluice(const Traffic& traffic) {
  Pipeline pipeline{"user"};
  pipeline.inlet<Event>("in").template to<SumUp<Event>>("sum");
  Engine engine{pipeline};
  start(engine);
  auto in = engine.inlet<Event>("in");
  told().begin();
  for (Numbered<Event> events{traffic}; !events.all(); events.took(traffic.batch)) {
    const std::span<const Event> next = events.next();
    const PushResult result = traffic.batch == 1 ? in.push(next.front()) : in.push_batch(next);
    if (result != PushResult::accepted) return 1;
  }
  in.close();
  engine.wait();
  return 0;
}

template <class Event>
int push_records_by_sluice(const Traffic& traffic) {
  Pipeline pipeline{"user"};
  pipeline.inlet<Bytes>("in").to<SumUpRecords>("sum");
  Engine engine{pipeline};
  start(engine);
  auto in = engine.inlet<Bytes>("in");
  std::array<Bytes, kMostAtOnce> records;
  told().begin();
  for (Numbered<Event> events{traffic}; !events.all(); events.took(traffic.batch)) {
    const std::span<const Event> next = events.next();
    for (std::size_t i = 0; i < next.size(); ++i)
      records[i] = Bytes{std::as_bytes(next.subspan(i, 1))};
    const PushResult result = traffic.batch == 1
                                  ? in.push(records[0])
                                  : in.push_batch(std::span<const Bytes>{records.data(), next.size()});
    if (result != PushResult::accepted) return 1;
  }
  in.close();
  engine.wait();
  return 0;
}

template <class Event>
int poll_by_sluice(const Traffic& traffic) {
  Pipeline pipeline{"user"};
  pipeline.source<Count<Event>>("count", traffic).outlet("out");
  Engine engine{pipeline};
  start(engine);
  auto out = engine.outlet<Event>("out");
  std::uint64_t events = 0;
  std::uint64_t sum = 0;
  told().begin();
  while (out.wait(kGrace), !out.ended()) {
    events += out.poll([&sum](const Event& event) { sum += event.words[0]; });
  }
  told().end(events, sum);
  engine.wait();
  return 0;
}

}  // namespace sluice::bench
