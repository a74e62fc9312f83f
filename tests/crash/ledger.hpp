// SPDX-License-Identifier: Apache-2.0
// A pipeline that can be audited: entries pass through lanes of both kinds, keyed tables, plain state and a
// file, and at the end every account tells how many it got, in which order and what they amount to. What is
// lost, doubled, swapped or damaged on the way shows in the statement.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

namespace ledger {

constexpr std::uint64_t kAccounts = 512;

struct Entry {
  std::uint64_t account;
  std::uint64_t number;  // Counted per account, from 0.
  std::uint64_t amount;
};

struct Balance {
  std::uint64_t account;
  std::uint64_t entries;
  std::uint64_t checksum;  // Of the amounts, in their order.
  std::uint64_t out_of_order;
};

constexpr std::uint64_t amount_of(std::uint64_t account, std::uint64_t number) {
  return (account * 2654435761U + number * 40503U) % 1000;
}

// FNV-1a, a word at a time.
constexpr std::uint64_t add_to_checksum(std::uint64_t checksum, std::uint64_t amount) {
  return (checksum ^ amount) * 1099511628211U;
}

// Deals entries over the accounts; its position is all its state.
class Dealer {
 public:
  Dealer(sluice::Worker& worker, std::uint64_t entries)
      : dealt_{worker.state<std::uint64_t>("dealt")}, entries_{entries} {}
  bool operator()(sluice::Output<Entry>& out) {
    if (*dealt_ == entries_) return false;
    const std::uint64_t account = *dealt_ % kAccounts;
    const std::uint64_t number = *dealt_ / kAccounts;
    out.push({account, number, amount_of(account, number)});
    ++dealt_.edit();
    return true;
  }

 private:
  sluice::Recoverable<std::uint64_t> dealt_;
  std::uint64_t entries_;
};

// Passes entries on as records of odd lengths, to have both kinds of lanes in the way; many at once, to have both kinds of
// handlers.
struct Wrap {
  void operator()(std::span<const Entry> entries, sluice::Output<sluice::Record<Entry>>& out) {
    for (const Entry& entry : entries) {
      const std::string padding(entry.number % 97, 'x');
      out.push(entry, padding);
    }
  }
};

class Book {
 public:
  explicit Book(sluice::Worker& worker)
      : balances_{worker.table<std::uint64_t, Balance>("balances", kAccounts)},
        told_{worker.state<std::uint64_t>("told")} {}
  void operator()(const sluice::Record<Entry>& record, sluice::Output<Balance>&) {
    const Entry& entry = record.head;
    const bool known = balances_.contains(entry.account);
    Balance& balance = balances_[entry.account];
    balance.account = entry.account;
    const bool whole = record.body.size() == entry.number % 97;
    if ((known ? balance.entries : 0) != entry.number || !whole) ++balance.out_of_order;
    ++balance.entries;
    balance.checksum = add_to_checksum(balance.checksum, entry.amount);
  }
  // In portions, so that kills can come between them.
  bool finish(sluice::Output<Balance>& out) {
    constexpr std::uint64_t kPortion = 16;
    const std::uint64_t end = std::min(*told_ + kPortion, balances_.slots());
    for (std::uint64_t slot = *told_; slot < end; ++slot) {
      if (const auto* row = balances_.slot(slot)) out.push(row->value);
    }
    told_.set(end);
    return end < balances_.slots();
  }

 private:
  sluice::Table<std::uint64_t, Balance> balances_;
  sluice::Recoverable<std::uint64_t> told_;
};

class Statement {
 public:
  Statement(sluice::Worker& worker, const std::filesystem::path& path) : file_{worker, "statement", path} {}
  void operator()(const Balance& balance) {
    file_.append(std::to_string(balance.account) + " " + std::to_string(balance.entries) + " " +
                 std::to_string(balance.checksum) + " " + std::to_string(balance.out_of_order) + "\n");
  }

 private:
  sluice::AppendFile file_;
};

inline sluice::Pipeline pipeline(std::uint64_t entries, const std::filesystem::path& statement) {
  sluice::Pipeline pipeline{"ledger"};
  pipeline.source<Dealer>("deal", entries)
      .by(&Entry::account)
      .to<Wrap>("wrap", {.workers = 2})
      .by([](const sluice::Record<Entry>& record) { return record.head.account; })
      .to<Book>("book", {.workers = 2})
      .to<Statement>("statement", statement);
  return pipeline;
}

// What is wrong with a statement: every account must stand in it once, with all its entries in their order.
inline std::vector<std::string> audit(const std::filesystem::path& statement, std::uint64_t entries) {
  std::vector<std::string> faults;
  const auto complain = [&faults](const Balance& balance, const std::string& what) {
    faults.push_back("account " + std::to_string(balance.account) + ": " + what);
  };
  std::ifstream file{statement};
  std::vector<int> seen(kAccounts, 0);
  Balance balance{};
  while (file >> balance.account >> balance.entries >> balance.checksum >> balance.out_of_order) {
    if (balance.account >= kAccounts) {
      complain(balance, "there is no such account");
      continue;
    }
    ++seen[balance.account];
    const std::uint64_t expected = entries / kAccounts + (balance.account < entries % kAccounts ? 1U : 0U);
    std::uint64_t checksum = 0;
    for (std::uint64_t number = 0; number < expected; ++number)
      checksum = add_to_checksum(checksum, amount_of(balance.account, number));
    if (balance.entries != expected)
      complain(balance, std::to_string(balance.entries) + " entries of " + std::to_string(expected));
    if (balance.checksum != checksum) complain(balance, "another checksum");
    if (balance.out_of_order != 0) complain(balance, std::to_string(balance.out_of_order) + " out of order");
  }
  if (!file.eof()) faults.push_back("the statement ends in the midst of a line or holds what is no number");
  for (std::uint64_t account = 0; account < kAccounts; ++account) {
    if (seen[account] != (account < entries ? 1 : 0))
      faults.push_back("account " + std::to_string(account) + " stands there " +
                       std::to_string(seen[account]) + " times");
  }
  return faults;
}

}  // namespace ledger
