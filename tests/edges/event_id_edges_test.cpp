// SPDX-License-Identifier: Apache-2.0
// What an event is called: an id for the life of a pipeline, for every attempt the same; and positions of 64 bits.
#include <map>
#include <set>
#include <sstream>
#include <unordered_set>

#include "host/host.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(EventIds, HoldTheirFieldsAndReadAsThem) {
  const EventId id{0x123456789ULL << 28U | 255ULL << 20U | 1023ULL << 10U | 1021ULL, ~std::uint64_t{1}};
  EXPECT_EQ(id.run(), 0x123456789U);
  EXPECT_EQ(id.stage(), 255U);
  EXPECT_EQ(id.replica(), 1023U);
  EXPECT_EQ(id.lane(), 1021U);
  EXPECT_EQ(to_string(id), "123456789.255.1023.1021.18446744073709551614");
  std::ostringstream text;
  text << id;
  EXPECT_EQ(text.str(), to_string(id));
  EXPECT_EQ(to_string(EventId{}), "000000000.0.0.0.0");
}

TEST(EventIds, HashToDifferentValuesWhereTheyDifferInOneBit) {
  std::unordered_set<std::size_t> hashes;
  const EventId id{1ULL << 28U, 4096};
  for (unsigned bit = 0; bit < 64; ++bit) {
    hashes.insert(std::hash<EventId>{}({id.origin ^ 1ULL << bit, id.position}));
    hashes.insert(std::hash<EventId>{}({id.origin, id.position ^ 1ULL << bit}));
  }
  EXPECT_THAT(hashes, SizeIs(128));
}

TEST(EventIds, HaveRoomForEveryPipelineThatStarts) {
  Pipeline many{"many"};
  many.inlet<Item>("in").to<Echo>("echo", {.workers = 1025}).outlet("out");
  EXPECT_THAT(error_of([&] { detail::lay_out(many.graph(), detail::resolve({}, many.graph())); }),
              HasSubstr("at most 1024"));
  Pipeline wide{"wide"};
  for (int n = 0; n < 86; ++n) {
    const std::string name = std::to_string(n);
    wide.inlet<Item>("in" + name).to<Echo>("echo" + name).outlet("out" + name);
  }
  EXPECT_THAT(error_of([&] { detail::lay_out(wide.graph(), detail::resolve({}, wide.graph())); }),
              HasSubstr("at most 256"));
}

// Whether the id in its constructor names its worker, as the ids of its events do: a sink asks its store by it.
class NamedEarly {
 public:
  NamedEarly(Worker& worker, const std::string& log)
      : worker_{worker}, early_{worker.event_id().origin}, log_{log} {}
  void operator()(const Item&) { log_line(log_, worker_.event_id().origin == early_ ? "same" : "other"); }

 private:
  Worker& worker_;
  std::uint64_t early_;
  std::string log_;
};

class IdsOfWorkers : public WithOutside {};

TEST_F(IdsOfWorkers, AreKnownWhenTheirHandlerIsMade) {
  Pipeline pipeline{"early"};
  pipeline.inlet<Item>("in").by(&Item::key).to<NamedEarly>("named", {.workers = 2}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(20, 20))
    std::ignore = in.push(item);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(lines_of(log()), AllOf(SizeIs(20), Each("same")));
}

// Says outside what every attempt at an item was called, and dies in some of them.
class Named {
 public:
  Named(Worker& worker, const std::string& log) : worker_{worker}, log_{log} {}
  void operator()(const Item& item, Output<Item>& out) {
    log_line(log_, std::to_string(item.number) + " " + to_string(worker_.event_id()));
    out.push(item);
    if (item.number % 40 == 39 && worker_.incarnation() <= 3) ::raise(SIGKILL);
  }

 private:
  Worker& worker_;
  std::string log_;
};

// The ids of all that was named; every attempt at one thing must have had the same one, and no other thing.
std::map<std::string, std::string> ids_in(const std::string& log) {
  std::map<std::string, std::string> id_of;
  std::map<std::string, std::string> named;
  for (const std::string& line : lines_of(log)) {
    const std::string what = line.substr(0, line.find(' '));
    const std::string id = line.substr(line.find(' ') + 1);
    EXPECT_EQ(id_of.try_emplace(what, id).first->second, id) << what << " was called otherwise before";
    EXPECT_EQ(named.try_emplace(id, what).first->second, what) << id << " is the name of another";
  }
  return id_of;
}

class Ids : public WithOutside {};

TEST_F(Ids, AreTheSameForEveryAttemptAndDifferBetweenTheWorkersOfAStage) {
  Pipeline pipeline{"named"};
  pipeline.inlet<Item>("in")
      .to<Echo>("echo", {.workers = 2})
      .to<Named>("named", {.workers = 2}, log())
      .outlet("out");
  const std::vector<Item> out = run_processes<Item>(pipeline, items(400, 1), settings());
  EXPECT_THAT(out, SizeIs(400));
  const auto ids = ids_in(log());
  EXPECT_THAT(ids, SizeIs(400));
  EXPECT_GT(lines_of(log()).size(), 400U) << "nothing was attempted twice";
}

TEST_F(Ids, OfACallOfASourceAreTheSameForEveryAttempt) {
  struct Source {
    Source(Worker& worker, const std::string& log)
        : worker{worker}, log{log}, next{worker.state<std::uint32_t>("next")} {}
    bool operator()(Output<Item>& out) {
      if (*next == 100) return false;
      log_line(log, std::to_string(*next) + " " + to_string(worker.event_id()));
      out.push({0, *next});
      if (*next % 30 == 29 && worker.incarnation() <= 3) ::raise(SIGKILL);
      ++next.edit();
      return true;
    }
    Worker& worker;
    std::string log;
    Recoverable<std::uint32_t> next;
  };
  Pipeline pipeline{"source"};
  pipeline.source<Source>("read", {}, log()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(100));
  EXPECT_THAT(ids_in(log()), SizeIs(100));
}

// Says its last word in ten portions and dies in the midst of some.
class Farewell {
 public:
  Farewell(Worker& worker, const std::string& log)
      : worker_{worker}, log_{log}, said_{worker.state<std::uint32_t>("said")} {}
  void operator()(const Item&, Output<Item>&) const noexcept {}
  bool finish(Output<Item>& out) {
    log_line(log_, std::to_string(*said_) + " " + to_string(worker_.event_id()));
    out.push({0, *said_});
    if (*said_ % 4 == 3 && worker_.incarnation() <= 2) ::raise(SIGKILL);
    return ++said_.edit() != 10;
  }

 private:
  Worker& worker_;
  std::string log_;
  Recoverable<std::uint32_t> said_;
};

TEST_F(Ids, OfTheLastWordAreNeverThoseOfAPortionThatWasCommitted) {
  Pipeline pipeline{"farewell"};
  pipeline.inlet<Item>("in").to<Farewell>("farewell", {}, log()).outlet("out");
  // In batches of one each portion is committed before the next.
  for (const char* batch : {"batch.events=1", "batch.events=256"}) {
    std::filesystem::remove(log());
    EXPECT_THAT(run_processes<Item>(pipeline, items(1, 1), settings({batch})), SizeIs(10)) << batch;
    EXPECT_THAT(ids_in(log()), SizeIs(10)) << batch;
  }
}

struct ToItsId {
  explicit ToItsId(Worker& worker) : worker{worker} {}
  void operator()(const Item&, Output<EventId>& out) const { out.push(worker.event_id()); }
  Worker& worker;
};

TEST_F(Ids, BelongToTheRunThatAResumeGoesOnWith) {
  Pipeline pipeline{"runs"};
  pipeline.inlet<Item>("in").to<ToItsId>("name").outlet("out");
  const auto run_of = [&](const Settings& with, bool resumed) {
    Engine engine{pipeline, with};
    engine.start();
    EXPECT_EQ(engine.resumed(), resumed);
    auto out = engine.outlet<EventId>("out");
    std::ignore = engine.inlet<Item>("in").push({});
    EventId id;
    EXPECT_TRUE(eventually([&] { return out.poll([&id](const EventId& each) { id = each; }) != 0; }));
    out.ack();
    engine.stop();
    return id;
  };
  const Settings named = settings({"segment.path=" + file("segment")});
  const EventId first = run_of(named, false);
  const EventId second = run_of(named, true);
  EXPECT_NE(first.run(), 0U);
  EXPECT_EQ(first.run(), second.run());
  EXPECT_EQ(second.position, first.position + sizeof(Item));
  EXPECT_NE(run_of(settings(), false).run(), first.run()) << "another pipeline";
}

// Dies of one item, every time.
template <class E>
struct Allergic {
  void operator()(const E& event, Output<E>& out) const {
    if (is_bad(event)) ::abort();
    out.push(event);
  }
  static bool is_bad(const Item& item) { return item.number == 13; }
  static bool is_bad(const Bytes& bytes) { return bytes.text().starts_with("13 "); }
};

class Positions : public WithOutside, public testing::WithParamInterface<std::uint64_t> {
 protected:
  // Leaves a segment behind in which every lane has come so far.
  void leave_at(const Pipeline& pipeline, const Settings& with, std::uint64_t position) {
    detail::Host host{pipeline.graph(), with, with.text("segment.path")};
    const detail::Wiring& wiring = host.wiring();
    ASSERT_FALSE(wiring.segment().open());
    wiring.segment().prefault();
    wiring.segment().own_everything();
    for (const detail::LaneLayout& lane : wiring.layout().lanes) {
      wiring.process(lane.producer).cursors()[lane.producer_word].store(position);
      wiring.process(lane.consumer).cursors()[lane.consumer_word].store(position);
    }
  }
  Settings named() const {
    return settings({"segment.path=" + file("segment"), "poison.attempts=2", "placement.policy=none"});
  }
  // Starts where leave_at() has left it and pushes `events`, of which the one with number 13 is bad.
  template <class E>
  std::vector<typename detail::Owned<E>::Type> go_on(const Pipeline& pipeline, const std::vector<E>& events) {
    Engine engine{pipeline, named()};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    Collector<E> out{engine, "out"};
    auto in = engine.inlet<E>("in");
    for (const E& event : events)
      EXPECT_EQ(in.push(event), PushResult::accepted);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(engine.stats().dead_letters(), 1U);
    return out.all();
  }
  DeadLetter letter() const {
    const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
    EXPECT_THAT(letters, SizeIs(1));
    return letters.empty() ? DeadLetter{} : letters.front();
  }
};

TEST_P(Positions, NearALimitAreBlamedInTheLaneThatTheyAreOf) {
  Pipeline pipeline{"far"};
  pipeline.inlet<Item>("in")
      .to<Echo>("echo", {.workers = 2})
      .template to<Allergic<Item>>("allergic")
      .outlet("out");
  const std::uint64_t from = GetParam() - 4 * sizeof(Item);
  leave_at(pipeline, named(), from);
  std::vector<Item> out = go_on<Item>(pipeline, items(40, 1));
  std::vector<Item> expected = items(40, 1);
  std::erase_if(expected, [](const Item& item) { return item.number == 13; });
  std::sort(out.begin(), out.end());
  EXPECT_EQ(out, expected);
  const DeadLetter dead = letter();
  EXPECT_EQ(dead.from, "echo/1") << "items go to its workers in turn";
  EXPECT_EQ(dead.position, from + 6 * sizeof(Item));
}

TEST_P(Positions, NearALimitStopBeforeTheRecordThatIsBad) {
  Pipeline pipeline{"far"};
  pipeline.inlet<Bytes>("in").to<Allergic<Bytes>>("allergic").outlet("out");
  std::vector<std::string> texts;
  texts.reserve(40);
  for (int number = 0; number < 40; ++number)
    texts.push_back(std::to_string(number) + " " + std::string(static_cast<std::size_t>(number), 'x'));
  leave_at(pipeline, named(), GetParam() - 400);
  const std::vector<std::string> out = go_on<Bytes>(pipeline, std::vector<Bytes>(texts.begin(), texts.end()));
  const std::string bad = texts[13];
  std::erase(texts, bad);
  EXPECT_EQ(out, texts);
  EXPECT_EQ(letter().payload, bad);
}

INSTANTIATE_TEST_SUITE_P(Limits, Positions,
                         testing::Values(std::uint64_t{1} << 32U, std::uint64_t{1} << 48U,
                                         std::uint64_t{1} << 63U),
                         [](const auto& limit) {
                           return "Bit" + std::to_string(std::countr_zero(limit.param));
                         });

}  // namespace
}  // namespace sluice::test
