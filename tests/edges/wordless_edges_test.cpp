// SPDX-License-Identifier: Apache-2.0
// What a handler throws may have no text, and is what it is all the same.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class Wordless : public WithOutside {};

// Says nothing of why.
class Silent {
 public:
  explicit Silent(std::string service) : service_{std::move(service)} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (!std::filesystem::exists(service_)) throw Unavailable{""};
    out.push(item);
  }

 private:
  std::string service_;
};

TEST_F(Wordless, UnavailableIsSeenToBeAway) {
  Pipeline pipeline{"silent"};
  pipeline.inlet<Item>("in").to<Silent>("silent", file("service")).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "silent/0").verdict == "waiting outside"; }));
  EXPECT_EQ(worker_of(engine, "silent/0").outside, "an exception without a word");
  EXPECT_THAT(to_text(engine.stats(), {}, 0), HasSubstr("waits outside"));
  std::ofstream{file("service")} << "here";
  in.close();
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "silent/0").events_in == 1; }));
}

TEST_F(Wordless, RefusedSaysSo) {
  Pipeline pipeline{"wordless"};
  pipeline.inlet<Item>("in").to("refuse", [](const Item&) { throw Refused{""}; });
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
  in.close();
  engine.wait();
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].cause, "refused: an exception without a word");
}

}  // namespace
}  // namespace sluice::test
