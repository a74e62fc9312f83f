// SPDX-License-Identifier: Apache-2.0
// What a program tells of its pipeline, and what a source tells of how far it is behind: seen by everybody who looks at it.
#include <chrono>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/source_lag.hpp>
#include <sluice/observer.hpp>

#include "http_client.hpp"
#include "observer/rates.hpp"
#include "observer/stats_json.hpp"
#include "state/source_lags.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kToldNs = 1'700'000'000'000'000'000;

// Reads nothing, and says that much waits for it; by a piece that it claims behind those that its handler keeps.
class Behind {
 public:
  explicit Behind(Worker& worker) : worker_{worker}, next_{worker.state<std::uint64_t>("next", 18)} {
    worker.declare_endless();
  }
  SourceState operator()(Output<Item>& out) {
    static_cast<void>(out);
    if (!lag_) {
      detail::SourceLag lag{};
      std::string{"next"}.copy(lag.position, sizeof(lag.position) - 1);
      std::string{"test ORDERS >"}.copy(lag.of, sizeof(lag.of) - 1);
      lag_.emplace(worker_.state<detail::SourceLag>("sluice.lag 1", lag));
      lag_->edit(&detail::SourceLag::events) = 7;
      lag_->edit(&detail::SourceLag::bytes) = std::uint64_t{3} << 20;
      lag_->edit(&detail::SourceLag::told_ns) = kToldNs;
    }
    worker_.wait_for(std::chrono::milliseconds{50});
    return SourceState::nothing_now;
  }

 private:
  Worker& worker_;
  Recoverable<std::uint64_t> next_;
  std::optional<Recoverable<detail::SourceLag>> lag_;
};

struct Nowhere {
  void operator()(const Item& item) { static_cast<void>(item); }
};

Pipeline behind_pipeline() {
  Pipeline pipeline{"behind"};
  pipeline.source<Behind>("orders").to<Nowhere>("sink");
  return pipeline;
}

class Facts : public WithSocket {
 protected:
  static std::string document(const Observer& observer) {
    return detail::to_json(observer.snapshot(), {}, detail::Rates{std::chrono::seconds{1}},
                           observer.settings(), detail::monotonic_now());
  }
};

TEST_F(Facts, AreShownToWhoeverLooksAtThePipeline) {
  Engine engine{counting_pipeline(1), settings()};
  engine.describe("cluster", "orders");
  engine.describe("partition", "2");
  engine.describe("partition", "3");
  engine.describe("owner", "a \"host\"");
  engine.start();
  const std::string line = "cluster orders, partition 3, owner a \"host\"";
  EXPECT_THAT(to_text(engine.stats(), {}, 0), HasSubstr(line));
  const Observer observer = Observer::attach(socket_);
  EXPECT_THAT(to_text(observer.stats(), {}, 0), HasSubstr(line));
  EXPECT_THAT(document(observer),
              HasSubstr(R"("facts":{"cluster":"orders","partition":"3","owner":"a \"host\""},"lag":null)"));
  ServeCommand serve{{socket_, "--http", "unix:" + (directory_ / "http").string()}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  EXPECT_THAT(
      ask_file((directory_ / "http").string(), request_for("/metrics")),
      HasSubstr(
          R"(sluice_pipeline_facts{pipeline="counting",cluster="orders",partition="3",owner="a \"host\""} 1)"));
  engine.stop();
}

TEST_F(Facts, HaveNamesThatALabelMayHaveAndAreToldBeforeTheStart) {
  Engine engine{counting_pipeline(1), settings()};
  for (const char* name : {"", "3rd", "Owner", "a b", "a-b", "pipeline", "a\"}"})
    EXPECT_THROW(engine.describe(name, "x"), Error) << name;
  engine.start();
  EXPECT_THROW(engine.describe("owner", "x"), Error);
  EXPECT_THAT(to_text(engine.stats(), {}, 0), Not(HasSubstr("owner")));
  engine.stop();
}

TEST_F(Facts, SayHowFarASourceIsBehind) {
  Engine engine{behind_pipeline(), settings()};
  engine.start();
  ASSERT_TRUE(eventually([&] { return engine.stats().lag().has_value(); }));
  const Observer observer = Observer::attach(socket_);
  const Stats stats = observer.stats();
  EXPECT_EQ(stats.lag()->events, 7U);
  EXPECT_THAT(to_text(stats, {}, 0),
              AllOf(HasSubstr("orders/0: 7 events behind, about 3 MiB, "), HasSubstr(" d ago")));
  EXPECT_FALSE(stats.stages.back().workers.front().lag) << "it is no source";
  EXPECT_THAT(document(observer),
              HasSubstr(R"("lag":{"events":7,"bytes":3145728,"told":"2023-11-14T22:13:20)"));
  ServeCommand serve{{socket_, "--http", "unix:" + (directory_ / "http").string()}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  EXPECT_THAT(
      ask_file((directory_ / "http").string(), request_for("/metrics")),
      AllOf(HasSubstr(R"(sluice_worker_lag_events{pipeline="behind",stage="orders",worker="orders/0"} 7)"),
            HasSubstr(
                R"(sluice_worker_lag_bytes{pipeline="behind",stage="orders",worker="orders/0"} 3145728)")));
  // Its replacement goes on with the same piece.
  kill_worker_of(engine, "orders/0");
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "orders/0").incarnation == 2; }));
  // It may have died before its first batch was committed: then its replacement tells it anew.
  EXPECT_TRUE(eventually([&] {
    const auto lag = engine.stats().lag();
    return lag && lag->events == 7;
  }));
  engine.stop();
}

// A host gets with each checkpoint what its sources had read.
TEST_F(Facts, TellsWithEachCheckpointWhereItsSourcesWere) {
  Settings chosen = settings();
  chosen.set("checkpoint.path", (directory_ / "checkpoints").string());
  chosen.set("checkpoint.every", "20ms");
  Engine engine{behind_pipeline(), chosen};
  const fs::path told = directory_ / "told";
  engine.ship_checkpoints([told](const ShippedCheckpoint& one) {
    if (one.reads.size() != 1) return;
    const fs::path beside = told.string() + ".new";
    std::ofstream{beside} << one.reads[0].worker << " " << one.reads[0].of << " " << one.reads[0].next;
    fs::rename(beside, told);
  });
  engine.start();
  EXPECT_TRUE(eventually([&] { return fs::exists(told); }));
  std::ifstream file{told};
  EXPECT_EQ((std::string{std::istreambuf_iterator<char>{file}, {}}), "orders/0 test ORDERS > 18");
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
