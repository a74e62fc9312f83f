// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink and what is at fault: an event, which is a dead letter then; the database, which a person must mend; or nobody
// here, so that it is waited for. And values whose types are the database's own.
#include <limits>

#include "postgres_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// What comes to a statement of one parameter, in order.
struct Number {
  std::uint64_t number = 0;
};

// Gives its statement 65,540 values.
class Wide {
 public:
  Wide(Worker& worker, const PostgresOptions& database, const std::string& sql)
      : sink_{worker, database}, statement_{sink_.prepare(sql)} {}
  void operator()(const Number&) {
    sink_.add(SqlEffect{statement_, std::vector<SqlValue>(65'540, SqlValue{std::int64_t{1}})});
  }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement statement_;
};

class PostgresHostile : public WithPostgres {
 protected:
  // A statement for each number; the parameters are what `values` makes of it.
  template <class... Values>
  static Pipeline writing(const PostgresOptions& database, const std::string& sql, Values... values) {
    Pipeline pipeline{"hostile"};
    pipeline.inlet<Number>("in").to<SqlSink<PostgresStore, Number>>("write", {}, database,
                                                                    Sql<Number>{sql, values...});
    return pipeline;
  }
  template <class... Values>
  void write(std::uint64_t count, const std::string& sql, Values... values) {
    std::vector<Number> events;
    events.reserve(count);
    for (std::uint64_t number = 1; number <= count; ++number)
      events.push_back({number});
    run<Number>(writing(database(), sql, values...), events, settings());
  }
  template <class... Values>
  std::string end_of(const PostgresOptions& database, const std::string& sql, Values... values) {
    const Pipeline pipeline = writing(database, sql, values...);
    return error_of([&] {
      Engine engine{pipeline, settings()};
      engine.start();
      auto in = engine.inlet<Number>("in");
      for (std::uint64_t number = 1; number <= 3; ++number)
        EXPECT_EQ(in.push({number}), PushResult::accepted);
      in.close();
      if (!engine.wait_for(kDeadline))
        throw std::runtime_error("it waits: " + worker_of(engine, "write/0").outside);
    });
  }
  // As a user of no rights but those on the table `t`.
  PostgresOptions as_book() {
    server().query(
        "CREATE ROLE book LOGIN; GRANT CREATE ON DATABASE postgres TO book; GRANT ALL ON t TO book");
    PostgresOptions options;
    options.url = "user=book dbname=postgres host=" + server().directory().string() +
                  " port=" + std::to_string(server().port());
    return options;
  }
};

TEST_F(PostgresHostile, KnowsADomainByTheTypeBeneathIt) {
  server().query(
      "CREATE DOMAIN blob AS bytea; CREATE DOMAIN digest AS blob CHECK (length(VALUE) = 4); CREATE DOMAIN "
      "word AS text; "
      "CREATE TABLE t (n bigint, a digest, b digest, c word)");
  write(
      1, "INSERT INTO t VALUES ($1, $2, $3, $4)", &Number::number,
      [](const Number&) {
        return SqlBytes{std::byte{0}, std::byte{'\\'}, std::byte{'x'}, std::byte{255}};
      },
      [](const Number&) {
        return std::string{"\x00\\x\xff", 4};
      },
      [](const Number&) { return "a\\b"; });
  EXPECT_EQ(dead_letters_, 0U);
  EXPECT_EQ(server().query("SELECT * FROM t"), "1|\\x005c78ff|\\x005c78ff|a\\b\n");
}

TEST_F(PostgresHostile, TakesWhatIsNoNumberToEveryKindOfNumber) {
  server().query("CREATE TABLE t (n bigint, a numeric, b real, c double precision, d numeric(5, 2))");
  const auto nan = [](const Number& event) {
    const double value = std::numeric_limits<double>::quiet_NaN();
    return event.number == 1 ? value : -value;
  };
  write(2, "INSERT INTO t VALUES ($1, $2, $3, $4, $5)", &Number::number, nan, nan, nan, nan);
  EXPECT_EQ(dead_letters_, 0U);
  EXPECT_EQ(server().query("SELECT * FROM t ORDER BY n"), "1|NaN|NaN|NaN|NaN\n2|NaN|NaN|NaN|NaN\n");
}

TEST_F(PostgresHostile, BlamesAnEventForARowThatAPolicyOfItsTableForbids) {
  server().query(
      "CREATE TABLE t (n bigint); ALTER TABLE t ENABLE ROW LEVEL SECURITY; "
      "CREATE POLICY few ON t USING (true) WITH CHECK (n <> 2)");
  const PostgresOptions book = as_book();
  run<Number>(writing(book, "INSERT INTO t VALUES ($1)", &Number::number), {Number{1}, Number{2}, Number{3}},
              settings());
  EXPECT_EQ(server().query("SELECT * FROM t ORDER BY n"), "1\n3\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("new row violates row-level security policy")));
}

TEST_F(PostgresHostile, BlamesAnEventForTextThatIsNoQuery) {
  server().query("CREATE TABLE t (n bigint, q tsquery)");
  const auto query = [](const Number& event) { return event.number == 2 ? "a & & b" : "a & b"; };
  write(3, "INSERT INTO t VALUES ($1, $2)", &Number::number, query);
  EXPECT_EQ(server().query("SELECT * FROM t ORDER BY n"), "1|'a' & 'b'\n3|'a' & 'b'\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("syntax error in tsquery")));
}

// A regular expression wants four bytes for each letter, and the server has a gigabyte for a value.
TEST_F(PostgresHostile, BlamesAnEventForWhatTheServerHasNoRoomFor) {
  server().query("CREATE TABLE t (n bigint, found boolean)");
  const auto length = [](const Number& event) { return event.number == 2 ? 270'000'000 : 1; };
  PostgresOptions patient = database();
  patient.call_limit = 2min;  // It is a lot of text for a machine that is busy.
  run<Number>(writing(patient, "INSERT INTO t VALUES ($1, repeat('x', $2) ~ 'a')", &Number::number, length),
              {Number{1}, Number{2}, Number{3}}, settings());
  EXPECT_EQ(server().query("SELECT * FROM t ORDER BY n"), "1|f\n3|f\n");
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("invalid memory alloc request size")));
}

TEST_F(PostgresHostile, SaysThatATimeLimitIsNone) {
  PostgresOptions wrong = database();
  wrong.call_limit = 0ms;
  EXPECT_THAT(error_of([&] { PostgresStore{wrong}; }),
              AllOf(HasSubstr("PostgresOptions::call_limit = 0 ms"), HasSubstr("at least 1 ms")));
  wrong = database();
  wrong.connect_limit = std::chrono::milliseconds::max();
  EXPECT_THAT(error_of([&] { PostgresStore{wrong}; }),
              AllOf(HasSubstr("PostgresOptions::connect_limit"), HasSubstr("at most a day")));
}

TEST_F(PostgresHostile, EndsThePipelineWhenASequenceHasComeToItsEnd) {
  server().query("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2), n bigint)");
  EXPECT_THAT(
      end_of(database(), "INSERT INTO t (n) VALUES ($1)", &Number::number),
      AllOf(HasSubstr("reached maximum value of sequence \"t_id_seq\""), HasSubstr("ALTER SEQUENCE")));
}

TEST_F(PostgresHostile, SaysAtTheStartThatAViewTakesNoRows) {
  server().query("CREATE VIEW v AS SELECT count(*) AS n FROM payment");
  EXPECT_THAT(end_of(database(), "INSERT INTO v VALUES ($1)", &Number::number),
              AllOf(HasSubstr("cannot insert into view \"v\""), Not(HasSubstr("it waits"))));
}

TEST_F(PostgresHostile, SaysThatAStatementHasMoreParametersThanTheProtocol) {
  std::string sql = "SELECT $1::bigint WHERE 1 IN ($2::bigint";
  for (int i = 3; i <= 65'540; ++i)
    sql += ",$" + std::to_string(i);
  sql += ")";
  Pipeline pipeline{"hostile"};
  pipeline.inlet<Number>("in").to<Wide>("write", {}, database(), sql);
  EXPECT_THAT(error_of([&] { run<Number>(pipeline, {Number{1}}, settings()); }),
              HasSubstr("it has 65540 parameters, and a statement has 65535 at most"));
}

TEST_F(PostgresHostile, SaysWhyAValueIsNoneHoweverLongTheStatement) {
  server().query("CREATE TABLE t (n bigint, x numeric)");
  const std::string sql = "INSERT INTO t VALUES ($1, $2) /*" + std::string(3'000, 'x') + "*/";
  write(1, sql, &Number::number, [](const Number&) { return std::string{"1\0002", 3}; });
  EXPECT_THAT(causes(), ElementsAre(HasSubstr("the text has a zero byte in it")));
}

TEST_F(PostgresHostile, SaysWhatIsWrongWithAConnectionThatNoWaitingMends) {
  const std::string host = "host=" + server().directory().string() + " ";
  const std::string port = std::to_string(server().port());
  const std::string on_socket = host + "dbname=postgres user=sluice port=" + port + " ";
  const std::string tcp = "host=127.0.0.1 dbname=postgres user=sluice port=" + port + " ";
  for (const auto& [url, text] : std::vector<std::pair<std::string, std::string>>{
           {host + "dbname=postgres user=sluice port=1,2,3", "could not match 3 port numbers to 1 hosts"},
           {"hostaddr=999.1.1.1 dbname=postgres user=sluice port=" + port, "could not parse network address"},
           {"service=nobody_has_it", "definition of service \"nobody_has_it\" not found"},
           {tcp + "channel_binding=require", "channel binding"},
           {tcp + "gssencmode=require", "GSSAPI"},
           {on_socket + "requirepeer=nobody_is_called_so", "requirepeer"},
           {tcp + "sslmode=verify-full sslrootcert=/nowhere/root.crt", "SSL"},
           {tcp + "options=-cno_such_setting=1",
            "\"no_such_setting\" (correct the option that the text names)"},
           {tcp + "sslcert=/nowhere/a.crt sslmode=require", "SSL"}}) {
    PostgresOptions options;
    options.url = url;
    EXPECT_THAT(end_of(options, "SELECT $1::bigint", &Number::number),
                AllOf(HasSubstr("cannot connect to the database"), HasSubstr(text)))
        << url;
  }
}

TEST_F(PostgresHostile, SaysWhatToDoWhereItsOwnTablesAreGone) {
  server().query("CREATE TABLE t (n bigint)");
  write(1, "INSERT INTO t VALUES ($1)", &Number::number);
  server().query("DROP TABLE sluice.watermark");
  const auto says = [&](const char* what) {
    EXPECT_THAT(end_of(database(), "INSERT INTO t VALUES ($1)", &Number::number),
                AllOf(HasSubstr(what), HasSubstr("put the tables of the schema \"sluice\" back"),
                      Not(HasSubstr("search_path"))));
  };
  says("relation \"sluice.watermark\" does not exist");
  server().query("ALTER TABLE sluice.owner RENAME epoch TO age");
  says("column \"epoch\" does not exist");
  server().query("DROP TABLE sluice.owner");
  says("relation \"sluice.owner\" does not exist");
}

// An administrator's hand, a failover of the proxy: each wakes the sink, none is an event's fault.
TEST_F(PostgresHostile, GoesOnWhoeverEndsItsSession) {
  server().query("CREATE TABLE t (n bigint PRIMARY KEY)");
  const Pipeline pipeline = writing(database(), "INSERT INTO t VALUES ($1)", &Number::number);
  Engine engine{pipeline, settings({"restart.budget=0", "poison.attempts=1"})};
  engine.start();
  auto in = engine.inlet<Number>("in");
  std::uint64_t number = 0;
  for (const char* call : {"pg_terminate_backend", "pg_cancel_backend"}) {
    for (int i = 0; i < 20; ++i) {
      for (int j = 0; j < 50; ++j)
        EXPECT_EQ(in.push({++number}), PushResult::accepted);
      server().query(std::string{"SELECT "} + call +
                     "(pid) FROM pg_stat_activity WHERE application_name LIKE 'write/0%'");
    }
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  EXPECT_EQ(server().query("SELECT count(*), max(n) FROM t"), "2000|2000\n");
}

}  // namespace
}  // namespace sluice::test
