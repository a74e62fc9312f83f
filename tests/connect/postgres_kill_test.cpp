// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink is exact: whatever is killed, cut or stopped at whatever instant, in the end the tables are byte-equal to a
// ledger that knows no database, and nothing is prepared or locked.
//
// SLUICE_CONNECT_KILLS=1000 is the number of kills of workers; the other tests have a twentieth of it. Normally 40.
#include <cstdlib>
#include <random>

#include "postgres_relay.hpp"
#include "postgres_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

unsigned kills_of_workers() {
  const char* wanted = std::getenv("SLUICE_CONNECT_KILLS");
  return wanted == nullptr ? 40 : static_cast<unsigned>(std::stoul(wanted));
}
unsigned kills_of_others(unsigned at_least) {
  return std::max(at_least, kills_of_workers() / 20);
}

class PostgresKills : public WithPostgres {
 protected:
  PostgresKills() : seed_{std::random_device{}()}, random_{seed_} {}
  Settings harsh() const {
    return settings({"restart.budget=1000000", "batch.events=32", "poison.attempts=1"});
  }
  void pay(Inlet<PgPayment>& in, std::uint64_t count) {
    for (; count != 0; --count)
      ASSERT_EQ(in.push(ledger_.pay()), PushResult::accepted);
  }
  std::uint64_t restarts(const Engine& engine) const { return engine.stats().stages.at(0).restarts(); }

  unsigned seed_;
  std::mt19937 random_;
  PgLedger ledger_;
};

TEST_F(PostgresKills, OfWorkersAtAnyInstantNeitherLoseNorDoubleARow) {
  SCOPED_TRACE(seed_);
  Engine engine{book_pipeline(database(), 2), harsh()};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  const unsigned wanted = kills_of_workers();
  // Counted by replacements: a process that is dead already takes another signal and says nothing.
  while (restarts(engine) < wanted) {
    pay(in, random_() % 300);
    const std::string worker = "book/" + std::to_string(random_() % 2);
    // One that has begun: a process that is killed before says nothing about transactions.
    const std::uint64_t before = worker_of(engine, worker).events_in;
    if (random_() % 4 != 0) {
      pay(in, 64);
      eventually([&] { return worker_of(engine, worker).events_in != before; }, 100ms);
    }
    engine.signal_worker(worker, SIGKILL);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(ledger_);
}

// Dies now and then between PostgreSQL's COMMIT and the worker's: in a flush that runs behind the sink's.
class KilledBook {
 public:
  KilledBook(Worker& worker, const PostgresOptions& database, unsigned most) : book_{worker, database} {
    worker.before_commit([&worker, most, random = std::mt19937{std::random_device{}()}]() mutable {
      if (worker.incarnation() <= most && random() % 4 == 0) ::raise(SIGKILL);
    });
  }
  void operator()(const PgPayment& payment) { book_(payment); }

 private:
  PgBook book_;
};

TEST_F(PostgresKills, BetweenTheTwoCommitsNeitherLoseNorDoubleARow) {
  const unsigned wanted = kills_of_others(20);
  Pipeline pipeline{"payments"};
  pipeline.inlet<PgPayment>("in")
      .by(&PgPayment::account)
      .to<KilledBook>("book", {.workers = 2}, database(), wanted / 2);
  Engine engine{pipeline, harsh()};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  const std::uint64_t all = wanted / 2;
  while (restarts(engine) < 2 * all)
    pay(in, 32);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(ledger_);
}

TEST_F(PostgresKills, OfTheServerUnderLoadNeitherLoseNorDoubleARow) {
  SCOPED_TRACE(seed_);
  Engine engine{book_pipeline(database(), 2),
                settings({"restart.budget=0", "batch.events=32", "poison.attempts=1"})};
  engine.start();
  std::atomic<std::uint64_t> paid{0};
  std::jthread load{[&](const std::stop_token& enough) {
    auto in = engine.inlet<PgPayment>("in");
    while (!enough.stop_requested() && in.push(ledger_.pay()) == PushResult::accepted)
      ++paid;
    in.close();
  }};
  const unsigned wanted = kills_of_others(4);
  for (unsigned kills = 0; kills < wanted; ++kills) {
    const std::uint64_t until = paid + 100 + random_() % 3000;
    EXPECT_TRUE(eventually([&] { return paid >= until; }));
    server().kill();
    server().start();
  }
  load.request_stop();
  load.join();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  // One more than was accepted was asked of the ledger if the pipeline ended early.
  EXPECT_EQ(paid, ledger_.paid());
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(ledger_);
}

TEST_F(PostgresKills, OfConnectionsWithinACommitNeitherLoseNorDoubleARow) {
  SCOPED_TRACE(seed_);
  const unsigned wanted = kills_of_others(20);
  const PostgresRelay relay{server().port(),
                            {.cut_one_of = 3, .most_cuts = wanted, .log = file("cuts"), .seed = seed_}};
  PostgresOptions options;
  options.url = relay.url();
  Engine engine{book_pipeline(options, 2),
                settings({"restart.budget=0", "batch.events=32", "poison.attempts=1"})};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  const auto cuts = [&] { return lines_of(file("cuts")).size(); };
  while (cuts() < wanted)
    pay(in, 32);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(cuts(), wanted);
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(ledger_);
}

std::vector<pid_t> tree_of(pid_t pid) {
  std::vector<pid_t> tree{pid};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    for (const pid_t child : children_of(tree[i]))
      tree.push_back(child);
  }
  return tree;
}

TEST_F(PostgresKills, AndAHostThatWasStoppedAndGoesOnAfterAnotherTookOverWritesNothingMore) {
  PostgresOptions options = database();
  // What the stopped host has left open is ended after this.
  options.call_limit = 1s;
  const auto rows_of_old = [&] {
    return server().query("SELECT count(*) FROM payment WHERE number > 1000000");
  };
  const pid_t old = ::fork();
  if (old == 0) {
    std::string end = "it ended well";
    try {
      Engine engine{book_pipeline(options, 2), harsh()};
      engine.start();
      auto in = engine.inlet<PgPayment>("in");
      for (std::uint64_t number = 1'000'001; in.push({number, number % 7, 1}) == PushResult::accepted;)
        ++number;
      engine.wait();
    } catch (const std::exception& error) {
      end = error.what();
    }
    log_line(file("end of the old one"), end);
    ::_exit(0);
  }
  EXPECT_TRUE(eventually([&] { return rows_of_old().size() > 4; }));
  const std::vector<pid_t> stopped = tree_of(old);
  for (const pid_t pid : stopped)
    ::kill(pid, SIGSTOP);
  {
    Engine engine{book_pipeline(options, 2), harsh()};
    engine.start();
    auto in = engine.inlet<PgPayment>("in");
    pay(in, 2000);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  const std::string before = rows_of_old();
  for (const pid_t pid : stopped)
    ::kill(pid, SIGCONT);
  EXPECT_EQ(::waitpid(old, nullptr, 0), old);
  EXPECT_EQ(rows_of_old(), before);
  const std::vector<std::string> end = lines_of(file("end of the old one"));
  ASSERT_EQ(end.size(), 1U);
  EXPECT_THAT(end[0], AllOf(HasSubstr("another process took over from book/"), HasSubstr("of payments")));
  server().query(
      "UPDATE account SET cents = account.cents - o.cents FROM (SELECT account, sum(cents) AS cents FROM "
      "payment "
      "WHERE number > 1000000 GROUP BY account) o WHERE o.account = account.number; "
      "DELETE FROM payment WHERE number > 1000000");
  expect(ledger_);
}

}  // namespace
}  // namespace sluice::test
