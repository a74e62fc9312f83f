// SPDX-License-Identifier: Apache-2.0
// What is pushed into an output that leads nowhere is dropped: that is said once a start, with the output's name.
#include <csignal>

#include "graph/loose_ends.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using namespace sluice::detail;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Take {
  void operator()(const Item&) const {}
};

// "odd" leads nowhere.
Pipeline half_read(const std::string& name = "half-read") {
  Pipeline pipeline{name};
  auto [even, odd] = pipeline.inlet<Item>("in").to<Split>("split");
  even.outlet("even");
  return pipeline;
}

TEST(LooseEnds, AreNamedByStageOutputAndTypeAndSayWhatToDo) {
  Pipeline pipeline{"loose"};
  auto [even, odd] = pipeline.inlet<Item>("in").to<Split>("split");
  even.to<Echo>("last");
  pipeline.inlet<Bytes>("unread");
  const std::string item{type_name<Item>()};
  EXPECT_THAT(
      loose_ends(pipeline.graph()),
      ElementsAre(
          "output 1 of the stage 'split' (" + item +
              ", counted from 0) leads nowhere: what is pushed there is dropped; connect its stream by "
              "to() or outlet(), or have no such Output in the handler",
          AllOf(StartsWith("output 0 of the stage 'last' (" + item + ") leads nowhere: "),
                HasSubstr("have no such Output")),
          "the inlet 'unread' (sluice::Bytes) leads nowhere: what is pushed there is dropped; connect its "
          "stream by to() or outlet(), or leave the inlet out"));
}

TEST(LooseEnds, AreNoneWhereEveryOutputIsRead) {
  Pipeline pipeline{"whole"};
  auto [even, odd] = pipeline.source<Numbers>("numbers", 10U).to<Split>("split");
  even.merge(odd).to<Take>("take");
  odd.outlet("odd");
  EXPECT_THAT(loose_ends(pipeline.graph()), IsEmpty());
}

TEST(LooseEnds, OfARunInlineAreSaidOnStandardErrorUnlessTheLogIsLess) {
  const auto said = [](const std::string& level) {
    Settings settings = test_settings();
    settings.set("log.level", level);
    testing::internal::CaptureStderr();
    run_inline(half_read(), items(4, 1), settings);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(said("warning"),
              AllOf(HasSubstr(" warning half-read: output 1 of the stage 'split' ("), EndsWith("\n")));
  EXPECT_THAT(said("error"), IsEmpty());
  EXPECT_THAT(said("off"), IsEmpty());
}

class LooseEndsOfAStart : public WithOutside {
 protected:
  std::vector<std::string> said_of_loose_ends() const {
    std::vector<std::string> found;
    for (const std::string& line : lines_of(file("said"))) {
      if (line.find("leads nowhere") != std::string::npos) found.push_back(line);
    }
    return found;
  }
  std::string all_said() const {
    std::string text;
    for (const std::string& line : lines_of(file("said")))
      text.append(line).append("\n");
    return text;
  }
  void start(Engine& engine) {
    said_ = Descriptor{::open(file("said").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    engine.log_to(said_.get());
    engine.start();
  }

 private:
  Descriptor said_;
};

TEST_F(LooseEndsOfAStart, AreSaidOnceWhateverDies) {
  Engine engine{half_read(), settings({"log.format=json"})};
  start(engine);
  ::kill(master_of(engine), SIGKILL);
  EXPECT_TRUE(eventually([&] { return all_said().find("another has taken over") != std::string::npos; }))
      << all_said();
  engine.stop();
  EXPECT_THAT(said_of_loose_ends(),
              ElementsAre(AllOf(HasSubstr(R"("report":"loose end")"), HasSubstr(R"("level":"warning")"),
                                HasSubstr("output 1 of the stage 'split' ("))));
}

TEST_F(LooseEndsOfAStart, AreSaidAtEachStartOfAPipelineThatIsKept) {
  for (std::size_t starts = 1; starts <= 2; ++starts) {
    Engine engine{half_read(), settings({"segment.path=" + file("segment")})};
    start(engine);
    engine.park();
    EXPECT_EQ(said_of_loose_ends().size(), starts);
  }
}

TEST_F(LooseEndsOfAStart, AreNotSaidWhereTheLogHasErrorsAlone) {
  Engine engine{half_read(), settings({"log.level=error"})};
  start(engine);
  engine.inlet<Item>("in").close();
  auto even = engine.outlet<Item>("even");
  EXPECT_TRUE(eventually([&] {
    even.poll([](const Item&) {});
    return even.ended();
  }));
  engine.wait();
  EXPECT_THAT(said_of_loose_ends(), IsEmpty());
}

}  // namespace
}  // namespace sluice::test
