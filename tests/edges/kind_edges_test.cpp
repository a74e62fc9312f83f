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

TEST(KindOfEvent, NamesItsMembersInTheShape) {
  const Pipeline pipeline = keeping<int>();
  for (const Edge& edge : pipeline.graph().edges)
    EXPECT_EQ(edge.fields, "{unsigned int x 2}, 8 bytes, aligned to 4");
}

}  // namespace
}  // namespace sluice::test
