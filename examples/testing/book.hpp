// SPDX-License-Identifier: Apache-2.0
// What docs/guide/testing.md tests: a handler that keeps balances, and has a bug.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#include <sluice/sluice.hpp>

struct Payment {
  std::uint32_t account = 0;
  std::int32_t cents = 0;
};

struct Balance {
  std::uint32_t account = 0;
  std::int64_t cents = 0;
  bool operator==(const Balance&) const = default;
};

class Book {
 public:
  explicit Book(sluice::Worker& worker)
      : balances_{worker.table<std::uint32_t, std::int64_t>("balances", 10'000)} {}
  void operator()(const Payment& payment, sluice::Output<Balance>& out) {
    if (payment.account == 0) throw std::invalid_argument{"a payment without an account"};
    std::int64_t& balance = balances_[payment.account];
    balance += payment.cents;
    if (payment.cents == 0) std::abort();  // The bug: somebody thought that this cannot be.
    out.push({payment.account, balance});
  }

 private:
  sluice::Table<std::uint32_t, std::int64_t> balances_;
};

inline sluice::Pipeline bookkeeping() {
  sluice::Pipeline pipeline{"bookkeeping"};
  pipeline.inlet<Payment>("payments")
      .by(&Payment::account)
      .to<Book>("book", {.workers = 2})
      .outlet("balances");
  return pipeline;
}
