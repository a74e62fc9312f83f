// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink when the server is away, slow, full or says no: what comes back is waited for, what a person must mend is an
// Error that says so, and nothing shows a password.
#include "postgres_relay.hpp"
#include "postgres_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PostgresTrouble : public WithPostgres {
 protected:
  // A pipeline that is pushed to and must be whole in the end.
  struct Run {
    Run(const Pipeline& pipeline, const Settings& settings) : engine{pipeline, settings} { engine.start(); }
    void pay(int count) {
      auto in = engine.inlet<PgPayment>("in");
      for (int i = 0; i < count; ++i)
        EXPECT_EQ(in.push(ledger.pay()), PushResult::accepted);
    }
    void end() {
      engine.inlet<PgPayment>("in").close();
      EXPECT_TRUE(engine.wait_for(kDeadline));
    }
    bool waits_for(const std::string& text, const std::string& worker = "book/0") const {
      const WorkerStats seen = worker_of(engine, worker);
      return seen.verdict == "waiting outside" && seen.outside.find(text) != std::string::npos;
    }
    Engine engine;
    PgLedger ledger;
  };
  Settings no_restarts() const { return settings({"restart.budget=0", "poison.attempts=1"}); }
  bool has_rows(std::uint64_t count) {
    return eventually(
        [&] { return server().query("SELECT count(*) FROM payment") == std::to_string(count) + "\n"; });
  }
  // Why a pipeline with this database or statement cannot start.
  std::string start_error(const PostgresOptions& database) {
    const Pipeline pipeline = book_pipeline(database);
    return error_of([&] { Engine{pipeline, settings()}.start(); });
  }
  std::string statement_error(const std::string& sql) {
    Pipeline pipeline{"payments"};
    pipeline.inlet<PgPayment>("in").to<SqlSink<PostgresStore, PgPayment>>(
        "book", {}, database(), Sql<PgPayment>{sql, &PgPayment::number});
    return error_of([&] { Engine{pipeline, settings()}.start(); });
  }
};

TEST_F(PostgresTrouble, WaitsForAServerThatIsDownAtTheStart) {
  server().kill();
  Run run{book_pipeline(database(), 2), no_restarts()};
  run.pay(100);
  EXPECT_TRUE(eventually([&] { return run.waits_for("Connection refused"); }));
  EXPECT_TRUE(eventually([&] { return run.waits_for("the database postgres at", "book/1"); }));
  server().start();
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, WaitsForAServerThatIsStoppedAndStartedAgain) {
  Run run{book_pipeline(database(), 2), no_restarts()};
  for (int i = 0; i < 3; ++i) {
    run.pay(500);
    server().stop();
    // Its connection was idle, or not: the next batch finds out.
    run.pay(10);
    EXPECT_TRUE(eventually([&] { return run.waits_for("") || run.waits_for("", "book/1"); }));
    server().start();
  }
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, GivesUpACallThatIsNotAnsweredWithinItsLimitAndFindsOutWhatBecameOfIt) {
  PostgresOptions limited = database();
  limited.call_limit = 300ms;
  limited.connect_limit = 300ms;
  Run run{book_pipeline(limited), no_restarts()};
  run.pay(100);
  ASSERT_TRUE(has_rows(100));
  // Like a host that has gone from the network: it takes what we send, and never answers.
  server().freeze();
  run.pay(100);
  EXPECT_TRUE(eventually(
      [&] { return run.waits_for("within call_limit") || run.waits_for("within connect_limit"); }));
  EXPECT_TRUE(eventually([&] { return run.waits_for("no connection was made within connect_limit"); }));
  server().thaw();
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, WaitsForALockThatAnotherHolds) {
  server().query("INSERT INTO account VALUES (7919 % 97, 0)");
  PostgresOptions limited = database();
  limited.call_limit = 200ms;
  Run run{book_pipeline(limited), no_restarts()};
  {
    const PostgresServer::Session other{server().url()};
    other.query("BEGIN; UPDATE account SET cents = 0");
    run.pay(1);
    EXPECT_TRUE(eventually([&] {
      return run.waits_for("canceling statement due to statement timeout") ||
             run.waits_for("within call_limit");
    }));
  }
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, WaitsWhileThereAreTooManyConnections) {
  server().query(
      "CREATE ROLE book LOGIN SUPERUSER CONNECTION LIMIT 1; ALTER ROLE book NOSUPERUSER; "
      "GRANT CREATE ON DATABASE postgres TO book; GRANT ALL ON payment, account TO book");
  PostgresOptions limited = database();
  limited.url = "user=book dbname=postgres host=" + server().directory().string() +
                " port=" + std::to_string(server().port());
  Run run{book_pipeline(limited, 2), no_restarts()};
  run.pay(200);
  EXPECT_TRUE(eventually([&] {
    return run.waits_for("too many connections for role \"book\"") ||
           run.waits_for("too many connections for role \"book\"", "book/1");
  }));
  server().query("ALTER ROLE book CONNECTION LIMIT 10");
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, WaitsForAServerThatOnlyReads) {
  server().query("ALTER DATABASE postgres SET default_transaction_read_only = on");
  Run run{book_pipeline(database()), no_restarts()};
  run.pay(10);
  EXPECT_TRUE(eventually([&] { return run.waits_for("session is read-only"); }));
  server().query("BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT");
  run.end();
  expect(run.ledger);
}

// What it returns is of the table's row type, which changes.
class ReturningBook {
 public:
  ReturningBook(Worker& worker, const PostgresOptions& database)
      : sink_{worker, database}, pay_{sink_.prepare("INSERT INTO payment VALUES ($1, $2, $3) RETURNING *")} {}
  void operator()(const PgPayment& payment) {
    sink_.add(pay_, payment.number, payment.account, payment.cents);
  }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement pay_;
};

TEST_F(PostgresTrouble, PreparesAnewWhenATableHasGotAColumn) {
  Pipeline pipeline{"payments"};
  pipeline.inlet<PgPayment>("in").to<ReturningBook>("book", {}, database());
  Run run{pipeline, no_restarts()};
  run.pay(10);
  ASSERT_TRUE(has_rows(10));
  server().query("ALTER TABLE payment ADD COLUMN note text");
  run.pay(10);
  run.end();
  EXPECT_TRUE(has_rows(20));
  EXPECT_EQ(run.engine.stats().dead_letters(), 0U);
}

TEST_F(PostgresTrouble, EndsThePipelineWhenATableIsDropped) {
  Run run{book_pipeline(database()), no_restarts()};
  run.pay(10);
  ASSERT_TRUE(has_rows(10));
  server().query("DROP TABLE account");
  run.pay(1);
  EXPECT_THAT(
      error_of([&] { run.engine.wait(); }),
      AllOf(HasSubstr("cannot write to the database postgres at"), HasSubstr("\"INSERT INTO account VALUES"),
            HasSubstr("relation \"account\" does not exist"), HasSubstr("(make the table, or")));
}

TEST_F(PostgresTrouble, SaysAtTheStartWhatIsWrongWithAStatement) {
  EXPECT_THAT(statement_error("INSERT INTO paymend VALUES ($1)"),
              AllOf(HasSubstr("\"INSERT INTO paymend VALUES ($1)\""),
                    HasSubstr("relation \"paymend\" does not exist")));
  EXPECT_THAT(statement_error("INSERT INTO payment (numbr) VALUES ($1)"), HasSubstr("column \"numbr\""));
  EXPECT_THAT(statement_error("INSERT INTO payment VALUES ($1"), HasSubstr("syntax error at end of input"));
  EXPECT_THAT(statement_error("INSERT INTO payment VALUES ($1); DELETE FROM payment"),
              HasSubstr("cannot insert multiple commands into a prepared statement"));
  EXPECT_THAT(statement_error("INSERT INTO payment VALUES ($1, $2, 1)"),
              HasSubstr("it has 2 parameters and will be given 1 value"));
  for (const char* sql : {"COMMIT", " -- done\n commit", "/* x */ ROLLBACK", "PREPARE TRANSACTION 'x'",
                          "COPY payment FROM STDIN", "BEGIN", "SAVEPOINT a", ""})
    EXPECT_THAT(statement_error(sql), HasSubstr("it is not a statement that changes rows")) << sql;
  EXPECT_THAT(statement_error("/* by */ -- the way\n (SELECT $1::bigint)"), IsEmpty());
}

TEST_F(PostgresTrouble, SaysWhatIsWrongWithAConnectionAndNoPassword) {
  server().query("CREATE ROLE book LOGIN PASSWORD 'right'");
  server().let_in("local all all trust\nhost all book 127.0.0.1/32 scram-sha-256\n");
  const std::string port = std::to_string(server().port());
  PostgresOptions wrong;
  wrong.url = "postgresql://book:Hush1@127.0.0.1:" + port + "/postgres";
  EXPECT_THAT(start_error(wrong),
              AllOf(HasSubstr("cannot connect to the database postgres at 127.0.0.1:" + port),
                    HasSubstr("password authentication failed for user \"book\" (correct user and password"),
                    Not(HasSubstr("Hush1")), Not(HasSubstr("28P01")), Not(HasSubstr("LOCATION"))));
  wrong.url = "postgresql://book@127.0.0.1:" + port + "/postgres";
  EXPECT_THAT(start_error(wrong), AllOf(HasSubstr("no password supplied"), HasSubstr("PGPASSWORD")));
  wrong.url = "postgresql://sluice:Hush1@127.0.0.1:" + port + "/postgres";
  EXPECT_THAT(start_error(wrong), AllOf(HasSubstr("no pg_hba.conf entry"), Not(HasSubstr("Hush1"))));
  wrong.url = server().url("bank") + " password=Hush1";
  EXPECT_THAT(start_error(wrong),
              AllOf(HasSubstr("database \"bank\" does not exist (make the database by createdb"),
                    Not(HasSubstr("Hush1"))));
  wrong.url = "postgresql://book:Hush1@127.0.0.1:" + port + "/postgres?sslmode=require";
  EXPECT_THAT(start_error(wrong), HasSubstr("SSL was required"));
  wrong.url = server().url() + " sslmode=perhaps password=Hush1";
  EXPECT_THAT(start_error(wrong), AllOf(HasSubstr("invalid sslmode value"), Not(HasSubstr("Hush1"))));
  for (const char* url :
       {"postgresql://book:Hush1@[127.0.0.1/bank", "host=db1 password=Hush1 Hush1 dbname=bank",
        "postgresql://book@db1/bank?pasword=Hush1", "host=db1 password='Hush1"}) {
    wrong.url = url;
    EXPECT_THAT(start_error(wrong),
                AllOf(HasSubstr("cannot use the URL of PostgresOptions"), Not(HasSubstr("Hush1"))))
        << url;
  }
  wrong = database();
  wrong.schema = "pg_mine";
  EXPECT_THAT(start_error(wrong), HasSubstr("begins with pg_"));
  wrong = database();
  wrong.synchronous_commit = "perhaps";
  EXPECT_THAT(start_error(wrong),
              HasSubstr("invalid value for parameter \"synchronous_commit\": \"perhaps\""));
}

TEST_F(PostgresTrouble, NeedsOnlyTheRightsOnTablesThatAnAdministratorHasMade) {
  server().query("CREATE ROLE book LOGIN; GRANT ALL ON payment, account TO book");
  PostgresOptions options = database();
  options.url = "user=book dbname=postgres host=" + server().directory().string() +
                " port=" + std::to_string(server().port());
  options.schema = "marks of \"ours\"";
  EXPECT_THAT(start_error(options),
              AllOf(HasSubstr("cannot make the schema"), HasSubstr("permission denied for database"),
                    HasSubstr("PostgresStore::tables()")));
  server().query(PostgresStore::tables(options.schema));
  EXPECT_THAT(start_error(options), HasSubstr("permission denied for schema marks of"));
  server().query(
      "GRANT USAGE ON SCHEMA \"marks of \"\"ours\"\"\" TO book; "
      "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA \"marks of \"\"ours\"\"\" TO book");
  Run run{book_pipeline(options), no_restarts()};
  run.pay(10);
  run.end();
  expect(run.ledger);
}

TEST_F(PostgresTrouble, RefusesAServerThatIsTooOld) {
  PostgresRelay relay{server().port(), {.replace = "15.", .by = "11."}};
  PostgresOptions options;
  options.url = relay.url();
  EXPECT_THAT(start_error(options), AllOf(HasSubstr("its server has version 11."), HasSubstr("12 or later")));
}

// What is committed there and not replicated is gone when the standby takes over: it is no commit.
TEST_F(PostgresTrouble, WaitsForTheStandbyThoughAnAdministratorCancelsTheWait) {
  const PostgresServer primary{SLUICE_POSTGRES_CLUSTER, {"wal_level = replica", "max_wal_senders = 4"}};
  primary.query(kPgTables);
  const auto wait_for_standbys = [&](const char* names) {
    primary.query(std::string{"ALTER SYSTEM SET synchronous_standby_names = '"} + names + "'");
    primary.query("SELECT pg_reload_conf()");
  };
  const auto waits = [&](const char* what) {
    return !primary
                .query(std::string{"SELECT "} + what + " FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                .empty();
  };
  PostgresOptions patient{.url = primary.url()};
  patient.call_limit = 1min;
  Run run{book_pipeline(patient), no_restarts()};
  wait_for_standbys("absent");
  // The server hears of them some time later.
  EXPECT_TRUE(eventually([&] {
    run.pay(1);
    return waits("pid");
  }));
  const std::uint64_t committed = worker_of(run.engine, "book/0").events_in;
  EXPECT_LT(committed, run.ledger.paid());
  EXPECT_TRUE(eventually([&] {
    waits("pg_cancel_backend(pid)");
    return run.waits_for("no standby has it");
  }));
  EXPECT_EQ(worker_of(run.engine, "book/0").events_in, committed);
  wait_for_standbys("");
  run.end();
  EXPECT_EQ(primary.query("SELECT * FROM payment ORDER BY number"), run.ledger.payments());
  EXPECT_EQ(primary.query("SELECT * FROM account ORDER BY number"), run.ledger.accounts());
}

TEST_F(PostgresTrouble, NeverLosesCommitsToASwitchedOffSynchronousCommit) {
  server().query("ALTER DATABASE postgres SET synchronous_commit = off");
  server().query("CREATE TABLE seen (number bigint, setting text)");
  const auto seen = [&](const PostgresOptions& options) {
    Pipeline pipeline{"payments"};
    pipeline.inlet<PgPayment>("in").to<SqlSink<PostgresStore, PgPayment>>(
        "book", {}, options,
        Sql<PgPayment>{"INSERT INTO seen VALUES ($1, current_setting('synchronous_commit'))",
                       &PgPayment::number});
    Run run{pipeline, no_restarts()};
    run.pay(1);
    run.end();
    return server().query("DELETE FROM seen RETURNING setting");
  };
  EXPECT_EQ(seen(database()), "on\n");
  PostgresOptions off = database();
  off.synchronous_commit = "off";
  EXPECT_EQ(seen(off), "off\n");
}

}  // namespace
}  // namespace sluice::test
