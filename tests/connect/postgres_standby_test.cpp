// SPDX-License-Identifier: Apache-2.0
// PostgresStore with a standby that is promoted once its primary is dead: exact where a COMMIT waited for the standby, and an Error
// where it did not and the standby lacks what was answered.
#include "postgres_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

class PostgresStandby : public WithOutside {
 protected:
  void SetUp() override {
    if (!PostgresServer::programs()) GTEST_SKIP() << "PostgreSQL is missing: apt install postgresql-15";
    const std::vector<std::string> replicates{"wal_level = replica", "max_wal_senders = 5",
                                              "wal_keep_size = 64MB"};
    primary_ = std::make_unique<PostgresServer>(SLUICE_POSTGRES_CLUSTER, replicates);
    primary_->query(kPgTables);
    standby_ = std::make_unique<PostgresServer>(PostgresServer::StandbyOf{*primary_});
    ASSERT_TRUE(eventually([this] { return follows(); }));
  }
  void TearDown() override {
    standby_.reset();
    primary_.reset();
    WithOutside::TearDown();
  }
  bool follows() const {
    return primary_->query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1\n";
  }
  Pipeline book() const {
    PostgresOptions both;
    both.url = "postgresql://sluice@127.0.0.1:" + std::to_string(primary_->port()) +
               ",127.0.0.1:" + std::to_string(standby_->port()) + "/postgres";
    Pipeline pipeline{"payments"};
    pipeline.inlet<PgPayment>("in").by(&PgPayment::account).to<PgBook>("book", {.workers = 2}, both);
    return pipeline;
  }
  void pay(Inlet<PgPayment>& in, int count) {
    for (; count != 0; --count)
      ASSERT_EQ(in.push(ledger_.pay()), PushResult::accepted);
  }
  bool has(const PostgresServer& server, std::uint64_t rows) const {
    return eventually([&] { return std::stoull(server.query("SELECT count(*) FROM payment")) >= rows; });
  }

  std::unique_ptr<PostgresServer> primary_;
  std::unique_ptr<PostgresServer> standby_;
  PgLedger ledger_;
};

TEST_F(PostgresStandby, ThatCommitsWaitForTakesOverWithoutARowTooManyOrTooFew) {
  primary_->query("ALTER SYSTEM SET synchronous_standby_names = '*'");
  primary_->query("SELECT pg_reload_conf()");
  ASSERT_TRUE(eventually(
      [this] { return primary_->query("SELECT sync_state FROM pg_stat_replication") == "sync\n"; }));
  Engine engine{book(), settings({"batch.events=16"})};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  pay(in, 500);
  ASSERT_TRUE(has(*primary_, 100));
  primary_->kill();
  pay(in, 500);
  standby_->query("SELECT pg_promote()");
  pay(in, 500);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().stages.at(0).restarts(), 0U);
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  EXPECT_TRUE(standby_->query("SELECT * FROM payment ORDER BY number") == ledger_.payments());
  EXPECT_TRUE(standby_->query("SELECT * FROM account ORDER BY number") == ledger_.accounts());
}

TEST_F(PostgresStandby, ThatLacksWhatWasCommittedIsRefused) {
  Engine engine{book(), settings({"batch.events=16"})};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  pay(in, 300);
  ASSERT_TRUE(has(*primary_, 300));
  standby_->stop();
  pay(in, 300);
  ASSERT_TRUE(has(*primary_, 600));
  primary_->kill();
  standby_->start();
  standby_->query("SELECT pg_promote()");
  const std::string there = standby_->query("SELECT count(*) FROM payment");
  EXPECT_THAT(error_of([&] {
                pay(in, 300);
                engine.wait_for(kDeadline);
              }),
              HasSubstr("a standby that had not everything"));
  EXPECT_EQ(standby_->query("SELECT count(*) FROM payment"), there);
}

}  // namespace
}  // namespace sluice::test
