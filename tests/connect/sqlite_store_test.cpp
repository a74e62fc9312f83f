// SPDX-License-Identifier: Apache-2.0
// SqliteStore by itself: transactions, watermarks, epochs, statements, and what is refused.
#include <array>
#include <cmath>
#include <map>
#include <thread>

#include <sluice/connect/sqlite.hpp>

#include "sqlite_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kOrigin = 0xf123'4567'8000'0400;  // Negative as an integer of SQL.

SinkOwner owner_of_worker(unsigned replica = 0, unsigned replicas = 1, const std::string& stage = "book") {
  return {"bank", stage, replica, replicas, kOrigin + (std::uint64_t{replica} << 10U)};
}

// A store that has claimed its place, as TransactionSink makes it.
struct Claimed {
  explicit Claimed(const SqliteOptions& options, SinkOwner of = owner_of_worker())
      : owner{std::move(of)}, store{options}, claim{store.claim(owner)} {}

  void apply(const std::vector<PendingEffect<SqlEffect>>& effects, const std::vector<Watermark>& marks = {}) {
    std::vector<WatermarkMove> moves;
    moves.reserve(marks.size());
    for (const Watermark& mark : marks)
      moves.push_back({mark.origin, mark.end, left.contains(mark.origin) ? left[mark.origin] : 0});
    store.apply({owner, claim.epoch, effects, moves});
    for (const Watermark& mark : marks)
      left[mark.origin] = mark.end;
  }

  SinkOwner owner;
  SqliteStore store;
  SinkClaim claim;
  std::map<std::uint64_t, std::uint64_t> left;  // Where this writer has left its watermarks.
};

PendingEffect<SqlEffect> at(std::uint64_t position, SqlEffect effect) {
  return {{kOrigin, position}, std::move(effect)};
}

class SqliteStoreAlone : public WithSqlite {
 protected:
  SqliteStoreAlone() {
    run("CREATE TABLE payment(number INTEGER PRIMARY KEY, account INTEGER NOT NULL, cents INTEGER "
        "CHECK(cents > 0));"
        "CREATE TABLE account(number INTEGER PRIMARY KEY)");
  }
  SqliteOptions options() const { return {.path = database(), .busy = std::chrono::milliseconds{50}}; }
  std::vector<std::string> payments() const { return rows("SELECT * FROM payment ORDER BY number"); }
};

constexpr std::string_view kInsert = "INSERT INTO payment VALUES (?1, ?2, ?3)";

TEST_F(SqliteStoreAlone, KeepsEffectsAndWatermarksOfABatch) {
  Claimed book{options()};
  EXPECT_EQ(book.claim.epoch, 1U);
  EXPECT_THAT(book.claim.watermarks, IsEmpty());
  const Statement insert = book.store.prepare(kInsert, 3);
  book.apply({at(8, SqlEffect{insert, 1, 7, 100}), at(16, SqlEffect{insert, 2, 8, 200})},
             {{kOrigin, 24}, {kOrigin + 1, ~std::uint64_t{0}}});
  EXPECT_THAT(payments(), ElementsAre("1|7|100", "2|8|200"));
  book.apply({at(24, SqlEffect{insert, 3, 7, 5})}, {{kOrigin, 32}});
  const Claimed next{options()};
  EXPECT_EQ(next.claim.epoch, 2U);
  EXPECT_THAT(next.claim.watermarks, testing::UnorderedElementsAre(
                                         Watermark{kOrigin, 32}, Watermark{kOrigin + 1, ~std::uint64_t{0}}));
  EXPECT_THAT(rows("PRAGMA journal_mode"), ElementsAre("wal"));
  expect_sound();
}

TEST_F(SqliteStoreAlone, GivesAWorkerTheWatermarksOfItsOwnLanesAlone) {
  Claimed first{options(), owner_of_worker(0, 2)};
  Claimed second{options(), owner_of_worker(1, 2)};
  const Statement insert = first.store.prepare(kInsert);
  first.apply({at(0, SqlEffect{insert, 1, 1, 1})}, {{first.owner.origin + 1023, 8}});
  const Statement again = second.store.prepare(kInsert);
  second.apply({at(0, SqlEffect{again, 2, 1, 1})}, {{second.owner.origin, 9}});
  EXPECT_THAT(Claimed(options(), owner_of_worker(0, 2)).claim.watermarks,
              ElementsAre(Watermark{first.owner.origin + 1023, 8}));
  EXPECT_THAT(Claimed(options(), owner_of_worker(1, 2)).claim.watermarks,
              ElementsAre(Watermark{second.owner.origin, 9}));
  SqliteOptions another = options();
  another.name = "other";
  SqliteStore named{another};
  EXPECT_EQ(named.name_or("bank"), "other");
  EXPECT_EQ(SqliteStore{options()}.name_or("bank"), "bank");
}

TEST_F(SqliteStoreAlone, RefusesAWriterWhosePlaceAnotherHasTaken) {
  Claimed zombie{options()};
  const Statement insert = zombie.store.prepare(kInsert);
  Claimed heir{options()};
  EXPECT_THAT(error_of([&] {
                zombie.apply({at(0, SqlEffect{insert, 1, 1, 1})}, {{kOrigin, 8}});
              }),
              AllOf(HasSubstr("another process has taken over as worker book/0 of bank"),
                    HasSubstr("epoch 2"), HasSubstr(database())));
  EXPECT_THAT(payments(), IsEmpty());
  EXPECT_THAT(rows("SELECT * FROM sluice_watermark"), IsEmpty());
}

// It begins anew when it was told that the database is locked, for one.
TEST_F(SqliteStoreAlone, RefusesToGiveAZombieItsPlaceBack) {
  Claimed zombie{options()};
  const Statement insert = zombie.store.prepare(kInsert);
  zombie.apply({at(0, SqlEffect{insert, 1, 1, 1})}, {{kOrigin, 8}});
  const Claimed again{options()};
  EXPECT_EQ(again.claim.epoch, 2U) << "a replacement in the same run is none";
  SinkOwner other_run = owner_of_worker();
  other_run.origin += std::uint64_t{1} << 28U;
  Claimed heir{options(), other_run};
  EXPECT_EQ(heir.claim.epoch, 3U);
  EXPECT_THAT(heir.claim.watermarks, IsEmpty());
  EXPECT_THAT(error_of([&] { zombie.store.claim(zombie.owner); }),
              AllOf(HasSubstr("another process has taken over as worker book/0 of bank"), HasSubstr("run ")));
  const Statement another = heir.store.prepare(kInsert);
  heir.apply({at(0, SqlEffect{another, 2, 1, 1})}, {{other_run.origin, 8}});
  EXPECT_THAT(payments(), SizeIs(2));
}

TEST_F(SqliteStoreAlone, RefusesAnEarlierLifeOfARunOnceALaterOneHasClaimed) {
  SinkOwner earlier = owner_of_worker();
  earlier.life = 7;
  SinkOwner later = earlier;
  later.life = 8;
  Claimed zombie{options(), earlier};
  EXPECT_EQ(Claimed(options(), earlier).claim.epoch, 2U) << "a replacement in the same life is none";
  EXPECT_EQ(Claimed(options(), later).claim.epoch, 3U);
  EXPECT_THAT(error_of([&] { zombie.store.claim(earlier); }), HasSubstr("a later start of the same run"));
  EXPECT_EQ(Claimed(options(), later).claim.epoch, 4U);
}

TEST_F(SqliteStoreAlone, RefusesReplicasThatAStageHasNoMore) {
  Claimed of_three{options(), owner_of_worker(2, 3)};
  const Statement insert = of_three.store.prepare(kInsert);
  const Claimed of_two{options(), owner_of_worker(0, 2)};
  EXPECT_THAT(error_of([&] {
                of_three.apply({at(0, SqlEffect{insert, 1, 1, 1})});
              }),
              HasSubstr("taken over as worker book/2"));
  // The other stage's are its own.
  Claimed elsewhere{options(), owner_of_worker(2, 3, "archive")};
  const Claimed again{options(), owner_of_worker(0, 2)};
  const Statement other = elsewhere.store.prepare(kInsert);
  elsewhere.apply({at(0, SqlEffect{other, 1, 1, 1})});
  EXPECT_THAT(payments(), SizeIs(1));
}

TEST_F(SqliteStoreAlone, SaysThatTheDatabaseWasPutBack) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  run("DELETE FROM sluice_owner");
  EXPECT_THAT(error_of([&] {
                book.apply({at(0, SqlEffect{insert, 1, 1, 1})});
              }),
              HasSubstr("put back to an earlier state"));
}

TEST_F(SqliteStoreAlone, TakesEveryKindOfValue) {
  run("CREATE TABLE kinds(a, b, c, d, e, f)");
  Claimed book{options()};
  const Statement insert = book.store.prepare("INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?)", 6);
  const char name[4] = {'a', 'b', '\0', 'c'};
  const std::array<std::byte, 2> bytes{std::byte{0}, std::byte{255}};
  book.apply({at(0, SqlEffect{insert, INT64_MIN, 0.5, name, std::span<const std::byte>{bytes},
                              std::optional<int>{}, std::string{"x\0y", 3}})});
  book.apply({at(1, SqlEffect{insert, true, std::uint8_t{200}, std::string{}, SqlBytes{}, SqlNull{}, "z"})});
  EXPECT_THAT(rows("SELECT a, b, c, d, e, hex(f) FROM kinds"),
              ElementsAre("-9223372036854775808|0.5|ab|X'00ff'|NULL|780079", "1|200||X''|NULL|7A"));
}

TEST_F(SqliteStoreAlone, TakesParametersAsPostgresWritesThem) {
  Claimed book{options()};
  const Statement swapped =
      book.store.prepare("INSERT INTO payment(account, number, cents) VALUES ($2, $1, $3)", 3);
  const Statement twice = book.store.prepare("INSERT INTO payment VALUES ($1, $2, $2)", 2);
  book.apply({at(0, SqlEffect{swapped, 1, 2, 3}), at(1, SqlEffect{twice, 4, 5})});
  EXPECT_THAT(payments(), ElementsAre("1|2|3", "4|5|5"));
}

TEST_F(SqliteStoreAlone, NamesAllEventsThatViolateAConstraintAndKeepsNothing) {
  run("CREATE TRIGGER no_thirteen BEFORE INSERT ON payment WHEN new.account = 13 "
      "BEGIN SELECT RAISE(ABORT, 'account 13 is closed'); END");
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  const std::vector<PendingEffect<SqlEffect>> batch{at(0, SqlEffect{insert, 1, 1, 1}),
                                                    at(8, SqlEffect{insert, 1, 2, 2}),
                                                    at(16, SqlEffect{insert, 2, 1, 0}),
                                                    at(24, SqlEffect{insert, 3, SqlNull{}, 1}),
                                                    at(32, SqlEffect{insert, 4, 13, 1}),
                                                    at(40, SqlEffect{insert, "five", 1, 1}),
                                                    at(44, SqlEffect{insert, 6, 1, std::nan("")}),
                                                    at(48, SqlEffect{insert, 6, 1, 1})};
  std::vector<std::string> refused;
  try {
    book.apply(batch, {{kOrigin, 56}});
    FAIL() << "nothing was refused";
  } catch (const Refused& caught) {
    for (const RefusedEvent& event : caught.events())
      refused.push_back(std::to_string(event.id.position) + ": " + event.why);
  }
  EXPECT_THAT(refused, ElementsAre("8: UNIQUE constraint failed: payment.number",
                                   "16: CHECK constraint failed: cents > 0",
                                   "24: NOT NULL constraint failed: payment.account",
                                   "32: account 13 is closed", "40: datatype mismatch",
                                   "44: a value is no number (NaN), of which SQLite would make NULL"));
  EXPECT_THAT(payments(), IsEmpty());
  EXPECT_THAT(rows("SELECT * FROM sluice_watermark"), IsEmpty());
  book.apply({batch.front(), batch.back()}, {{kOrigin, 56}});
  EXPECT_THAT(payments(), SizeIs(2));
}

// What an event does it does as a whole, and its faults are not those of the events behind it.
TEST_F(SqliteStoreAlone, UndoesAllOfAnEventBeforeItLooksAtTheNext) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  try {
    book.apply({at(0, SqlEffect{insert, 1, 1, 1}), at(0, SqlEffect{insert, 2, 1, 0}),
                at(0, SqlEffect{insert, 3, 1, 1}), at(8, SqlEffect{insert, 1, 2, 2}),
                at(8, SqlEffect{insert, 3, 2, 2})});
    FAIL() << "nothing was refused";
  } catch (const Refused& refused) {
    ASSERT_THAT(refused.events(), SizeIs(1));
    EXPECT_EQ(refused.events()[0].id.position, 0U);
  }
}

TEST_F(SqliteStoreAlone, StaysExactWithAStatementThatRollsAllBack) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  const Statement wild = book.store.prepare("INSERT OR ROLLBACK INTO payment VALUES (?1, ?2, ?3)");
  const std::vector<PendingEffect<SqlEffect>> batch{
      at(0, SqlEffect{insert, 1, 1, 1}), at(8, SqlEffect{wild, 1, 2, 2}), at(16, SqlEffect{insert, 3, 1, 1})};
  EXPECT_THROW(book.apply(batch), Refused);
  EXPECT_THAT(payments(), IsEmpty()) << "what stood behind it was done outside of the transaction";
}

TEST_F(SqliteStoreAlone, SaysThatAConstraintIsViolatedThatIsCheckedAtTheEnd) {
  run("CREATE TABLE deferred(number INTEGER REFERENCES account(number) DEFERRABLE INITIALLY DEFERRED)");
  Claimed book{options()};
  const Statement insert = book.store.prepare("INSERT INTO deferred VALUES (?)");
  try {
    book.apply({at(0, SqlEffect{insert, 1}), at(8, SqlEffect{insert, 2})});
    FAIL() << "nothing was refused";
  } catch (const Refused& refused) {
    EXPECT_THAT(refused.what(), HasSubstr("FOREIGN KEY constraint failed"));
    EXPECT_THAT(refused.events(), IsEmpty()) << "SQLite does not say which";
  }
  EXPECT_THAT(rows("SELECT * FROM deferred"), IsEmpty());
  SqliteOptions unchecked = options();
  unchecked.foreign_keys = false;
  Claimed lax{unchecked};
  const Statement again = lax.store.prepare("INSERT INTO deferred VALUES (?)");
  lax.apply({at(0, SqlEffect{again, 1})});
  EXPECT_THAT(rows("SELECT * FROM deferred"), SizeIs(1));
}

// An error that is neither a constraint nor the statement's: the values are at fault.
TEST_F(SqliteStoreAlone, RefusesAnEventWhoseValuesAFunctionCannotTake) {
  Claimed book{options()};
  const Statement insert =
      book.store.prepare("INSERT INTO payment VALUES (?1, abs(?2), json_extract(?3, '$.a'))");
  try {
    book.apply({at(0, SqlEffect{insert, 1, 1, "{\"a\":1}"}),
                at(8, SqlEffect{insert, 2, INT64_MIN, "{\"a\":1}"}), at(16, SqlEffect{insert, 3, 1, "{"})});
    FAIL() << "nothing was refused";
  } catch (const Refused& refused) {
    ASSERT_THAT(refused.events(), SizeIs(2));
    EXPECT_EQ(refused.events()[0].why, "integer overflow");
    EXPECT_EQ(refused.events()[1].why, "malformed JSON");
  }
}

TEST_F(SqliteStoreAlone, SaysWhatHasBecomeOfASchemaThatChanged) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  book.apply({at(0, SqlEffect{insert, 1, 1, 1})});
  run("ALTER TABLE payment ADD COLUMN currency TEXT");
  EXPECT_THAT(error_of([&] {
                book.apply({at(8, SqlEffect{insert, 2, 1, 1})});
              }),
              AllOf(HasSubstr("table payment has 4 columns but 3 values were supplied"),
                    HasSubstr("INSERT INTO payment")));
  run("DROP TABLE payment");
  EXPECT_THAT(error_of([&] {
                book.apply({at(8, SqlEffect{insert, 2, 1, 1})});
              }),
              AllOf(HasSubstr("no such table: payment"), HasSubstr("SqliteOptions::schema")));
}

TEST_F(SqliteStoreAlone, GoesOnWithASchemaThatChangedAndStillFits) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  run("CREATE INDEX by_account ON payment(account)");
  book.apply({at(0, SqlEffect{insert, 1, 1, 1})});
  EXPECT_THAT(payments(), SizeIs(1));
  expect_sound();
}

TEST_F(SqliteStoreAlone, SaysAtTheStartThatAStatementIsNone) {
  Claimed book{options()};
  const auto refusal = [&](std::string_view sql, std::optional<std::size_t> values = {}) {
    return error_of([&] { std::ignore = book.store.prepare(sql, values); });
  };
  EXPECT_THAT(
      refusal("INSERT INTO pament VALUES (?)"),
      AllOf(HasSubstr("INSERT INTO pament"), HasSubstr("no such table: pament"), HasSubstr(database())));
  EXPECT_THAT(refusal("INSRT INTO payment"), HasSubstr("syntax error"));
  EXPECT_THAT(refusal("INSERT INTO payment(dollars) VALUES (?)"), HasSubstr("no column named dollars"));
  EXPECT_THAT(refusal(kInsert, 2), HasSubstr("it has 3 parameters and is to be given 2 values"));
  EXPECT_THAT(refusal("INSERT INTO payment VALUES (?1, ?1, ?9)", 3), HasSubstr("it has 9 parameters"));
  EXPECT_THAT(refusal(" -- nothing"), HasSubstr("it is empty"));
  EXPECT_THAT(refusal("DELETE FROM payment; DELETE FROM account"), HasSubstr("more than one statement"));
  EXPECT_THAT(refusal("SELECT * FROM payment"), HasSubstr("it changes nothing"));
  for (const char* meddles :
       {"COMMIT", "BEGIN IMMEDIATE", "SAVEPOINT x", "PRAGMA journal_mode=DELETE", "ATTACH 'x.db' AS x",
        "DELETE FROM sluice_owner", "UPDATE sluice_watermark SET position=0"})
    EXPECT_THAT(refusal(meddles), AllOf(HasSubstr("not authorized"), HasSubstr("leaves transactions")))
        << meddles;
  std::ignore = book.store.prepare("DELETE FROM payment; -- and that is all", 0);
}

TEST_F(SqliteStoreAlone, SaysThatAnEffectDoesNotFitItsStatement) {
  Claimed book{options()};
  const Statement insert = book.store.prepare(kInsert);
  EXPECT_THAT(error_of([&] {
                book.apply({at(0, SqlEffect{insert, 1})});
              }),
              HasSubstr("it takes 3 values and was given 1"));
  EXPECT_THAT(error_of([&] {
                book.apply({at(0, SqlEffect{Statement{7}, 1})});
              }),
              HasSubstr("has not prepared it"));
}

TEST_F(SqliteStoreAlone, MakesADatabaseWithItsSchema) {
  SqliteOptions made{.path = file("made.db"),
                     .schema = "CREATE TABLE IF NOT EXISTS t(a); CREATE TABLE IF NOT EXISTS u(a)"};
  for (int times = 0; times < 2; ++times) {
    Claimed book{made};
    const Statement insert = book.store.prepare("INSERT INTO t VALUES (?)");
    book.apply({at(0, SqlEffect{insert, times})});
  }
  EXPECT_THAT(OtherConnection{made.path}.rows("SELECT * FROM t"), ElementsAre("0", "1"));
  made.schema = "CREATE TABLE t(a)";
  EXPECT_THAT(error_of([&] { Claimed{made}; }), HasSubstr("table t already exists"));
}

TEST_F(SqliteStoreAlone, IsMadeByManyProcessesAtOnceWithoutBotheringAny) {
  SqliteOptions made{.path = file("made.db"), .schema = "CREATE TABLE IF NOT EXISTS t(a)"};
  made.busy = 55s;  // A lock goes to whoever asks at the right moment: one of many may wait for long.
  constexpr unsigned kProcesses = 8;
  std::vector<pid_t> children;
  for (unsigned replica = 0; replica < kProcesses; ++replica) {
    const pid_t child = ::fork();
    if (child == 0) {
      int status = 1;
      try {
        Claimed book{made, owner_of_worker(replica, kProcesses)};
        const Statement insert = book.store.prepare("INSERT INTO t VALUES (?)");
        for (unsigned position = 0; position < 20; ++position)
          book.apply({at(position, SqlEffect{insert, position})}, {{book.owner.origin, position + 1}});
        status = 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(status);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_THAT(OtherConnection{made.path}.rows("SELECT count(*) FROM t"), ElementsAre("160"));
}

}  // namespace
}  // namespace sluice::test
