// SPDX-License-Identifier: Apache-2.0
// Accounts on several machines: payments from JetStream are booked by account, and every new balance goes back to JetStream, each
// exactly once and in order, whichever host dies. Start it on each machine: accounts host --nats nats://broker:4222
#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include <sluice/cluster.hpp>
#include <sluice/connect/nats_sink.hpp>
#include <sluice/connect/nats_source.hpp>
#include <sluice/refused.hpp>
#include <sluice/sluice.hpp>

namespace {

using Account = sluice::Text<16>;

struct Balance {
  std::int64_t payments;
  std::int64_t cents;
};

// "A00017 -250": an account and cents.
class Book {
 public:
  explicit Book(sluice::Worker& worker) : balances_{worker.table<Account, Balance>("balances", 100'000)} {}

  void operator()(const sluice::Bytes& payment, sluice::Output<sluice::Bytes>& out) {
    const std::string_view text = payment.text();
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string_view account = text.substr(0, blank);
    if (account.empty() || !Account::fits(account))
      throw sluice::Refused{"it has no account of at most 16 characters"};
    Balance& balance = balances_[account];
    balance.cents += cents_in(text.substr(std::min(blank + 1, text.size())));
    ++balance.payments;
    out.push(std::string{account} + " " + std::to_string(balance.payments) + " " +
             std::to_string(balance.cents));
  }

 private:
  // What is refused becomes a dead letter, undone as if it had never come, and the others go on.
  static std::int64_t cents_in(std::string_view text) {
    std::int64_t cents = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cents);
    if (error != std::errc{} || end != text.data() + text.size())
      throw sluice::Refused{"its amount is no number of cents"};
    return cents;
  }

  sluice::Table<Account, Balance> balances_;
};

sluice::Pipeline partition(const sluice::Partition& own) {
  sluice::Pipeline pipeline{"accounts-" + own.text()};
  pipeline
      .source<sluice::NatsSource>("payments", sluice::NatsSourceOptions{.server = own.server,
                                                                        .stream = "PAYMENTS",
                                                                        .subject = "payments." + own.text()})
      .to<Book>("book")
      .to<sluice::NatsSink>(
          "balances", sluice::NatsSinkOptions{
                          .server = own.server, .stream = "BALANCES", .subject = "balances." + own.text()});
  return pipeline;
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::cluster_main(argc, argv, {.name = "accounts", .partitions = 6, .pipeline = partition});
}
