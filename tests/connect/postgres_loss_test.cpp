// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink in a pipeline that is lost with its memory, again and again, after deaths of its workers that no checkpoint
// knows of: what comes of the checkpoints is no row too many or too few, since none was written of what they do not hold.
//
// A twentieth of SLUICE_CONNECT_KILLS is the number of losses. Normally 10.
#include <random>

#include "kill_count.hpp"
#include "postgres_world.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

// What the ledger pays, one payment after the other.
class Payer {
 public:
  explicit Payer(Worker& worker) : worker_{worker}, paid_{worker.state<std::uint64_t>("paid")} {}
  bool operator()(Output<PgPayment>& out) {
    for (int i = 0; i < kAtOnce; ++i) {
      const std::uint64_t number = ++paid_.edit();
      out.push({number, number * 7919 % 97, static_cast<std::int64_t>(number % 1000 + 1)});
    }
    worker_.wait_for(200us);
    return true;
  }

  static constexpr int kAtOnce = 8;

 private:
  Worker& worker_;
  Recoverable<std::uint64_t> paid_;
};

class PostgresLosses : public WithPostgres {
 protected:
  // A life of the pipeline, whose workers die now and then.
  void live(std::uint32_t seed, bool last) {
    Pipeline pipeline{"payments"};
    pipeline.source<Payer>("payer").by(&PgPayment::account).to<PgBook>("book", {.workers = 2}, database());
    Engine engine{pipeline, settings({"restart.budget=1000000", "batch.events=32", "state.bytes=64KiB",
                                      "undo.bytes=64KiB", "watchdog.deadline=20s", "log.level=off",
                                      "checkpoint.path=" + file("checkpoints"), "checkpoint.every=3ms",
                                      "checkpoint.sync=no", "outside.after=checkpoint"})};
    engine.start();
    log_line(file("lives"), engine.resumed() ? "resumed" : "new");
    std::mt19937 random{seed};
    for (int turn = 0; !last || turn < 5; ++turn) {
      if (engine.wait_for(std::chrono::microseconds{random() % 8000})) return;
      engine.signal_worker("book/" + std::to_string(random() % 2), SIGKILL);
    }
    engine.drain();
    log_line(file("made"),
             std::to_string(Payer::kAtOnce * engine.stats().stages.front().workers.front().events_in));
  }
};

TEST_F(PostgresLosses, OfEverythingAndItsMemoryLeaveNoRowTooManyOrTooFew) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const unsigned losses = kills_asked(10, kTwentieth);
  for (unsigned loss = 0; loss < losses; ++loss) {
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [&] { live(seed + loss, false); }};
    ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 60'000});
    host.kill(random() % 2 == 0);
    EXPECT_TRUE(host.gone());
    EXPECT_NE(host.status(), 0) << "it had ended before";
  }
  total_loss::Host host{{}, [&] { live(seed + losses, true); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  ASSERT_THAT(lines_of(file("made")), testing::SizeIs(1));
  EXPECT_EQ(lines_of(file("lives")).back(), "resumed");
  const std::uint64_t made = std::stoull(lines_of(file("made")).front());
  PgLedger ledger;
  while (ledger.paid() < made)
    ledger.pay();
  std::cout << losses << " losses of everything, " << made << " payments\n";
  EXPECT_GT(made, 0U);
  expect(ledger);
}

// Two hosts go on from one checkpoint: the one that it is of was stopped meanwhile, and then has reason to make its worker anew.
TEST_F(PostgresLosses, OfNobodyLetTwoLivesOfARunTakeOverFromEachOther) {
  const auto kept = [this](const std::string& checkpoints) {
    return settings({"checkpoint.path=" + file(checkpoints), "checkpoint.every=3ms", "checkpoint.sync=no",
                     "report.path=" + file(checkpoints + "-reports")});
  };
  const auto pay = [](Engine& engine, PgLedger& ledger, int count) {
    auto in = engine.inlet<PgPayment>("in");
    for (int i = 0; i < count; ++i)
      EXPECT_EQ(in.push(ledger.pay()), PushResult::accepted);
  };
  const auto rows = [this](int count) {
    return eventually(
        [&] { return server().query("SELECT count(*) FROM payment") == std::to_string(count) + "\n"; });
  };
  std::filesystem::create_directory(file("first"));
  std::filesystem::permissions(file("first"), std::filesystem::perms::owner_all);
  total_loss::Host zombie{{}, [&] {
                            Engine engine{book_pipeline(database()), kept("first")};
                            engine.start();
                            PgLedger ledger;
                            pay(engine, ledger, 10);
                            const auto events = [&] { return worker_of(engine, "book/0").events_in; };
                            eventually([&] { return events() == 10; });
                            const std::uint64_t before = engine.stats().checkpoints.written;
                            pay(engine, ledger, 1);
                            eventually([&] { return engine.stats().checkpoints.written > before + 1; });
                            log_line(file("done"), "ten");
                            eventually([&] { return std::filesystem::exists(file("go on")); });
                            engine.signal_worker("book/0", SIGKILL);
                            log_line(file("end"), error_of([&] { engine.wait_for(kDeadline); }));
                          }};
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("done")); }));
  ASSERT_TRUE(rows(11));
  zombie.stop();
  std::filesystem::copy(file("first"), file("second"), std::filesystem::copy_options::recursive);
  PgLedger ledger;
  while (ledger.paid() < 11)
    ledger.pay();
  Engine heir{book_pipeline(database()), kept("second")};
  heir.start();
  ASSERT_TRUE(heir.resumed());
  pay(heir, ledger, 10);
  ASSERT_TRUE(rows(21));
  log_line(file("go on"), "now");
  zombie.go_on();
  ASSERT_TRUE(zombie.wait_for_end(kDeadline));
  EXPECT_TRUE(zombie.gone());
  pay(heir, ledger, 10);
  heir.inlet<PgPayment>("in").close();
  EXPECT_TRUE(heir.wait_for(kDeadline)) << "the zombie has taken the place back";
  ASSERT_THAT(lines_of(file("end")), testing::SizeIs(1));
  EXPECT_THAT(lines_of(file("end")).front(), testing::HasSubstr("a later start of the same run"));
  expect(ledger);
}

}  // namespace
}  // namespace sluice::test
