// SPDX-License-Identifier: Apache-2.0
// SqlSink: a handler ready to use, whose events become rows of a database: a statement, and what of the event
// its parameters are. Each event has its effect exactly once, as with the TransactionSink that it stands on.
//
//     payments.by(&Payment::account).to<sluice::SqlSink<sluice::SqliteStore, Payment>>(
//         "book", {.workers = 2}, sluice::SqliteOptions{.path = "bank.db"},
//         sluice::Sql<Payment>{"INSERT INTO payment VALUES (?1, ?2)", &Payment::number, &Payment::cents},
//         sluice::Sql<Payment>{"UPDATE account SET cents = cents + ?2 WHERE number = ?1", &Payment::account,
//                              [](const Payment& payment) { return payment.cents; }});
//
// Several statements of one event are run in this order, all of them or none. An event that the database
// refuses is a dead letter. The store is made from its options: SqliteOptions for SqliteStore,
// PostgresOptions for PostgresStore.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/connect/sql.hpp>
#include <sluice/connect/transaction_sink.hpp>
#include <sluice/detail/no_function.hpp>
#include <sluice/event.hpp>

namespace sluice {

// A statement for events of type E, with its bindings: for each value a pointer to a member, or a function of
// the event, which gives what sql_value() takes. A function may throw Refused.
template <Event E>
class Sql {
 public:
  template <std::invocable<const E&>... Bindings>
  explicit Sql(std::string text, Bindings... bindings)
      : text_{std::move(text)}, values_{sizeof...(Bindings)}, bind_{[bindings...](const E& event) {
          std::vector<SqlValue> values;
          values.reserve(sizeof...(Bindings));
          (values.push_back(sql_value(std::invoke(bindings, event))), ...);
          return values;
        }} {
    (detail::refuse_no_function(bindings, "bind values to", text_), ...);
  }

  const std::string& text() const noexcept { return text_; }
  std::size_t values() const noexcept { return values_; }
  std::vector<SqlValue> bind(const E& event) const { return bind_(event); }

 private:
  std::string text_;
  std::size_t values_;
  std::function<std::vector<SqlValue>(const E&)> bind_;
};

template <TransactionStore Store, Event E>
class SqlSink {
 public:
  template <class Options, std::same_as<Sql<E>>... More>
  requires std::constructible_from<Store, const Options&> SqlSink(Worker& worker, const Options& options,
                                                                  const Sql<E>& statement,
                                                                  const More&... more)
      : sink_{worker, options} {
    prepare(statement);
    (prepare(more), ...);
  }

  void operator()(const E& event) {
    for (const Prepared& each : prepared_)
      sink_.add(each.statement, each.sql.bind(event));
  }

 private:
  struct Prepared {
    Statement statement;
    Sql<E> sql;
  };

  void prepare(const Sql<E>& sql) { prepared_.push_back({sink_.prepare(sql.text(), sql.values()), sql}); }

  TransactionSink<Store> sink_;
  std::vector<Prepared> prepared_;
};

}  // namespace sluice
