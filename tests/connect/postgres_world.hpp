// SPDX-License-Identifier: Apache-2.0
// What the tests of the PostgreSQL sink share: a server, payments, and the book that writes them down.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <sluice/connect/postgres.hpp>
#include <sluice/connect/sql_sink.hpp>

#include "outside_world.hpp"
#include "postgres_server.hpp"

namespace sluice::test {

struct PgPayment {
  std::uint64_t number = 0;
  std::uint64_t account = 0;
  std::int64_t cents = 0;
};

// Two rows for each payment: what was paid, and the account's balance.
class PgBook {
 public:
  PgBook(Worker& worker, const PostgresOptions& database)
      : sink_{worker, database},
        pay_{sink_.prepare("INSERT INTO payment VALUES ($1, $2, $3)")},
        add_{sink_.prepare("INSERT INTO account VALUES ($1, $2) ON CONFLICT (number) DO UPDATE "
                           "SET cents = account.cents + excluded.cents")} {}
  void operator()(const PgPayment& payment) {
    sink_.add(pay_, payment.number, payment.account, payment.cents);
    sink_.add(add_, payment.account, payment.cents);
  }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement pay_;
  Statement add_;
};

inline constexpr const char* kPgTables =
    "CREATE TABLE payment (number bigint PRIMARY KEY, account bigint NOT NULL, cents bigint NOT NULL CHECK "
    "(cents > 0)); "
    "CREATE TABLE account (number bigint PRIMARY KEY, cents bigint NOT NULL)";

// What the tables are to hold, computed without a database.
class PgLedger {
 public:
  // The next payment.
  PgPayment pay() {
    const std::uint64_t number = ++last_;
    ++paid_;
    const PgPayment payment{number, number * 7919 % 97, static_cast<std::int64_t>(number % 1000 + 1)};
    payments_ += std::to_string(number) + "|" + std::to_string(payment.account) + "|" +
                 std::to_string(payment.cents) + "\n";
    balances_[payment.account] += payment.cents;
    return payment;
  }
  // A number that nobody pays.
  void skip() { ++last_; }
  std::uint64_t paid() const { return paid_; }
  const std::string& payments() const { return payments_; }
  std::string accounts() const {
    std::string text;
    for (const auto& [account, cents] : balances_)
      text += std::to_string(account) + "|" + std::to_string(cents) + "\n";
    return text;
  }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t paid_ = 0;
  std::string payments_;
  std::map<std::uint64_t, std::int64_t> balances_;
};

class WithPostgres : public WithOutside {
 protected:
  void SetUp() override {
    if (!PostgresServer::programs()) GTEST_SKIP() << "PostgreSQL is missing: apt install postgresql-15";
    server_ = std::make_unique<PostgresServer>(SLUICE_POSTGRES_CLUSTER);
    server_->query(kPgTables);
  }
  void TearDown() override {
    server_.reset();
    WithOutside::TearDown();
  }

  PostgresServer& server() { return *server_; }
  PostgresOptions database() const { return {.url = server_->url()}; }
  std::string payments() const { return server_->query("SELECT * FROM payment ORDER BY number"); }
  std::string accounts() const { return server_->query("SELECT * FROM account ORDER BY number"); }

  void expect(const PgLedger& ledger) {
    // Not by EXPECT_EQ, which would print them.
    EXPECT_TRUE(payments() == ledger.payments());
    EXPECT_TRUE(accounts() == ledger.accounts());
    EXPECT_EQ(server_->query("SELECT count(*), sum(cents) FROM payment"),
              std::to_string(ledger.paid()) + "|" + server_->query("SELECT sum(cents) FROM account"));
    expect_nothing_left();
  }
  // No transaction is prepared, and no lock held but by the one who asks.
  void expect_nothing_left() {
    EXPECT_EQ(server_->query("SELECT count(*) FROM pg_prepared_xacts"), "0\n");
    EXPECT_TRUE(eventually([this] {
      return server_->query(
                 "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                 "WHERE a.backend_type = 'client backend' AND pid <> pg_backend_pid()") == "0\n";
    }));
  }

  // Pushes all, closes, and waits for the end.
  template <class T>
  void run(const Pipeline& pipeline, const std::vector<T>& events, const Settings& with) {
    Engine engine{pipeline, with};
    engine.start();
    auto in = engine.inlet<T>("in");
    for (const T& event : events)
      EXPECT_EQ(in.push(event), PushResult::accepted);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    dead_letters_ = engine.stats().dead_letters();
    EXPECT_EQ(engine.stats().stages.at(0).restarts(), 0U);
  }
  // Why events became dead letters.
  std::vector<std::string> causes() const {
    std::vector<std::string> causes;
    for (const DeadLetter& letter : find_dead_letters(file("reports")))
      causes.push_back(letter.cause);
    return causes;
  }
  std::uint64_t dead_letters_ = 0;  // Of the last run().

  static Pipeline book_pipeline(const PostgresOptions& database, unsigned workers = 1) {
    Pipeline pipeline{"payments"};
    pipeline.inlet<PgPayment>("in")
        .by(&PgPayment::account)
        .to<PgBook>("book", {.workers = workers}, database);
    return pipeline;
  }

 private:
  std::unique_ptr<PostgresServer> server_;
};

}  // namespace sluice::test
