// SPDX-License-Identifier: Apache-2.0
// A bank: payments come as lines of JSON over TCP (docs/guide/tcp.md), are sorted by account to workers, and become rows of a
// database and balances, each exactly once, whatever is killed. What was acknowledged to a sender is kept.
//
//     bank --listen 127.0.0.1:7000 --database bank.db --set segment.path=bank.segment
//     bank --postgres postgresql://localhost/bank --nats nats://localhost:4222
// A payment is {"id": 17, "account": "anna", "amount": "-12.50"}. One that is no payment, an id that was there, an account that
// would be overdrawn, or that the database has and the bank, begun anew, does not know, is a dead letter (`sluice dead list`).
#include <iostream>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <sluice/cli.hpp>
#include <sluice/connect/json.hpp>
#include <sluice/connect/sqlite.hpp>
#include <sluice/connect/tcp_server.hpp>
#include <sluice/sluice.hpp>
#ifdef BANK_WITH_POSTGRES
#include <sluice/connect/postgres.hpp>
#endif
#ifdef BANK_WITH_NATS
#include <sluice/connect/nats_sink.hpp>
#endif

namespace {
using Account = sluice::Text<24>;
struct Payment {
  std::int64_t id = 0;
  std::int64_t cents = 0;
  Account account;
};

const sluice::Fields<Payment>& payment_fields() {
  static const sluice::Fields<Payment> fields{
      {"id", &Payment::id}, {"account", &Payment::account}, {"amount", sluice::scaled(&Payment::cents, 2)}};
  return fields;
}

// With PostgreSQL they are made before: psql --file examples/bank/tables.sql.
constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS payment (id BIGINT PRIMARY KEY, account TEXT NOT NULL, cents BIGINT NOT NULL, balance BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, cents BIGINT NOT NULL);
)";

// Keeps the balances of its accounts, and writes them and the payments to the database.
template <sluice::TransactionStore Store, class Options>
class Book {
 public:
  Book(sluice::Worker& worker, const Options& database)
      : balances_{worker.table<Account, std::int64_t>("balances", 100'000)},
        sink_{worker, database},
        insert_{sink_.store().prepare("INSERT INTO payment VALUES ($1, $2, $3, $4)")},
        open_{sink_.store().prepare("INSERT INTO account VALUES ($1, $2)")},  // Refused where there is one.
        update_{sink_.store().prepare("INSERT INTO account VALUES ($1, $2) "
                                      "ON CONFLICT (name) DO UPDATE SET cents = excluded.cents")} {}

  void operator()(const Payment& payment, sluice::Output<sluice::Bytes>& booked) {
    const bool is_new = balances_.find(payment.account) == nullptr;
    std::int64_t& balance = balances_[payment.account];
    if (__builtin_add_overflow(balance, payment.cents, &balance) || balance < 0)
      throw sluice::Refused{"account " + std::string{payment.account} +
                            " would be overdrawn"};  // Undone, as if it had never come.
    booked.push("{\"id\":" + std::to_string(payment.id) + ",\"cents\":" + std::to_string(balance) + "}");
    sink_.add(insert_, payment.id, payment.account, payment.cents, balance);
    sink_.add(is_new ? open_ : update_, payment.account, balance);
  }

 private:
  sluice::Table<Account, std::int64_t> balances_;
  sluice::TransactionSink<Store> sink_;
  sluice::Statement insert_, open_, update_;
};

struct Options {
  std::string listen = "127.0.0.1:7000";
  std::string database = "bank.db";
  std::string postgres;
  std::string nats;
  std::string stream = "BANK";
};

template <class Store, class Database>
void book(const Options& options, const sluice::Stream<Payment>& payments, const Database& database) {
  auto booked = payments.by(&Payment::account).to<Book<Store, Database>>("book", {.workers = 2}, database);
#ifdef BANK_WITH_NATS
  if (!options.nats.empty()) {
    booked.template to<sluice::NatsSink>(
        "tell", sluice::NatsSinkOptions{.server = {.url = options.nats}, .stream = options.stream});
    return;
  }
#endif
  if (!options.nats.empty())
    throw std::runtime_error{"this build has no NATS: install libnats-dev and build it again"};
  booked.to("tell", [](const sluice::Bytes&) {});
}

sluice::Pipeline pipeline(const Options& options, const sluice::Listener& listener) {
  sluice::Pipeline bank{"bank"};
  bank.argument("database", options.postgres.empty() ? options.database : "PostgreSQL");
  auto payments = sluice::tcp_source(bank, "in", listener, {.acknowledge = true})
                      .to<sluice::FromJson<Payment, sluice::Frame>>("parse", payment_fields());
  if (options.postgres.empty()) {
    book<sluice::SqliteStore>(options, payments,
                              sluice::SqliteOptions{.path = options.database, .schema = kTables});
    return bank;
  }
#ifdef BANK_WITH_POSTGRES
  book<sluice::PostgresStore>(options, payments, sluice::PostgresOptions{.url = options.postgres});
  return bank;
#else
  throw std::runtime_error{"this build has no PostgreSQL: install libpq-dev and build it again"};
#endif
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::optional<sluice::Listener> listener;
  CLI::App app{"A bank whose books are right whatever is killed", "bank"};
  app.add_option("--listen", options.listen,
                 "Where senders connect: HOST:PORT, port 0 for a\nfree one, or unix:PATH");
  app.add_option("--database", options.database, "The SQLite database: new, or that of its segment");
  app.add_option("--postgres", options.postgres, "A PostgreSQL database instead: a URL");
  app.add_option("--nats", options.nats, "Tell each booking to this NATS server, too: a URL");
  app.add_option("--stream", options.stream, "The JetStream stream for --nats");
  app.footer(
      "Examples:\n"
      "  bank --listen 127.0.0.1:7000 --database bank.db\n"
      "  bank --listen unix:/run/bank.sock --postgres postgresql:///bank\n"
      "  bank --listen 127.0.0.1:7000 --database bank.db --chaos \"kill=20/s\"");
  return sluice::main(argc, argv, app, [&] {
    listener.emplace(options.listen);
    std::cerr << "bank: listening on " << listener->address() << std::endl;
    return pipeline(options, *listener);
  });
}
