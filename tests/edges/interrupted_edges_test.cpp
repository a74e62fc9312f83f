// SPDX-License-Identifier: Apache-2.0
// That a drain has interrupted a source is known behind it until the end, whatever becomes of the source meanwhile.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;

enum class Trouble { killed, away };

// Has no end, or ends at once; says its last word in three portions, and comes to grief once, in the second one.
class SaysPortions {
 public:
  SaysPortions(Worker& worker, bool ends, std::string trouble, Trouble kind)
      : said_{worker.state<std::uint32_t>("said")}, ends_{ends}, trouble_{std::move(trouble)}, kind_{kind} {}
  SourceState operator()(Output<Item>& /*out*/) const {
    return ends_ ? SourceState::end : SourceState::nothing_now;
  }
  bool finish(Output<Item>& out) {
    if (*said_ == 1 && lines_of(trouble_).empty()) {
      log_line(trouble_, "once");
      if (kind_ == Trouble::away) throw Unavailable{"nobody listens"};
      std::raise(SIGKILL);
    }
    out.push({0, *said_});
    return ++said_.edit() < 3;
  }

 private:
  Recoverable<std::uint32_t> said_;
  bool ends_;
  std::string trouble_;
  Trouble kind_;
};

// Says at its end whether what came is all.
class SaysWhetherAllCame {
 public:
  SaysWhetherAllCame(Worker& worker, std::string log) : worker_{worker}, log_{std::move(log)} {}
  void operator()(const Item& item) const { log_line(log_, std::to_string(item.number)); }
  void finish() const { log_line(log_, worker_.interrupted() ? "interrupted" : "whole"); }

 private:
  Worker& worker_;
  std::string log_;
};

class InterruptedInItsLastWord : public WithOutside, public testing::WithParamInterface<Trouble> {
 protected:
  Pipeline pipeline(bool ends) const {
    Pipeline pipeline{"portions"};
    pipeline.source<SaysPortions>("say", {}, ends, file("trouble"), GetParam())
        .to<SaysWhetherAllCame>("end", {}, log());
    return pipeline;
  }
  // A portion is a batch.
  Settings portions() const { return settings({"batch.events=1"}); }
};

TEST_P(InterruptedInItsLastWord, ASourceStaysInterrupted) {
  Engine engine{pipeline(false), portions()};
  engine.start();
  engine.begin_drain();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(lines_of(file("trouble")).size(), 1U);
  EXPECT_THAT(lines_of(log()), ElementsAre("0", "1", "2", "interrupted"));
  EXPECT_TRUE(engine.interrupted());
}

TEST_P(InterruptedInItsLastWord, ASourceThatHadEndedIsNot) {
  Engine engine{pipeline(true), portions()};
  engine.start();
  ASSERT_TRUE(eventually([&] { return !lines_of(file("trouble")).empty(); }));
  engine.begin_drain();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(lines_of(log()), ElementsAre("0", "1", "2", "whole"));
  EXPECT_FALSE(engine.interrupted());
}

INSTANTIATE_TEST_SUITE_P(By, InterruptedInItsLastWord, testing::Values(Trouble::killed, Trouble::away),
                         [](const auto& trouble) {
                           return trouble.param == Trouble::killed ? "AKill" : "AnAbsence";
                         });

}  // namespace
}  // namespace sluice::test
