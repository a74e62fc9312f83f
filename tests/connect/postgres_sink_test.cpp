// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink where all is well, and what becomes of events that the server refuses.
#include "postgres_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Postgres = WithPostgres;

TEST_F(Postgres, HasEachRowOnce) {
  PgLedger ledger;
  std::vector<PgPayment> events;
  events.reserve(20'000);
  for (int i = 0; i < 20'000; ++i)
    events.push_back(ledger.pay());
  run(book_pipeline(database(), 2), events, settings());
  expect(ledger);
  EXPECT_EQ(server().query("SELECT count(*) FROM sluice.watermark"), "2\n");
}

// A row of every type that a value may be of.
struct Anything {
  std::uint32_t number = 0;
};
class EveryType {
 public:
  EveryType(Worker& worker, const PostgresOptions& database)
      : sink_{worker, database},
        insert_{sink_.prepare(
            "INSERT INTO anything VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")} {}
  void operator()(const Anything&) {
    const std::vector<std::byte> bytes{std::byte{0}, std::byte{'\\'}, std::byte{255}};
    sink_.add(insert_, 32767, -2147483648LL, INT64_MIN, 0.1, 1.5F, "a\"b'c\\", std::string{"\xc3\xa9"}, bytes,
              "12.3400", "2026-01-02 03:04:05+00", "{\"a\": 1}", std::optional<int>{}, true);
    sink_.add(insert_, SqlNull{}, 7, 8, -0.0, 2, std::string{}, 9, std::vector<std::byte>{}, 1e300,
              "infinity", "[]", std::optional<int>{3}, 0);
  }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement insert_;
};

TEST_F(Postgres, SendsEveryValueAsTheTypeOfItsParameter) {
  server().query(
      "CREATE TABLE anything (a smallint, b integer, c bigint, d double precision, e real, f text, "
      "g varchar(9), h bytea, i numeric, j timestamptz, k jsonb, l integer, m boolean)");
  Pipeline pipeline{"types"};
  pipeline.inlet<Anything>("in").to<EveryType>("write", {}, database());
  run<Anything>(pipeline, {{1}}, settings());
  EXPECT_EQ(
      server().query(
          "SET timezone = 'UTC'; SELECT a, b, c, d, e, f, g, h, i, j, k, l, m FROM anything ORDER BY b"),
      "32767|-2147483648|-9223372036854775808|0.1|1.5|a\"b'c\\|\xc3\xa9|\\x005cff|12.3400|2026-01-02 "
      "03:04:05+00|"
      "{\"a\": 1}||t\n"
      "|7|8|-0|2||9|\\x|1" +
          std::string(300, '0') + "|infinity|[]|3|f\n");
}

TEST_F(Postgres, MakesDeadLettersOfAllEventsThatViolateAConstraintAndWritesTheOthers) {
  server().query("INSERT INTO payment VALUES (3, 1, 1)");
  PgLedger ledger;
  std::vector<PgPayment> events;
  for (std::uint64_t i = 0; i < 500; ++i) {
    PgPayment payment = i == 2 ? PgPayment{3, 5, 100} : i == 20 ? PgPayment{1, 5, 100} : ledger.pay();
    if (i == 2) ledger.skip();
    events.push_back(payment);
    if (i % 50 == 10) events.push_back({100'000 + i, 5, -1});
  }
  run(book_pipeline(database()), events, settings());
  EXPECT_EQ(dead_letters_, 12U);
  EXPECT_EQ(server().query("DELETE FROM payment WHERE number = 3 AND account = 1 RETURNING cents"), "1\n");
  expect(ledger);
  std::vector<std::string> why = causes();
  ASSERT_THAT(why, SizeIs(12));
  EXPECT_THAT(
      why[0],
      HasSubstr("duplicate key value violates unique constraint \"payment_pkey\": Key (number)=(3) already "
                "exists."));
  EXPECT_THAT(why[1], HasSubstr("violates check constraint \"payment_cents_check\""));
  EXPECT_THAT(why[2], HasSubstr("Key (number)=(1) already exists."));
}

struct Text {
  std::array<char, 16> bytes{};
  std::uint32_t size = 0;
};
class Texts {
 public:
  Texts(Worker& worker, const PostgresOptions& database)
      : sink_{worker, database}, insert_{sink_.prepare("INSERT INTO texts VALUES ($1, $2)")} {}
  void operator()(const Text& text) {
    const std::string value{text.bytes.data(), text.size};
    sink_.add(insert_, value, value);
  }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement insert_;
};
Text text_of(std::string_view value) {
  Text text;
  text.size = static_cast<std::uint32_t>(value.copy(text.bytes.data(), text.bytes.size()));
  return text;
}

TEST_F(Postgres, RefusesTextThatTheColumnCannotHold) {
  server().query("CREATE TABLE texts (t text, n numeric)");
  Pipeline pipeline{"texts"};
  pipeline.inlet<Text>("in").to<Texts>("write", {}, database());
  using namespace std::string_view_literals;
  run<Text>(pipeline, {text_of("1"), text_of("2\0"sv), text_of("3\xff"), text_of("four"), text_of("5")},
            settings());
  EXPECT_EQ(server().query("SELECT * FROM texts ORDER BY t"), "1|1\n5|5\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("the text has a zero byte in it"),
                                    HasSubstr("invalid byte sequence for encoding \"UTF8\": 0xff"),
                                    HasSubstr("invalid input syntax for type numeric: \"four\"")));
}

TEST_F(Postgres, RefusesWhatATriggerRaises) {
  server().query(
      "CREATE FUNCTION check_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF NEW.cents > 900 THEN RAISE EXCEPTION 'account % has no more than 9.00', NEW.account; END IF; "
      "RETURN NEW; END $$; "
      "CREATE TRIGGER funds BEFORE INSERT ON payment FOR EACH ROW EXECUTE FUNCTION check_it()");
  run<PgPayment>(book_pipeline(database()), {{1, 7, 100}, {2, 8, 950}, {3, 9, 900}}, settings());
  EXPECT_EQ(payments(), "1|7|100\n3|9|900\n");
  EXPECT_EQ(accounts(), "7|100\n9|900\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("account 8 has no more than 9.00")));
}

TEST_F(Postgres, RefusesTheEventWhoseDeferredConstraintFailsInTheCommit) {
  server().query(
      "CREATE TABLE person (number bigint PRIMARY KEY); INSERT INTO person VALUES (7), (9); "
      "ALTER TABLE payment ADD FOREIGN KEY (account) REFERENCES person DEFERRABLE INITIALLY DEFERRED");
  run<PgPayment>(book_pipeline(database()), {{1, 7, 100}, {2, 8, 100}, {3, 9, 100}}, settings());
  EXPECT_EQ(payments(), "1|7|100\n3|9|100\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("violates foreign key constraint")));
}

TEST_F(Postgres, LetsTwoPipelinesOfDifferentNamesShareADatabase) {
  PostgresOptions one = database();
  PostgresOptions other = database();
  one.name = "one";
  other.name = "other";
  const Pipeline first = book_pipeline(one);
  const Pipeline second = book_pipeline(other);
  Engine a{first, settings()};
  Engine b{second, settings()};
  a.start();
  b.start();
  PgLedger ledger;
  auto in_a = a.inlet<PgPayment>("in");
  auto in_b = b.inlet<PgPayment>("in");
  for (int i = 0; i < 500; ++i) {
    std::ignore = in_a.push(ledger.pay());
    std::ignore = in_b.push(ledger.pay());
  }
  in_a.close();
  in_b.close();
  EXPECT_TRUE(a.wait_for(kDeadline));
  EXPECT_TRUE(b.wait_for(kDeadline));
  expect(ledger);
}

}  // namespace
}  // namespace sluice::test
