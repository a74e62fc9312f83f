// SPDX-License-Identifier: Apache-2.0
// Which stage blocks the rest of pipelines that run: twenty that were drawn, and those in which none does.
#include <array>
#include <ctime>
#include <optional>
#include <random>
#include <utility>

#include "watched.hpp"

namespace sluice::test {
namespace {

// Four of them fill the smallest lane.
struct Parcel {
  std::uint32_t key = 0;
  std::uint32_t number = 0;
  std::array<std::byte, 1016> rest{};
};

// Not the processor's time: the order of the stages is the same on a machine that has something else to do.
void take(std::chrono::nanoseconds time) {
  const timespec left{0, static_cast<long>(time.count())};
  ::nanosleep(&left, nullptr);
}

class Carry {
 public:
  explicit Carry(std::chrono::nanoseconds time) : time_{time} {}
  void operator()(const Parcel& parcel, Output<Parcel>& out) const {
    take(time_);
    out.push(parcel);
  }

 private:
  std::chrono::nanoseconds time_;
};

struct Sort {
  explicit Sort(std::chrono::nanoseconds time) : time{time} {}
  void operator()(const Parcel& parcel, Output<Parcel>& even, Output<Parcel>& odd) const {
    take(time);
    (parcel.number % 2 == 0 ? even : odd).push(parcel);
  }
  std::chrono::nanoseconds time;
};

struct Keep {
  explicit Keep(std::chrono::nanoseconds time) : time{time} {}
  void operator()(const Parcel&) const { take(time); }
  std::chrono::nanoseconds time;
};

struct Send {
  explicit Send(std::chrono::nanoseconds time) : time{time} {}
  bool operator()(Output<Parcel>& out) {
    take(time);
    out.push({next % 97, next, {}});
    ++next;
    return true;
  }
  std::chrono::nanoseconds time;
  std::uint32_t next = 0;
};

// A pipeline of two to six stages, one of which takes a hundred times as long as the others.
class Drawn {
 public:
  explicit Drawn(unsigned seed) : random_{seed} {
    source_ = draw(2) == 0;
    outlet_ = draw(2) == 0;
    sorts_ = draw(3) == 0;
    const unsigned middle = draw(sorts_ ? 2 : 4);
    // In the order in which they are added below.
    if (source_) names_.emplace_back("send");
    if (sorts_) names_.insert(names_.end(), {"sort", "even", "odd"});
    for (unsigned i = 0; i < middle; ++i)
      names_.push_back("carry" + std::to_string(i));
    if (names_.empty()) names_.emplace_back("carry0");
    names_.emplace_back("last");
    slow_ = names_[draw(static_cast<unsigned>(names_.size()))];
    build();
  }

  const Pipeline& pipeline() const { return pipeline_; }
  const std::string& slow() const { return slow_; }
  bool source() const { return source_; }
  bool outlet() const { return outlet_; }
  std::string text() const {
    std::string text = slow_ + " of";
    for (const std::string& name : names_)
      text.append(" ").append(name);
    return text;
  }

 private:
  // On a machine with many busy processes a stage waits some milliseconds for a processor behind every event.
  static constexpr std::chrono::nanoseconds kQuick = 100us;
  static constexpr std::chrono::nanoseconds kSlow = 10ms;

  unsigned draw(unsigned of) { return std::uniform_int_distribution<unsigned>{0, of - 1}(random_); }
  // What an event takes in a stage that gets one of `one_of` events, and shares them out to its workers.
  std::chrono::nanoseconds time(const std::string& name, unsigned workers, unsigned one_of = 1) const {
    return name == slow_ ? kSlow * workers * one_of : kQuick;
  }
  Stream<Parcel> routed(const Stream<Parcel>& stream) {
    return draw(2) == 0 ? stream.by(&Parcel::key) : stream.round_robin();
  }
  Stream<Parcel> carried(const Stream<Parcel>& stream, const std::string& name, unsigned one_of = 1) {
    const unsigned workers = 1 + draw(2);
    return routed(stream).to<Carry>(name, {.workers = workers}, time(name, workers, one_of));
  }
  void build() {
    std::optional<Stream<Parcel>> stream;
    if (source_) stream = pipeline_.source<Send>("send", time("send", 1));
    if (!stream) stream = pipeline_.inlet<Parcel>("in");
    if (sorts_) {
      auto [even, odd] = stream->to<Sort>("sort", time("sort", 1));
      stream = carried(even, "even", 2).merge(carried(odd, "odd", 2));
    }
    for (const std::string& name : names_) {
      if (name.starts_with("carry")) stream = carried(*stream, name);
    }
    const unsigned workers = 1 + draw(2);
    if (outlet_)
      carried(*stream, "last").outlet("out");
    else
      routed(*stream).to<Keep>("last", {.workers = workers}, time("last", workers));
  }

  std::mt19937 random_;
  bool source_ = false;
  bool outlet_ = false;
  bool sorts_ = false;
  std::vector<std::string> names_;
  std::string slow_;
  Pipeline pipeline_{"drawn"};
};

// A host that never lets its inlet run empty and its outlet run full, as far as it has them and is asked to.
class RunOfParcels {
 public:
  RunOfParcels(const Pipeline& pipeline, const Settings& settings, bool pushes, bool pulls)
      : engine{pipeline, settings} {
    engine.start();
    if (pushes) in_ = engine.inlet<Parcel>("in");
    if (pulls) out_ = engine.outlet<Parcel>("out");
  }
  ~RunOfParcels() { engine.stop(); }

  template <class Done>
  bool goes_on_until(Done&& done) {
    return eventually([&] {
      while (in_ && in_->try_push({next_ % 97, next_, {}}) == PushResult::accepted)
        ++next_;
      if (out_) out_->poll([](const Parcel&) {});
      return done();
    });
  }
  // Until the watchdog has looked so often at the workers.
  bool goes_on_for_looks(int looks) {
    auto seen = engine.stats().stages[0].workers[0].time.watched;
    return goes_on_until([&] {
      const auto now = engine.stats().stages[0].workers[0].time.watched;
      if (std::exchange(seen, now) != now) --looks;
      return looks <= 0;
    });
  }

  Engine engine;

 private:
  std::optional<Inlet<Parcel>> in_;
  std::optional<Outlet<Parcel>> out_;
  std::uint32_t next_ = 0;
};

class BottleneckOfRun : public WithSocket {
 protected:
  Settings small(const std::string& socket = "off") const {
    Settings settings = WithSocket::settings(socket);
    settings.set("lane.slots", "4");
    settings.set("batch.events", "2");
    settings.set("watchdog.tick", "1ms");
    return settings;
  }
};

class Seeded : public BottleneckOfRun, public testing::WithParamInterface<unsigned> {};

// So many looks, and so many events, tell a stage that is busy all the time from those that are not.
constexpr int kLooksThatTell = 50;
constexpr std::uint64_t kEventsThatTell = 20;
constexpr int kMostWindows = 50;
constexpr int kOftenWrong = 3;

const StageStats& stage_in(const Stats& stats, const std::string& name) {
  return *std::find_if(stats.stages.begin(), stats.stages.end(),
                       [&](const StageStats& stage) { return stage.name == name; });
}

// The stage has begun, and all in front of it have had to wait for room.
bool is_backed_up(const Stats& stats, const std::string& slow) {
  if (stage_in(stats, slow).events_in() == 0) return false;
  return std::all_of(stats.flows.begin(), stats.flows.end(), [&](const FlowStats& flow) {
    if (flow.to != slow || flow.from == "in") return true;
    const std::vector<WorkerStats>& before = stage_in(stats, flow.from).workers;
    return std::any_of(before.begin(), before.end(),
                       [](const WorkerStats& worker) { return worker.full_waits != 0; }) &&
           is_backed_up(stats, flow.from);
  });
}

TEST_P(Seeded, IsTheStageThatTakesLongest) {
  for (unsigned seed = GetParam(); seed < GetParam() + 5; ++seed) {
    const Drawn drawn{seed};
    RunOfParcels run{drawn.pipeline(), small(), !drawn.source(), drawn.outlet()};
    EXPECT_TRUE(run.goes_on_until([&] { return is_backed_up(run.engine.stats(), drawn.slow()); })) << seed;
    std::string said;
    // A host that gets no processor pushes nothing, and then there is none, or takes nothing, and then it is the host. Of the others one
    // that gets none in the midst of an event is what the rest waits for then, and not in the next windows as well.
    int right = 0;
    for (int window = 0; window < kMostWindows && right < 1 && right > -kOftenWrong; ++window) {
      const Stats before = run.engine.stats();
      const std::uint64_t until = stage_in(before, drawn.slow()).events_in() + kEventsThatTell;
      EXPECT_TRUE(run.goes_on_for_looks(kLooksThatTell)) << seed;
      EXPECT_TRUE(run.goes_on_until([&] {
        return stage_in(run.engine.stats(), drawn.slow()).events_in() >= until;
      })) << seed;
      const std::optional<Bottleneck> found = bottleneck_of(before, run.engine.stats());
      if (!found || found->reason == BottleneckReason::not_taken) continue;
      said += found->text + "\n";
      right += found->name == drawn.slow() && found->reason == BottleneckReason::busy ? 1 : -1;
    }
    EXPECT_EQ(right, 1) << "seed " << seed << ", " << drawn.text() << ":\n" << said;
  }
}
INSTANTIATE_TEST_SUITE_P(Bottleneck, Seeded, testing::Values(0U, 5U, 10U, 15U));

TEST_F(BottleneckOfRun, IsNoneWhileTheHostPushesNothing) {
  RunOfParcels run{counting_pipeline(2), small(), false, false};
  EXPECT_TRUE(run.goes_on_for_looks(1));
  const Stats before = run.engine.stats();
  // Most of the time, and so not before the workers have waited longer than they took to start.
  EXPECT_TRUE(run.goes_on_until([&] {
    return bottleneck_text(before, run.engine.stats()) == "no bottleneck: the stages wait for input";
  })) << bottleneck_text(before, run.engine.stats());
}

TEST_F(BottleneckOfRun, IsTheOutletThatTheHostLeavesFullAndObserversAreToldSo) {
  Pipeline pipeline{"left"};
  pipeline.inlet<Parcel>("in").to<Carry>("carry", 1us).outlet("out");
  RunOfParcels run{pipeline, small(socket_), true, false};
  EXPECT_TRUE(run.goes_on_until([&] { return run.engine.stats().stages[0].workers[0].full_waits != 0; }));
  const Observer observer = Observer::attach(socket_);
  const Stats before = observer.stats();
  EXPECT_TRUE(run.goes_on_for_looks(5));
  const Stats now = observer.stats();
  const auto found = bottleneck_of(before, now);
  ASSERT_TRUE(found) << bottleneck_text(before, now);
  EXPECT_EQ(found->name, "out");
  EXPECT_EQ(found->reason, BottleneckReason::not_taken);
  ASSERT_EQ(now.flows.size(), 2U);
  EXPECT_EQ(now.flows[0].from + " " + now.flows[0].to, "in carry");
  EXPECT_EQ(now.flows[1].from + " " + now.flows[1].to, "carry out");
}

}  // namespace
}  // namespace sluice::test
