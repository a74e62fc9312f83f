// SPDX-License-Identifier: Apache-2.0
// A resume with state, events and routes that mean something else than before: it is refused, and the refusal says what
// differs and how to go on.
#include "outside_world.hpp"
#include "state_region.hpp"

namespace sluice::test {

using namespace detail;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Price {
  std::uint64_t units;
  char currency[4];
  std::uint32_t scale;
};
struct Amount {  // The same members.
  std::uint64_t units;
  char currency[4];
  std::uint32_t scale;
};
struct Weight {  // Others of the same size.
  double units;
  char currency[4];
  std::uint32_t scale;
};

// What a later process of a worker is told that claims `After`; empty when it goes on with it.
template <class Before, class After>
std::string told(std::uint32_t version_before = 0, std::uint32_t version_after = 0) {
  Region region;
  {
    Incarnation first{region};
    Recoverable<Before>(first.area, "price", Before{}, version_before);
  }
  Incarnation second{region};
  return error_of([&] { Recoverable<After>(second.area, "price", After{}, version_after); });
}

TEST(KindOfState, ThatIsTheSameGoesOn) {
  EXPECT_EQ((told<Price, Price>()), "");
  EXPECT_EQ((told<std::uint64_t, std::uint64_t>()), "");
  EXPECT_EQ((told<std::array<char, 500>, std::array<char, 500>>(3, 3)), "");
}

TEST(KindOfState, ThatHasOneSizeAndAnotherMeaningIsRefused) {
  EXPECT_THAT((told<std::uint64_t, double>()),
              AllOf(HasSubstr("'price' of stage stage"), HasSubstr("it was kept as"), HasSubstr("unsigned"),
                    HasSubstr("and is double"), HasSubstr("start the pipeline anew")));
  EXPECT_THAT((told<Price, Amount>()), AllOf(HasSubstr("Price"), HasSubstr("Amount")));
}

TEST(KindOfState, WithAVersionMayChangeItsNameButNotItsMembers) {
  EXPECT_EQ((told<Price, Amount>(1, 1)), "");
  EXPECT_THAT((told<Price, Weight>(1, 1)), AllOf(HasSubstr("char x 4"), HasSubstr("{double")));
  EXPECT_THAT((told<Price, Price>(1, 2)), AllOf(HasSubstr("version 1"), HasSubstr("version 2")));
  EXPECT_THAT((told<Price, Price>(0, 1)), HasSubstr("version 1"));
}

// Members of members, of arrays of them, far behind, and what an enumeration is made of. The version takes the place of the
// name, which would tell them apart.
template <class Number>
struct BookOf {
  struct Side {
    std::uint64_t count;
    Number price;
  };
  Side bid;
  std::array<Side, 5> levels;
};
template <class Number>
struct FarBehind {
  char text[300];
  std::array<std::uint32_t, 40> counts;
  Number number;
};
enum class Small : std::uint8_t { one };
enum class Narrow : std::int8_t { one };
template <class Enumeration>
struct Chosen {
  Enumeration kind;
  std::uint8_t more;
};
struct Derived : Chosen<Small> {
  std::uint32_t number;
};
struct Tied {
  Small kind;
  std::uint8_t more;
  float number;
};
class Hidden {
 public:
  Hidden() = default;

 private:
  [[maybe_unused]] std::uint64_t number_ = 0;
};

TEST(KindOfState, IsThatOfTheMembersOfItsMembers) {
  EXPECT_THAT((told<BookOf<std::uint64_t>, BookOf<double>>(1, 1)), HasSubstr("double"));
  EXPECT_EQ((told<BookOf<double>, BookOf<double>>(1, 1)), "");
  EXPECT_THAT((told<FarBehind<std::uint64_t>, FarBehind<double>>(1, 1)), HasSubstr("double"));
  EXPECT_THAT((told<Chosen<Small>, Chosen<Narrow>>(1, 1)), HasSubstr("enum signed char"));
  EXPECT_THAT((told<Derived, Tied>(1, 1)), AllOf(HasSubstr("unsigned"), HasSubstr("float")));
}

TEST(KindOfState, SaysWhatItCannotLookInto) {
  EXPECT_THAT((fields_of<Chosen<Hidden>>()), HasSubstr("{other, unsigned char}"));
  EXPECT_THAT((fields_of<std::array<Chosen<Small>, 100>>()), HasSubstr(", ...}"));
  EXPECT_THAT((fields_of<std::array<std::uint16_t, 2000>>()), HasSubstr("x 1024, ...}"));
}

TEST(KindOfState, OfKeysAndValuesOfATableIsCompared) {
  Region region;
  {
    Incarnation first{region};
    Table<std::uint32_t, Price>(first.area, "prices", 10);
  }
  Incarnation second{region};
  EXPECT_THAT(error_of([&] { Table<std::int32_t, Price>(second.area, "prices", 10); }), HasSubstr("kept as"));
  EXPECT_THAT(error_of([&] { Table<std::uint32_t, Weight>(second.area, "prices", 10); }),
              HasSubstr("Weight"));
  EXPECT_THAT(error_of([&] { Recoverable<int>(second.area, "prices"); }), HasSubstr("another piece"));
  EXPECT_EQ(error_of([&] { Table<std::uint32_t, Price>(second.area, "prices", 10); }), "");
}

template <int kNumber>
struct OfALongNameWithManyWordsThatSayNothingAndGoOnUntilNoDirectoryHasRoomForThemAnyMore {
  std::uint64_t value;
};
template <int kNumber>
using Long = OfALongNameWithManyWordsThatSayNothingAndGoOnUntilNoDirectoryHasRoomForThemAnyMore<kNumber>;

template <class First, class Second>
struct TwoOf {
  First first;
  Second second;
};

// What does not fit the directory still counts.
TEST(KindOfState, WhoseNameIsLongIsComparedToItsEnd) {
  EXPECT_EQ((told<TwoOf<Long<1>, Long<2>>, TwoOf<Long<1>, Long<2>>>()), "");
  EXPECT_THAT((told<TwoOf<Long<1>, Long<2>>, TwoOf<Long<1>, Long<3>>>()), HasSubstr("kept as"));
}

// A pipeline with a named segment that is started again by another program.
class KindOfPipeline : public WithOutside {
 protected:
  Settings named() const { return settings({"segment.path=" + file("segment")}); }
  // Empty when the start goes on.
  std::string start(const Pipeline& pipeline) {
    return error_of([&] {
      Engine engine{pipeline, named()};
      engine.start();
      // A segment in which nothing has happened is begun anew.
      EXPECT_EQ(engine.inlet<Item>("in").push({1, 1}), PushResult::accepted);
      auto out = engine.outlet<Item>("out");
      EXPECT_TRUE(eventually([&] { return out.poll([](const Item&) {}, 1) == 1; }));
      engine.park();
    });
  }
};

template <class T>
class Keeps {
 public:
  explicit Keeps(Worker& worker) : value_{worker.state<T>("value")} {}
  void operator()(const Item& item, Output<Item>& out) { out.push(item); }

 private:
  Recoverable<T> value_;
};

template <class T>
Pipeline keeping() {
  Pipeline pipeline{"kinds"};
  pipeline.inlet<Item>("in").to<Keeps<T>>("keep").outlet("out");
  return pipeline;
}

TEST_F(KindOfPipeline, WhoseStateIsAnotherIsRefused) {
  EXPECT_EQ(start(keeping<std::uint64_t>()), "");
  EXPECT_THAT(start(keeping<double>()), AllOf(HasSubstr("'value' of stage keep"), HasSubstr("is double")));
}

// What it does not touch would be taken for today's by the next program that asks for it.
TEST_F(KindOfPipeline, WhoseStateIsNotAskedForAnyMoreIsRefused) {
  Pipeline without{"kinds"};
  without.inlet<Item>("in").to<Echo>("keep").outlet("out");
  EXPECT_EQ(start(keeping<std::uint64_t>()), "");
  EXPECT_THAT(start(without), AllOf(HasSubstr("'value' of stage keep"), HasSubstr("does not ask for it")));
  EXPECT_EQ(start(keeping<std::uint64_t>()), "") << "what is refused is left as it was";
}

TEST_F(KindOfPipeline, MayAskForMoreStateBehindWhatThereIs) {
  Pipeline more{"kinds"};
  more.inlet<Item>("in").to<Keeps<std::uint64_t>>("keep").outlet("out");
  Pipeline none{"kinds"};
  none.inlet<Item>("in").to<Echo>("keep").outlet("out");
  EXPECT_EQ(start(none), "");
  EXPECT_EQ(start(more), "");
}

// A piece of the engine's own may be the last one by then: letters have one, and so has what is retried.
class Refuses : public Keeps<std::uint64_t> {
 public:
  using Keeps::Keeps;
  void operator()(const Item& item, Output<Item>& out) {
    if (item.number == 1) throw Refused{"the first"};
    Keeps::operator()(item, out);
  }
};
class RefusesAndKeepsMore : public Refuses {
 public:
  explicit RefusesAndKeepsMore(Worker& worker)
      : Refuses{worker},
        rows_{worker.table<std::uint64_t, std::uint64_t>("rows", 10)},
        more_{worker.state<std::uint64_t>("more", 7)} {}
  void operator()(const Item& item, Output<Item>& out) {
    ++rows_[item.key];
    out.push({static_cast<std::uint32_t>(rows_[item.key]), static_cast<std::uint32_t>(more_.edit()++)});
  }

 private:
  Table<std::uint64_t, std::uint64_t> rows_;
  Recoverable<std::uint64_t> more_;
};

TEST_F(KindOfPipeline, MayAskForMoreStateBehindLettersAndGoOnWithIt) {
  const auto with = [](auto handler) {
    Pipeline pipeline{"kinds"};
    pipeline.inlet<Item>("in").to<typename decltype(handler)::type>("keep").outlet("out");
    return pipeline;
  };
  const Pipeline before = with(std::type_identity<Refuses>{});
  const Pipeline behind = with(std::type_identity<RefusesAndKeepsMore>{});
  {
    Engine engine{before, named()};
    engine.start();
    ASSERT_EQ(engine.inlet<Item>("in").push({1, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
    engine.park();
  }
  for (std::uint32_t life = 1; life <= 2; ++life) {
    Engine engine{behind, named()};
    ASSERT_EQ(error_of([&] { engine.start(); }), "");
    ASSERT_EQ(engine.inlet<Item>("in").push({3, 3}), PushResult::accepted);
    auto out = engine.outlet<Item>("out");
    std::vector<std::array<std::uint32_t, 2>> got;
    ASSERT_TRUE(eventually([&] {
      return out.poll([&](const Item& item) { got.push_back({item.key, item.number}); }) != 0;
    }));
    EXPECT_EQ(got, (std::vector<std::array<std::uint32_t, 2>>{{life, 6 + life}}));
    out.ack();
    engine.park();
  }
}

Pipeline routed(const std::function<Stream<Item>(const Stream<Item>&)>& route) {
  Pipeline pipeline{"kinds"};
  route(pipeline.inlet<Item>("in")).to<Echo>("echo", {.workers = 2}).outlet("out");
  return pipeline;
}

TEST_F(KindOfPipeline, WhoseRouteGoesByAnotherMemberIsRefused) {
  const Pipeline by_key = routed([](const auto& items) { return items.by(&Item::key); });
  EXPECT_EQ(start(by_key), "");
  EXPECT_THAT(start(routed([](const auto& items) { return items.by(&Item::number); })),
              AllOf(HasSubstr("by key"), HasSubstr("at 4")));
  EXPECT_EQ(start(by_key), "") << "what is refused is left as it was";
}

TEST_F(KindOfPipeline, WhoseRouteHasAnotherVersionIsRefused) {
  const auto version = [](std::uint32_t number) {
    return routed([number](const auto& items) {
      return items.by([](const Item& item) { return item.key % 7; }, number);
    });
  };
  EXPECT_EQ(start(version(1)), "");
  EXPECT_THAT(start(version(2)), AllOf(HasSubstr("version 1"), HasSubstr("version 2")));
  EXPECT_EQ(start(routed([](const auto& items) {
              return items.by([](const Item& item) { return item.key % 7 + 0; }, 1);
            })),
            "")
      << "with a version the function may be another";
}

struct RunNumber {
  std::uint64_t number;
};
class SaysItsRun {
 public:
  explicit SaysItsRun(Worker& worker) : run_{worker.run()} {}
  void operator()(const Item&, Output<RunNumber>& out) const { out.push({run_}); }

 private:
  std::uint64_t run_;
};

class DrawnNumbers : public KindOfPipeline {
 protected:
  static Pipeline pipeline() {
    Pipeline pipeline{"numbers"};
    pipeline.inlet<Item>("in").to<SaysItsRun>("say").outlet("out");
    return pipeline;
  }
  // What the handler says of a life that is parked behind it.
  std::uint64_t live() const {
    Engine engine{pipeline(), named()};
    engine.start();
    std::ignore = engine.inlet<Item>("in").push({1, 1});
    std::uint64_t number = 0;
    auto out = engine.outlet<RunNumber>("out");
    EXPECT_TRUE(
        eventually([&] { return out.poll([&](const RunNumber& run) { number = run.number; }, 1) == 1; }));
    engine.park();
    return number;
  }
  void flip(std::uint64_t at) const {
    std::fstream segment{file("segment"), std::ios::in | std::ios::out | std::ios::binary};
    segment.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(segment.get() ^ 4);
    segment.seekp(static_cast<std::streamoff>(at));
    segment.put(byte);
  }
};

TEST_F(DrawnNumbers, ThatAreDamagedAreRefused) {
  const std::uint64_t run = live();
  std::ifstream segment{file("segment"), std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{segment}, {}};
  // What the host asks of the others stands before all lanes; the seed of the tables' keys stands behind the run.
  const std::size_t at = bytes.find(std::string{reinterpret_cast<const char*>(&run), sizeof(run)});
  ASSERT_NE(at, std::string::npos);
  for (const std::uint64_t damaged : {at, at + sizeof(run), at + sizeof(run) + 7}) {
    flip(damaged);
    EXPECT_THAT(error_of([&] { live(); }), HasSubstr("is damaged")) << damaged - at;
    flip(damaged);
  }
  EXPECT_EQ(live(), run) << "what is refused is left as it was";
}

TEST(KindOfEvent, NamesItsMembersInTheShape) {
  const Pipeline pipeline = keeping<int>();
  for (const Edge& edge : pipeline.graph().edges)
    EXPECT_EQ(edge.fields, "{unsigned int x 2}, 8 bytes, aligned to 4");
}

}  // namespace
}  // namespace sluice::test
