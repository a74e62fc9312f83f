// SPDX-License-Identifier: Apache-2.0
// Whatever is killed at whatever instant, the rows in SQLite are those of an answer that was computed without
// a pipeline, byte by byte, and nothing is left locked. SLUICE_CONNECT_KILLS=1000 asks for the full numbers
// of docs/reliability.md.
#include <csignal>
#include <iostream>
#include <map>
#include <random>

#include <sluice/connect/sqlite.hpp>

#include "kill_count.hpp"
#include "sqlite_world.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Transfer {
  std::uint64_t number = 0;
  std::uint32_t account = 0;
  std::int32_t cents = 0;
};

Transfer transfer(std::uint64_t number) {
  const std::uint64_t bits = number * 0x9e37'79b9'7f4a'7c15;
  return {number, static_cast<std::uint32_t>(bits >> 40U) % 50,
          static_cast<std::int32_t>(bits >> 50U) - 8192};
}

// What the tables must hold once the first `count` transfers are done.
struct Ledger {
  explicit Ledger(std::uint64_t count) {
    std::map<std::uint32_t, std::int64_t> balances;
    for (std::uint64_t number = 0; number < count; ++number) {
      const Transfer each = transfer(number);
      balances[each.account] += each.cents;
      transfers.append(std::to_string(each.number)).append("|").append(std::to_string(each.account));
      transfers.append("|").append(std::to_string(each.cents)).append("\n");
    }
    for (const auto& [account, cents] : balances)
      accounts.append(std::to_string(account)).append("|").append(std::to_string(cents)).append("\n");
  }

  std::string transfers;
  std::string accounts;
};

// Two tables without a constraint that would hide what is done twice. Where it `dies`, it does so a few times
// between SQLite's COMMIT and the worker's.
class Book {
 public:
  Book(Worker& worker, const SqliteOptions& options, std::uint32_t dies)
      : worker_{worker},
        sink_{worker, options},
        row_{sink_.store().prepare("INSERT INTO transfer VALUES (?, ?, ?)", 3)},
        balance_{
            sink_.store().prepare("INSERT INTO account VALUES (?1, ?2) ON CONFLICT(number) DO UPDATE SET "
                                  "cents = cents + excluded.cents",
                                  2)} {
    // After that of the sink.
    worker.before_commit([this, dies] {
      if (worker_.incarnation() <= dies && ++flushes_ > worker_.incarnation() % 3) ::raise(SIGKILL);
    });
  }
  void operator()(const Transfer& transfer) {
    sink_.add(row_, transfer.number, transfer.account, transfer.cents);
    sink_.add(balance_, transfer.account, transfer.cents);
  }

 private:
  Worker& worker_;
  TransactionSink<SqliteStore> sink_;
  Statement row_;
  Statement balance_;
  unsigned flushes_ = 0;
};

struct Pass {
  void operator()(const Transfer& transfer, Output<Transfer>& out) const { out.push(transfer); }
};

// All transfers, a few at a time.
class Teller {
 public:
  explicit Teller(Worker& worker) : worker_{worker}, next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<Transfer>& out) {
    for (int i = 0; i < 8; ++i)
      out.push(transfer(next_.edit()++));
    worker_.wait_for(100us);
    return true;
  }

 private:
  Worker& worker_;
  Recoverable<std::uint64_t> next_;
};

class SqliteKills : public WithSqlite {
 protected:
  SqliteKills() {
    run("PRAGMA journal_mode=WAL; CREATE TABLE transfer(number INTEGER, account INTEGER, cents INTEGER);"
        "CREATE TABLE account(number INTEGER PRIMARY KEY, cents INTEGER)");
    std::cout << "seed " << seed_ << "\n";
  }
  SqliteOptions options(SqliteSynchronous synchronous = SqliteSynchronous::normal) const {
    return {.path = database(), .synchronous = synchronous, .busy = 20s};
  }
  void lose_everything(std::vector<std::string> more);
  Pipeline bank(std::uint32_t dies = 0, const std::string& name = "bank") const {
    Pipeline pipeline{name};
    pipeline.inlet<Transfer>("in")
        .to<Pass>("pass", {.workers = 2})
        .by(&Transfer::account)
        .to<Book>("book", {.workers = 2}, options(), dies);
    return pipeline;
  }
  unsigned below(unsigned most) { return static_cast<unsigned>(random_() % most); }

  std::string text_of(const std::string& sql) const {
    std::string text;
    for (const std::string& row : rows(sql))
      text.append(row).append("\n");
    return text;
  }
  // The first `count` transfers, each once, and nothing else.
  void expect_ledger(std::uint64_t count) const {
    const Ledger ledger{count};
    EXPECT_TRUE(text_of("SELECT * FROM transfer ORDER BY number, rowid") == ledger.transfers)
        << rows("SELECT count(*), count(DISTINCT number) FROM transfer").front() << " of " << count
        << ", seed " << seed_;
    EXPECT_TRUE(text_of("SELECT * FROM account ORDER BY number") == ledger.accounts) << "seed " << seed_;
    expect_sound();
  }

  std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
};

TEST_F(SqliteKills, OfWorkersAtRandomInstantsLeaveEachRowOnce) {
  const unsigned kills = kills_asked(100);
  Engine engine{bank(), settings({"restart.budget=1000000", "batch.events=32"})};
  engine.start();
  auto in = engine.inlet<Transfer>("in");
  const std::string workers[] = {"book/0", "book/1", "pass/0", "pass/1"};
  std::uint64_t next = 0;
  for (unsigned killed = 0; killed < kills;) {
    for (unsigned n = below(400); n != 0; --n)
      ASSERT_EQ(in.push(transfer(next++)), PushResult::accepted);
    std::this_thread::sleep_for(std::chrono::microseconds{below(3000)});
    // Three of four are of those that write.
    const unsigned which = below(8);
    const std::string& worker = workers[which < 6 ? which % 2 : which - 4];
    const std::uint32_t incarnation = worker_of(engine, worker).incarnation;
    if (!engine.signal_worker(worker, SIGKILL)) continue;
    ++killed;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, worker).incarnation != incarnation; }));
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  std::cout << kills << " kills of workers, " << next << " transfers\n";
  expect_ledger(next);
}

TEST_F(SqliteKills, BetweenTheDatabasesCommitAndTheWorkersLeaveEachRowOnce) {
  const std::uint32_t dies = kills_asked(25, kTwentieth);
  Engine engine{bank(dies), settings({"restart.budget=1000000", "batch.events=32"})};
  engine.start();
  auto in = engine.inlet<Transfer>("in");
  std::uint64_t next = 0;
  const auto all_died = [&] {
    return worker_of(engine, "book/0").incarnation > dies && worker_of(engine, "book/1").incarnation > dies;
  };
  const auto until = std::chrono::steady_clock::now() + 2 * kDeadline;
  while (!all_died() && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(in.push(transfer(next++)), PushResult::accepted);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(all_died());
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  std::cout << 2 * dies << " kills between the commits, " << next << " transfers\n";
  expect_ledger(next);
}

// Of a process that is not ours, which has written and holds the lock.
TEST_F(SqliteKills, OfAnotherWriterInItsTransactionLeaveNothingLocked) {
  const unsigned kills = kills_asked(10, kTwentieth);
  Engine engine{bank(), settings()};
  engine.start();
  auto in = engine.inlet<Transfer>("in");
  std::uint64_t next = 0;
  for (unsigned killed = 0; killed < kills; ++killed) {
    const pid_t other = ::fork();
    if (other == 0) {
      OtherConnection writer{database()};
      writer.run("BEGIN IMMEDIATE; INSERT INTO transfer VALUES (-1, -1, -1)");
      log_line(file("holds" + std::to_string(killed)), "it");
      while (true)
        ::pause();
    }
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("holds" + std::to_string(killed))); }));
    for (int i = 0; i < 50; ++i)
      ASSERT_EQ(in.push(transfer(next++)), PushResult::accepted);
    ::kill(other, SIGKILL);
    ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  expect_ledger(next);
}

// Everything is lost at once, again and again, and goes on with what `more` keeps.
void SqliteKills::lose_everything(std::vector<std::string> more) {
  const unsigned losses = kills_asked(15, kTwentieth);
  for (const char* each : {"state.bytes=64KiB", "undo.bytes=64KiB", "batch.events=32",
                           "watchdog.deadline=20s", "restart.budget=1000000", "log.level=off"})
    more.emplace_back(each);
  const Settings kept = settings(more);
  const auto live = [&](bool last, bool is_kept) {
    Pipeline pipeline{"bank"};
    pipeline.source<Teller>("teller").by(&Transfer::account).to<Book>("book", {.workers = 2}, options(), 0U);
    Engine engine{pipeline, kept};
    engine.start();
    if (is_kept) {
      std::ignore = eventually([&] {
        return engine.resumed() || engine.stats().checkpoints.written > 0 ||
               std::filesystem::exists(file("segment"));
      });
    }
    log_line(file("lives"), engine.resumed() ? "resumed" : "new");
    // Lives of a worker that no checkpoint knows of.
    for (int turn = 0; !last && !engine.wait_for(2ms); ++turn)
      engine.signal_worker("book/" + std::to_string(turn % 2), SIGKILL);
    if (!last) return;
    const auto events = [&] { return engine.stats().stages.front().workers.front().events_in; };
    do {
      engine.wait_for(20ms);
    } while (events() == 0);
    engine.drain();
    log_line(file("made"), std::to_string(8 * events()));
  };
  for (unsigned loss = 0; loss < losses; ++loss) {
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [&] { live(false, loss + 1 == losses); }};
    EXPECT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{below(30'000)});
    host.kill(below(2) == 0);
    EXPECT_TRUE(host.gone());
    EXPECT_NE(host.status(), 0) << "it had ended before";
  }
  total_loss::Host host{{}, [&] { live(true, false); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  EXPECT_TRUE(host.gone());
  EXPECT_EQ(lines_of(file("lives")).back(), "resumed");
  ASSERT_THAT(lines_of(file("made")), testing::SizeIs(1));
  const std::uint64_t made = std::stoull(lines_of(file("made")).front());
  std::cout << losses << " losses of everything, " << made << " transfers\n";
  EXPECT_GT(made, 0U);
  expect_ledger(made);
}

TEST_F(SqliteKills, OfEverythingAtOnceAreResumedFromTheSegmentWithoutARowTooManyOrTooFew) {
  lose_everything({"segment.path=" + file("segment")});
}

// The memory is lost, too; no row was written of what is not in a checkpoint.
TEST_F(SqliteKills, OfEverythingAndItsMemoryAreRestoredFromACheckpointWithoutARowTooManyOrTooFew) {
  lose_everything({"checkpoint.path=" + file("checkpoints"), "checkpoint.every=3ms", "checkpoint.sync=no",
                   "outside.after=checkpoint"});
}

// A host that was stopped with all its workers wakes up after another has taken over.
TEST_F(SqliteKills, OfNobodyMakeAZombieOfAStoppedHostThatFindsAnotherInItsPlace) {
  constexpr std::uint64_t kBefore = 1000;
  constexpr std::uint64_t kAfter = 2000;
  total_loss::Host zombie{
      {}, [&] {
        Engine engine{bank(), settings({"report.path=" + file("zombie")})};
        engine.start();
        auto in = engine.inlet<Transfer>("in");
        for (std::uint64_t number = 0; number < kBefore; ++number)
          std::ignore = in.push(transfer(number));
        while (worker_of(engine, "book/0").events_in + worker_of(engine, "book/1").events_in < kBefore)
          std::this_thread::sleep_for(1ms);
        log_line(file("done"), "first half");
        while (!std::filesystem::exists(file("go on")))
          std::this_thread::sleep_for(1ms);
        // These must not come about.
        for (std::uint64_t number = kAfter; number < kAfter + 1000; ++number) {
          if (in.push(transfer(number)) != PushResult::accepted) break;
        }
        in.close();
        log_line(file("end"), error_of([&] { engine.wait_for(kDeadline); }));
      }};
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("done")); }));
  zombie.stop();
  {
    Engine heir{bank(), settings()};
    heir.start();
    auto in = heir.inlet<Transfer>("in");
    for (std::uint64_t number = kBefore; number < kAfter; ++number)
      ASSERT_EQ(in.push(transfer(number)), PushResult::accepted);
    EXPECT_TRUE(eventually([&] {
      return worker_of(heir, "book/0").events_in + worker_of(heir, "book/1").events_in == kAfter - kBefore;
    }));
    zombie.go_on();
    log_line(file("go on"), "now");
    ASSERT_TRUE(zombie.wait_for_end(kDeadline));
    EXPECT_TRUE(zombie.gone());
    in.close();
    EXPECT_TRUE(heir.wait_for(kDeadline)) << "the zombie has taken the place back";
  }
  ASSERT_THAT(lines_of(file("end")), testing::SizeIs(1));
  EXPECT_THAT(
      lines_of(file("end")).front(),
      AllOf(HasSubstr("another process has taken over as worker book/"), HasSubstr("SqliteOptions::name")));
  expect_ledger(kAfter);
}

// Stopped anywhere, perhaps in a transaction: then the heir waits outside until the zombie goes on, and no
// row is torn.
TEST_F(SqliteKills, OfNobodyLeaveAHostThatIsStoppedAnywhereToEitherWriteWholeBatchesOrNone) {
  const unsigned rounds = kills_asked(4, 2 * kTwentieth);
  SqliteOptions impatient = options();
  impatient.busy = 50ms;  // A start lasts as long, while the zombie holds the lock.
  for (unsigned round = 0; round < rounds; ++round) {
    run("DELETE FROM transfer; DELETE FROM account; DROP TABLE IF EXISTS sluice_watermark");
    const std::string mark = file("lives" + std::to_string(round));
    total_loss::Host zombie{
        {}, [&] {
          Pipeline pipeline{"bank"};
          pipeline.source<Teller>("teller")
              .by(&Transfer::account)
              .to<Book>("book", {.workers = 2}, impatient, 0U);
          Engine engine{pipeline, settings({"report.path=" + file("zombie"), "batch.events=8"})};
          engine.start();
          log_line(mark, "lives");
          log_line(file("ends"), error_of([&] { engine.wait_for(kDeadline); }));
        }};
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(mark); }));
    // Until both of its workers have written, it has no place to lose.
    ASSERT_TRUE(eventually([&] { return rows("SELECT * FROM sluice_watermark").size() == 2; }));
    std::this_thread::sleep_for(std::chrono::microseconds{below(50'000)});
    zombie.stop();
    // Another run: the same name, other transfers.
    Pipeline pipeline{"bank"};
    pipeline.inlet<Transfer>("in").by(&Transfer::account).to<Book>("book", {.workers = 2}, impatient, 0U);
    Engine heir{pipeline, settings()};
    heir.start();
    auto in = heir.inlet<Transfer>("in");
    constexpr std::uint64_t kOthers = 1'000'000'000;
    for (std::uint64_t number = kOthers; number < kOthers + 500; ++number)
      ASSERT_EQ(in.push(transfer(number)), PushResult::accepted);
    in.close();
    std::this_thread::sleep_for(std::chrono::microseconds{below(100'000)});
    zombie.go_on();
    EXPECT_TRUE(heir.wait_for(kDeadline));
    ASSERT_TRUE(zombie.wait_for_end(kDeadline));
    EXPECT_TRUE(zombie.gone());
    EXPECT_THAT(rows("SELECT count(*), count(DISTINCT number) FROM transfer WHERE number >= 1000000000"),
                ElementsAre("500|500"));
    EXPECT_THAT(rows("SELECT number FROM transfer GROUP BY number HAVING count(*) > 1"), IsEmpty());
    // Rows and balances of a batch come about together.
    EXPECT_THAT(rows("SELECT account, sum(transfer.cents) FROM transfer GROUP BY account EXCEPT SELECT * "
                     "FROM account"),
                IsEmpty());
  }
  for (const std::string& end : lines_of(file("ends")))
    EXPECT_THAT(end, HasSubstr("another process has taken over"));
  expect_sound();
}

}  // namespace
}  // namespace sluice::test
