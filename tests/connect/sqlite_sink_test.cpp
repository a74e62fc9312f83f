// SPDX-License-Identifier: Apache-2.0
// SqlSink and TransactionSink over SQLite in a pipeline: rows, dead letters, waits and errors as a user meets
// them.
#include <sluice/connect/sql_sink.hpp>
#include <sluice/connect/sqlite.hpp>

#include "sqlite_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Payment {
  std::uint32_t number = 0;
  std::uint32_t account = 0;
  std::int64_t cents = 0;
  char purpose[8] = {};
};

using PaymentSink = SqlSink<SqliteStore, Payment>;

class SqliteSink : public WithSqlite {
 protected:
  SqliteSink() {
    run("CREATE TABLE payment(number INTEGER PRIMARY KEY, account INTEGER, cents INTEGER CHECK(cents > 0), "
        "purpose TEXT);"
        "CREATE TABLE account(number INTEGER PRIMARY KEY, cents INTEGER NOT NULL)");
  }
  SqliteOptions options() const { return {.path = database(), .busy = std::chrono::milliseconds{50}}; }
  Pipeline bank(unsigned workers = 1) const {
    Pipeline pipeline{"bank"};
    pipeline.inlet<Payment>("in")
        .by(&Payment::account)
        .to<PaymentSink>(
            "book", {.workers = workers}, options(),
            Sql<Payment>{"INSERT INTO payment VALUES ($1, $2, $3, $4)", &Payment::number, &Payment::account,
                         &Payment::cents, &Payment::purpose},
            Sql<Payment>{"INSERT INTO account VALUES (?1, ?2) ON CONFLICT(number) DO UPDATE SET "
                         "cents = cents + excluded.cents",
                         &Payment::account, [](const Payment& payment) { return payment.cents; }});
    return pipeline;
  }
  static std::vector<Payment> payments(std::uint32_t count) {
    std::vector<Payment> made;
    made.reserve(count);
    for (std::uint32_t number = 0; number < count; ++number)
      made.push_back({number, number % 10, number + 1, "rent"});
    return made;
  }
  static void push(Engine& engine, const std::vector<Payment>& payments) {
    auto in = engine.inlet<Payment>("in");
    for (const Payment& payment : payments) {
      if (in.push(payment) != PushResult::accepted) break;
    }
    in.close();
  }
  std::vector<DeadLetter> letters() const {
    return std::filesystem::exists(file("reports")) ? find_dead_letters(file("reports"))
                                                    : std::vector<DeadLetter>{};
  }
};

TEST_F(SqliteSink, MakesRowsOfEvents) {
  Engine engine{bank(2), settings()};
  engine.start();
  push(engine, payments(1000));
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT count(*), sum(number), sum(cents), min(purpose), max(purpose) FROM payment"),
              ElementsAre("1000|499500|500500|rent|rent"));
  EXPECT_THAT(rows("SELECT count(*), sum(cents) FROM account"), ElementsAre("10|500500"));
  EXPECT_THAT(rows("SELECT name, stage, replica, epoch > 0 FROM sluice_owner ORDER BY replica"),
              ElementsAre("bank|book|0|1", "bank|book|1|1"));
  EXPECT_THAT(letters(), IsEmpty());
  expect_sound();
}

TEST_F(SqliteSink, MakesDeadLettersOfWhatTheDatabaseRefusesAndRowsOfTheRest) {
  std::vector<Payment> given = payments(1000);
  given[100].cents = -1;
  given[101].number = 3;
  given[900].cents = 0;
  Engine engine{bank(), settings()};
  engine.start();
  push(engine, given);
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT count(*) FROM payment"), ElementsAre("997"));
  EXPECT_THAT(rows("SELECT (SELECT sum(cents) FROM payment) = (SELECT sum(cents) FROM account)"),
              ElementsAre("1"))
      << "all of an event's statements, or none";
  std::vector<std::string> causes;
  for (const DeadLetter& letter : letters())
    causes.push_back(letter.cause);
  EXPECT_THAT(causes, ElementsAre("refused: CHECK constraint failed: cents > 0",
                                  "refused: UNIQUE constraint failed: payment.number",
                                  "refused: CHECK constraint failed: cents > 0"));
  EXPECT_EQ(worker_of(engine, "book/0").restarts, 0U);
}

TEST_F(SqliteSink, MakesTheDeadLetterOfAConstraintThatIsCheckedAtTheCommit) {
  run("CREATE TABLE strict(account INTEGER REFERENCES account(number) DEFERRABLE INITIALLY DEFERRED);"
      "INSERT INTO account VALUES (1, 0)");
  Pipeline pipeline{"strict"};
  pipeline.inlet<Payment>("in").to<PaymentSink>(
      "book", options(), Sql<Payment>{"INSERT INTO strict VALUES (?)", &Payment::account});
  std::vector<Payment> given(50, Payment{1, 1, 1, ""});
  given[17].account = 99;
  Engine engine{pipeline, settings()};
  engine.start();
  push(engine, given);
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT count(*), max(account) FROM strict"), ElementsAre("49|1"));
  ASSERT_THAT(letters(), SizeIs(1));
  EXPECT_EQ(letters()[0].cause, "refused: FOREIGN KEY constraint failed");
}

TEST_F(SqliteSink, WaitsWhileAnotherHasTheLockAndLosesNothing) {
  Engine engine{bank(2), settings({"restart.budget=0"})};
  engine.start();
  OtherConnection other{database()};
  other.run("BEGIN IMMEDIATE");
  push(engine, payments(100));
  EXPECT_TRUE(eventually([&] {
    const WorkerStats book = worker_of(engine, "book/0");
    return book.verdict == "waiting outside" &&
           book.outside.find("is locked by another connection") != std::string::npos;
  }));
  other.run("COMMIT");
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT count(*), sum(cents) FROM payment"), ElementsAre("100|5050"));
  EXPECT_EQ(worker_of(engine, "book/0").restarts + worker_of(engine, "book/1").restarts, 0U);
}

TEST_F(SqliteSink, DoesNotGoOnInADatabaseThatWasPutBack) {
  const auto resumable = settings({"segment.path=" + file("segment")});
  {
    Engine engine{bank(), resumable};
    engine.start();
    auto in = engine.inlet<Payment>("in");
    const auto push_until = [&](std::uint64_t first, std::uint64_t end) {
      for (std::uint64_t number = first; number < end; ++number)
        ASSERT_EQ(in.push(payments(100)[number]), PushResult::accepted);
      EXPECT_TRUE(eventually(
          [&] { return rows("SELECT count(*) FROM payment") == std::vector{std::to_string(end)}; }));
    };
    push_until(0, 50);
    run("VACUUM INTO '" + file("backup.db") + "'");
    push_until(50, 100);
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(database() + suffix);
  std::filesystem::rename(file("backup.db"), database());
  Engine engine{bank(), resumable};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait();
              }),
              AllOf(HasSubstr("book/0 of bank"),
                    HasSubstr("the store knows less of it than this pipeline has committed")));
  EXPECT_THAT(rows("SELECT count(*) FROM payment"), ElementsAre("50"));
}

// The watermark of a predecessor may lie in the midst of a span: which of its events are done cannot be told.
class WholeSpans {
 public:
  WholeSpans(Worker& worker, const SqliteOptions& options)
      : sink_{worker, options}, insert_{sink_.prepare("INSERT INTO payment(number) VALUES (?)")} {}
  void operator()(std::span<const Payment> payments) {
    for (const Payment& payment : payments)
      sink_.add(insert_, payment.number);
  }

 private:
  TransactionSink<SqliteStore> sink_;
  Statement insert_;
};

TEST_F(SqliteSink, IsRefusedToAHandlerOfSpans) {
  Pipeline pipeline{"spans"};
  pipeline.inlet<Payment>("in").to<WholeSpans>("book", {}, options());
  EXPECT_THAT(error_of([&] {
                Engine engine{pipeline, settings()};
                engine.start();
              }),
              AllOf(HasSubstr("stage book of spans"), HasSubstr("takes spans")));
}

// What the second one refuses would have had its effect in the first.
struct TwoBooks {
  TwoBooks(Worker& worker, const SqliteOptions& one, const SqliteOptions& other)
      : first{worker, one}, second{worker, other} {}
  void operator()(const Payment&) {}
  TransactionSink<SqliteStore> first;
  TransactionSink<SqliteStore> second;
};

TEST_F(SqliteSink, IsTheOnlyOneOfItsHandler) {
  SqliteOptions other = options();
  other.path = file("other.db");
  Pipeline pipeline{"two"};
  pipeline.inlet<Payment>("in").to<TwoBooks>("book", {}, options(), other);
  EXPECT_THAT(error_of([&] {
                Engine engine{pipeline, settings()};
                engine.start();
              }),
              AllOf(HasSubstr("two stores in stage book of two"), HasSubstr("a stage of its own")));
  // Of two handlers of one process, each has one.
  Pipeline inline_too{"one each"};
  auto payments_in = inline_too.inlet<Payment>("in");
  payments_in.to<PaymentSink>("a", {}, options(),
                              Sql<Payment>{"INSERT INTO payment(number) VALUES (?)", &Payment::number});
  payments_in.to<PaymentSink>("b", {}, options(),
                              Sql<Payment>{"INSERT INTO account VALUES (?, 0)", &Payment::number});
  EXPECT_EQ(error_of([&] {
              Engine engine{inline_too, settings()};
              engine.start();
              push(engine, payments(3));
              EXPECT_TRUE(engine.wait_for(kDeadline));
            }),
            "");
  EXPECT_THAT(rows("SELECT (SELECT count(*) FROM payment), (SELECT count(*) FROM account)"),
              ElementsAre("3|3"));
}

// Has an effect where no event is handled: in its constructor, or by the clock.
class Unasked {
 public:
  Unasked(Worker& worker, const SqliteOptions& database, bool at_once)
      : sink_{worker, database}, insert_{sink_.prepare("INSERT INTO payment(number) VALUES (?)")} {
    if (at_once) sink_.add(insert_, 1000);
    worker.when_idle([this] { sink_.add(insert_, 1000); });
  }
  void operator()(const Payment& payment) { sink_.add(insert_, payment.number); }

 private:
  TransactionSink<SqliteStore> sink_;
  Statement insert_;
};

TEST_F(SqliteSink, RefusesAnEffectOfNoEvent) {
  for (const bool at_once : {true, false}) {
    Pipeline pipeline{"unasked"};
    pipeline.inlet<Payment>("in").to<Unasked>("book", {}, options(), at_once);
    Engine engine{pipeline, settings()};
    EXPECT_THAT(error_of([&] {
                  engine.start();
                  std::ignore = engine.inlet<Payment>("in").push(payments(1)[0]);
                  engine.wait_for(kDeadline);
                }),
                AllOf(HasSubstr("stage book of unasked"), HasSubstr("no event is in the handler"),
                      HasSubstr("TimerSource")));
  }
  EXPECT_THAT(rows("SELECT number FROM payment WHERE number = 1000"), IsEmpty());
}

// As `.restore` of the shell does, by one transaction for whoever has the file open.
TEST_F(SqliteSink, DoesNotGoOnInADatabaseThatIsPutBackWhileItWrites) {
  Engine engine{bank(), settings({"batch.events=1"})};
  engine.start();
  auto in = engine.inlet<Payment>("in");
  const auto counts = [&](const char* rows_there) {
    return eventually(
        [&] { return rows("SELECT count(*) FROM payment") == std::vector<std::string>{rows_there}; });
  };
  const auto push_until = [&](std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t number = first; number < end; ++number)
      ASSERT_EQ(in.push(payments(100)[number]), PushResult::accepted);
  };
  push_until(0, 50);
  EXPECT_TRUE(counts("50"));
  run("CREATE TABLE earlier AS SELECT * FROM sluice_watermark");
  push_until(50, 60);
  EXPECT_TRUE(counts("60"));
  run("BEGIN IMMEDIATE; DELETE FROM payment WHERE number >= 50; DELETE FROM sluice_watermark; "
      "INSERT INTO sluice_watermark SELECT * FROM earlier; COMMIT");
  EXPECT_THAT(error_of([&] {
                std::ignore = in.push(payments(100)[60]);
                engine.wait_for(kDeadline);
              }),
              HasSubstr("the store knows less of it than this pipeline has committed"));
  EXPECT_TRUE(counts("50"));
}

// SQLite's memory of its locks is wrong in a process that was forked: it would write without them.
TEST_F(SqliteSink, RefusesToRunWhereAConnectionWasCarriedOverTheFork) {
  OtherConnection other{database()};
  EXPECT_THAT(other.rows("SELECT * FROM payment"), IsEmpty());
  Engine engine{bank(), settings()};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr("a connection of SQLite was open when the pipeline was started"),
                    HasSubstr("close it before")));
  EXPECT_THAT(other.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'sluice%'"), IsEmpty());
}

// The watchdog knows that the wait for a lock is none of a handler that hangs.
TEST_F(SqliteSink, MayWaitForALockForLongerThanTheWatchdogsDeadline) {
  SqliteOptions patient = options();
  patient.busy = 30s;
  Pipeline pipeline{"patient"};
  pipeline.inlet<Payment>("in").to<PaymentSink>(
      "book", patient, Sql<Payment>{"INSERT INTO payment(number) VALUES (?)", &Payment::number});
  Engine engine{pipeline, settings({"watchdog.deadline=250ms", "restart.budget=0", "poison.attempts=1"})};
  engine.start();
  EXPECT_TRUE(
      eventually([&] { return !rows("SELECT * FROM sqlite_schema WHERE name='sluice_owner'").empty(); }));
  OtherConnection other{database()};
  other.run("BEGIN IMMEDIATE");
  push(engine, payments(1));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "book/0").verdict == "waiting outside"; }));
  std::this_thread::sleep_for(1250ms);  // Five deadlines.
  other.run("COMMIT");
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT count(*) FROM payment"), ElementsAre("1"));
  EXPECT_EQ(worker_of(engine, "book/0").restarts, 0U);
}

TEST_F(SqliteSink, EndsThePipelineAtOnceWithAnErrorThatSaysWhatIsMissing) {
  const auto end_of = [this](const Pipeline& pipeline) {
    Engine engine{pipeline, settings()};
    return error_of([&] {
      engine.start();
      push(engine, payments(1));
      engine.wait_for(kDeadline);
    });
  };
  run("DROP TABLE payment");
  EXPECT_THAT(end_of(bank()),
              AllOf(HasSubstr("no such table: payment"), HasSubstr("book/0"), HasSubstr(database())));
  Pipeline few{"few"};
  few.inlet<Payment>("in").to<PaymentSink>(
      "book", options(), Sql<Payment>{"INSERT INTO account VALUES (?1, ?2)", &Payment::account});
  EXPECT_THAT(end_of(few), HasSubstr("it has 2 parameters and is to be given 1 value"));
}

// Texts and bytes have no members: functions are the bindings.
TEST_F(SqliteSink, TakesRecordsByFunctions) {
  run("CREATE TABLE line(text TEXT, length INTEGER)");
  Pipeline pipeline{"lines"};
  pipeline.inlet<Bytes>("in").to<SqlSink<SqliteStore, Bytes>>(
      "book", options(),
      Sql<Bytes>{"INSERT INTO line VALUES (?, ?)", [](const Bytes& line) { return line.text(); },
                 [](const Bytes& line) { return line.body.size(); }});
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  for (const char* line : {"one", "", "three"})
    EXPECT_EQ(in.push(Bytes{std::string_view{line}}), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(rows("SELECT text, length FROM line ORDER BY rowid"), ElementsAre("one|3", "|0", "three|5"));
}

TEST_F(SqliteSink, WritesInRunInlineToo) {
  Pipeline pipeline{"inline"};
  pipeline.inlet<Payment>("in").to<PaymentSink>(
      "book", options(), Sql<Payment>{"INSERT INTO payment(cents) VALUES (?)", &Payment::cents});
  for (int times = 0; times < 2; ++times)
    std::ignore = run_inline(pipeline, payments(10));
  EXPECT_THAT(rows("SELECT count(*) FROM payment"), ElementsAre("20")) << "each call is a run of its own";
  EXPECT_THAT(rows("SELECT * FROM sluice_watermark"), IsEmpty());
}

}  // namespace
}  // namespace sluice::test
