// SPDX-License-Identifier: Apache-2.0
// Pays into a bank from many senders at once, checks every acknowledgement, and writes down what the books must say.
//
//     bank-load --connect 127.0.0.1:7000 --senders 8 --payments 20000 --expect DIR
//
// Payments are made by number, so that any of them can be sent again: some have no valid JSON, an id that was there, or
// an amount that is not covered. The ledger is computed here, from the payments alone; it knows nothing of the bank. A
// bank that is gone, or says goodbye, is connected to again, and asked how far it came. Ends with status 0 once
// everything is acknowledged; 1 if the bank took back what it had acknowledged, or does nothing for `patience`.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/printable.hpp>

namespace {

using namespace std::chrono_literals;

struct Options {
  std::string connect = "127.0.0.1:7000";
  unsigned senders = 8;
  std::uint64_t payments = 20'000;
  std::string expect;
  unsigned patience_s = 60;
  std::uint64_t parts = 1;
  double rate = 0;  // Payments of all senders together in a second; 0: as fast as they are taken.
};

enum class Kind { good, malformed, twice, uncovered };

struct Payment {
  Kind kind;
  std::int64_t id;
  std::string account;
  std::int64_t cents;
};

constexpr std::int64_t kIdsOfASender = 1'000'000'000;

// The payment `number` of a sender, from 1. Accounts belong to one sender each, so that the order of their payments is known;
// between accounts there is none, so that an id that comes twice is for the account that it was for.
Payment payment(unsigned sender, std::uint64_t number) {
  const auto id = static_cast<std::int64_t>(sender) * kIdsOfASender + static_cast<std::int64_t>(number);
  const auto account_of = [&](std::uint64_t of) { return fmt::format("s{}-{}", sender, of % 37); };
  const std::string account = account_of(number);
  const auto cents = static_cast<std::int64_t>(number * 7919 % 100'000) - 20'000;
  if (number % 5003 == 0) return {Kind::malformed, id, account, cents};
  if (number % 4001 == 0) return {Kind::twice, id - 1, account_of(number - 1), 100};
  if (number % 3001 == 0) return {Kind::uncovered, id, account, -900'000'000'000};
  return {Kind::good, id, account, cents};
}

std::string line_of(const Payment& payment) {
  if (payment.kind == Kind::malformed)
    return fmt::format("{{\"id\":{},\"account\":\"{}\",\n", payment.id, payment.account);
  const std::int64_t magnitude = payment.cents < 0 ? -payment.cents : payment.cents;
  return fmt::format("{{\"id\":{},\"account\":\"{}\",\"amount\":\"{}{}.{:02}\"}}\n", payment.id,
                     payment.account, payment.cents < 0 ? "-" : "", magnitude / 100, magnitude % 100);
}

// What the tables hold when all of it is booked, in the order of ids and of names, and what is told of it, by id.
void write_expected(const Options& options) {
  std::map<std::int64_t, std::string> payments;
  std::map<std::string, std::int64_t> accounts;
  std::uint64_t refused = 0;
  for (unsigned sender = 0; sender < options.senders; ++sender) {
    for (std::uint64_t number = 1; number <= options.payments; ++number) {
      const Payment due = payment(sender, number);
      const auto found = accounts.find(due.account);
      const std::int64_t balance = (found == accounts.end() ? 0 : found->second) + due.cents;
      if (due.kind == Kind::malformed || balance < 0 || payments.contains(due.id)) {
        ++refused;
        continue;
      }
      accounts[due.account] = balance;
      payments[due.id] = fmt::format("{}|{}|{}|{}\n", due.id, due.account, due.cents, balance);
    }
  }
  std::ofstream payment_file{options.expect + "/payment"};
  for (const auto& [id, row] : payments)
    payment_file << row;
  std::ofstream event_file{options.expect + "/events"};
  for (const auto& [id, row] : payments)
    event_file << "{\"id\":" << id << ",\"cents\":"
               << std::string_view{row}.substr(row.rfind('|') + 1, row.size() - row.rfind('|') - 2) << "}\n";
  std::ofstream account_file{options.expect + "/account"};
  for (const auto& [name, cents] : accounts)
    account_file << name << '|' << cents << '\n';
  std::ofstream{options.expect + "/refused"} << refused << '\n';
  if (!payment_file.flush() || !event_file.flush() || !account_file.flush())
    throw std::runtime_error{"cannot write into " + options.expect};
}

// Null where there are none; to be freed.
addrinfo* addresses_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (colon == std::string::npos) return nullptr;
  const int fault =
      ::getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found);
  return fault == 0 ? found : nullptr;
}

class Connection {
 public:
  // Not connected if nobody listens.
  explicit Connection(const std::string& address) {
    addrinfo* found = addresses_of(address);
    if (found == nullptr) return;  // Those who resolve names are away, too.
    fd_ = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
    if (::connect(fd_, found->ai_addr, found->ai_addrlen) != 0) close();
    ::freeaddrinfo(found);
  }
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return fd_ >= 0; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Whole lines that have come, waiting up to `limit` for the first; false once the connection is over.
  bool receive(std::chrono::milliseconds limit, std::vector<std::string>& lines) {
    pollfd entry{fd_, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(limit.count())) <= 0) return true;
    char piece[4096];
    const ssize_t got = ::recv(fd_, piece, sizeof(piece), 0);
    if (got <= 0) return false;
    rest_.append(piece, static_cast<std::size_t>(got));
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1))
      lines.push_back(rest_.substr(0, end));
    return true;
  }

 private:
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  int fd_ = -1;
  std::string rest_;
};

// What all senders together have had acknowledged. Tells each time when another part is, but not the last.
class Progress {
 public:
  explicit Progress(const Options& options)
      : total_{options.senders * options.payments}, parts_{options.parts} {}

  // Any sender's thread.
  void add(std::uint64_t payments) {
    const std::uint64_t before = acknowledged_.fetch_add(payments);
    for (std::uint64_t part = 1; part < parts_; ++part) {
      const std::uint64_t end = total_ * part / parts_;
      if (before >= end || before + payments < end) continue;
      const std::string line =
          fmt::format("bank-load: part {} of {}: {} payments are acknowledged\n", part, parts_, end);
      std::cout << line << std::flush;
    }
  }

 private:
  std::uint64_t total_;
  std::uint64_t parts_;
  std::atomic<std::uint64_t> acknowledged_{0};
};

// One sender: all of its payments, over as many connections as it takes.
class Sender {
 public:
  Sender(const Options& options, unsigned number, std::atomic<std::uint64_t>& connections, Progress& progress)
      : options_{options}, number_{number}, connections_{connections}, progress_{progress} {}

  // From when each payment was due until it was acknowledged, if there is a rate.
  const std::vector<std::chrono::nanoseconds>& latencies() const { return latencies_; }

  // What went wrong, or nothing.
  std::string pay() {
    auto last_progress = start_;
    while (acknowledged_ < options_.payments) {
      const std::uint64_t before = acknowledged_;
      serve();
      if (!fault_.empty()) return fault_;
      const auto now = std::chrono::steady_clock::now();
      if (acknowledged_ != before) last_progress = now;
      if (now - last_progress > std::chrono::seconds{options_.patience_s})
        return fmt::format("sender {}: nothing was acknowledged for {} s, at {}", number_,
                           options_.patience_s, acknowledged_);
      if (acknowledged_ < options_.payments) std::this_thread::sleep_for(10ms);
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kWindow = 4096;  // Payments on their way.
  static constexpr std::uint64_t kAtOnce = 64;

  void serve() {
    Connection connection{options_.connect};
    if (!connection.connected() || !connection.send(fmt::format("hello sender-{}\n", number_))) return;
    ++connections_;
    std::uint64_t sent = 0;
    bool told = false;
    while (fault_.empty() && acknowledged_ < options_.payments) {
      const std::uint64_t until = told ? std::min({options_.payments, acknowledged_ + kWindow, due()}) : 0;
      const bool may_send = sent < until;
      std::vector<std::string> lines;
      if (!connection.receive(may_send ? 0ms : options_.rate > 0 ? 1ms : 1000ms, lines)) return;
      for (const std::string& line : lines) {
        if (line.starts_with("at ") || line.starts_with("ack ")) {
          note(std::stoull(line.substr(line.find(' ') + 1)), line, told ? sent : options_.payments);
          if (line.starts_with("at ")) sent = acknowledged_;
          told = true;
        } else {
          return;  // It says goodbye.
        }
      }
      if (!may_send) continue;
      std::string text;
      for (std::uint64_t i = 0; i < kAtOnce && sent < until; ++i)
        text += line_of(payment(number_, ++sent));
      if (!connection.send(text)) return;
    }
  }

  void note(std::uint64_t count, const std::string& line, std::uint64_t most) {
    if (count < acknowledged_) {
      fault_ = fmt::format("sender {}: \"{}\" after {} were acknowledged: it was taken back", number_, line,
                           acknowledged_);
    } else if (count > most) {
      fault_ = fmt::format("sender {}: \"{}\" of {} that were sent", number_, line, most);
    } else {
      progress_.add(count - acknowledged_);
      const auto now = std::chrono::steady_clock::now();
      for (std::uint64_t number = acknowledged_ + 1; options_.rate > 0 && number <= count; ++number)
        latencies_.push_back(now - start_ - due_after(number));
      acknowledged_ = count;
    }
  }

  std::chrono::nanoseconds due_after(std::uint64_t number) const {
    const double rate = options_.rate / options_.senders;
    return std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(number) / rate * 1e9)};
  }
  // How many payments are due by now.
  std::uint64_t due() const {
    if (options_.rate <= 0) return options_.payments;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    return static_cast<std::uint64_t>(passed.count() * options_.rate / options_.senders);
  }

  const Options& options_;
  unsigned number_;
  std::atomic<std::uint64_t>& connections_;
  Progress& progress_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::chrono::nanoseconds> latencies_;
  std::uint64_t acknowledged_ = 0;
  std::string fault_;
};

std::string latency_line(std::vector<std::chrono::nanoseconds>& all) {
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(all.size() - 1));
    return std::chrono::duration<double, std::milli>{all[index]}.count();
  };
  return fmt::format(
      "bank-load: acknowledged after {:.1f} ms (median), {:.1f} ms (99 %), {:.1f} ms (longest)\n", at(0.5),
      at(0.99), at(1));
}

int run(const Options& options) {
  if (!options.expect.empty()) write_expected(options);
  std::atomic<std::uint64_t> connections{0};
  Progress progress{options};
  std::vector<std::string> faults(options.senders);
  std::vector<std::chrono::nanoseconds> latencies;
  std::mutex latencies_mutex;
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned sender = 0; sender < options.senders; ++sender)
      threads.emplace_back([&, sender] {
        Sender one{options, sender, connections, progress};
        faults[sender] = one.pay();
        const std::lock_guard lock{latencies_mutex};
        latencies.insert(latencies.end(), one.latencies().begin(), one.latencies().end());
      });
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  int status = 0;
  for (const std::string& fault : faults) {
    if (fault.empty()) continue;
    std::cerr << "bank-load: " << fault << "\n";
    status = 1;
  }
  const std::uint64_t payments = options.senders * options.payments;
  if (status == 0) {
    std::cout << fmt::format(
        "bank-load: {} payments acknowledged in {:.2f} s, {:.1f} k/s, over {} connections\n", payments,
        taken.count(), static_cast<double>(payments) / taken.count() / 1000, connections.load());
    if (!latencies.empty()) std::cout << latency_line(latencies);
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app{"Pays into a bank and checks what it acknowledges", "bank-load"};
  app.add_option("--connect", options.connect, "Where the bank listens: HOST:PORT");
  app.add_option("--senders", options.senders, "Senders, each with a connection")
      ->check(sluice::detail::count_between(1, 500));
  app.add_option("--payments", options.payments, "Payments of each")
      ->check(sluice::detail::count_between(1, 900'000'000));
  app.add_option("--expect", options.expect, "A directory for what the tables must hold")
      ->check(CLI::ExistingDirectory);
  app.add_option("--patience", options.patience_s, "Seconds without an acknowledgement, too long")
      ->check(sluice::detail::count_between(1, 86'400));
  app.add_option("--parts", options.parts, "Tell when each of so many equal parts is done")
      ->check(sluice::detail::count_between(1, 10'000));
  app.add_option("--rate", options.rate,
                 "Payments of all senders in a second, and how long\neach took from when it was due")
      ->check(sluice::detail::number_between(0.001, 1e9));
  app.footer(
      "Examples:\n"
      "  bank-load --connect 127.0.0.1:7000\n"
      "  bank-load --connect 127.0.0.1:7000 --senders 8 --payments 10000\n"
      "  bank-load --connect 127.0.0.1:7000 --rate 2000 --expect books");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "bank-load of Sluice " SLUICE_VERSION, "Print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return sluice::end_of_parse(app, end);
  }
  addrinfo* found = addresses_of(options.connect);
  if (found == nullptr) {
    std::cerr << "bank-load: " << sluice::printable(options.connect)
              << " is no HOST:PORT that is known here (give --connect another)\n";
    return sluice::kExitUsage;
  }
  ::freeaddrinfo(found);
  return sluice::flushed(run(options));
} catch (const std::exception& error) {
  std::cerr << "bank-load: " << sluice::printable_message(error.what()) << "\n";
  return sluice::kExitFailed;
}
