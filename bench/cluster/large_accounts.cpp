// SPDX-License-Identifier: Apache-2.0
// examples/accounts with one partition whose state is large, for tools/bench-cluster: each payment first fills a piece of a table with rows
// that no compressor gains by, until all are there. LARGE_STATE_MIB says how much.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sluice/cluster.hpp>
#include <sluice/connect/nats_sink.hpp>
#include <sluice/connect/nats_source.hpp>
#include <sluice/sluice.hpp>

namespace {

using Account = std::array<char, 16>;
using Row = std::array<std::uint64_t, 15>;

constexpr std::uint64_t kRowBytes = sizeof(Row) + sizeof(std::uint64_t);
constexpr std::uint64_t kRowsAPayment = 512;

struct Balance {
  std::int64_t payments;
  std::int64_t cents;
};

std::uint64_t rows_wanted() {
  const char* text = std::getenv("LARGE_STATE_MIB");
  return (std::strtoull(text == nullptr ? "1024" : text, nullptr, 10) << 20U) / kRowBytes;
}

class Book {
 public:
  Book(sluice::Worker& worker, std::uint64_t rows)
      : rows_{rows},
        balances_{worker.table<Account, Balance>("balances", 100'000)},
        large_{worker.table<std::uint64_t, Row>("large", rows)},
        filled_{worker.state<std::uint64_t>("filled")} {}

  void operator()(const sluice::Bytes& payment, sluice::Output<sluice::Bytes>& out) {
    fill();
    const std::string_view text = payment.text();
    const std::size_t blank = std::min(text.find(' '), text.size());
    Account account{};
    text.copy(account.data(), std::min(blank, account.size()));
    Balance& balance = balances_[account];
    balance.cents += std::strtoll(std::string{text.substr(blank)}.c_str(), nullptr, 10);
    ++balance.payments;
    out.push(std::string{text.substr(0, blank)} + " " + std::to_string(balance.payments) + " " +
             std::to_string(balance.cents));
  }

 private:
  void fill() {
    if (*filled_ == rows_) return;
    const std::uint64_t end = std::min(rows_, *filled_ + kRowsAPayment);
    for (std::uint64_t number = *filled_; number < end; ++number) {
      std::uint64_t bits = number;
      for (std::uint64_t& word : large_[number]) {
        bits += 0x9e3779b97f4a7c15U;
        word = (bits ^ bits >> 30U) * 0xbf58476d1ce4e5b9U;
      }
    }
    filled_.set(end);
  }

  std::uint64_t rows_;
  sluice::Table<Account, Balance> balances_;
  sluice::Table<std::uint64_t, Row> large_;
  sluice::Recoverable<std::uint64_t> filled_;
};

sluice::Pipeline partition(const sluice::Partition& own) {
  const std::uint64_t rows = rows_wanted();
  sluice::Pipeline pipeline{"large-" + own.text()};
  pipeline
      .source<sluice::NatsSource>("payments", sluice::NatsSourceOptions{.server = own.server,
                                                                        .stream = "PAYMENTS",
                                                                        .subject = "payments." + own.text()})
      .to<Book>("book",
                sluice::StageOptions{.state_bytes = rows * (kRowBytes + 48) + (std::uint64_t{32} << 20)},
                rows)
      .to<sluice::NatsSink>(
          "balances", sluice::NatsSinkOptions{
                          .server = own.server, .stream = "BALANCES", .subject = "balances." + own.text()});
  return pipeline;
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::cluster_main(argc, argv, {.name = "large", .partitions = 1, .pipeline = partition});
}
