// SPDX-License-Identifier: Apache-2.0
// Feeds the cluster `accounts`, and looks at what came of it: a program of its own, which knows of Sluice only how a key
// chooses its partition.
//
//   accounts-load feed     makes both streams, sends payments, and writes them down
//   accounts-load collect  reads balances until there are so many, and writes them down
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <nats/nats.h>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/partitioner.hpp>
#include <sluice/printable.hpp>

namespace {

constexpr std::chrono::seconds kServerMayBeAway{60};

struct Options {
  std::string url = "nats://127.0.0.1:4222";
  unsigned partitions = 6;
  std::uint64_t count = 10'000;
  unsigned accounts = 100;
  unsigned seed = 1;
  double rate = 0;         // Payments a second; 0: as fast as it goes.
  unsigned patience = 60;  // Seconds without a message.
  std::string out;
};

void must(natsStatus status, const std::string& what) {
  if (status == NATS_OK) return;
  const char* text = nats_GetLastError(nullptr);
  throw std::runtime_error{what + ": " + (text != nullptr ? text : natsStatus_GetText(status))};
}

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const noexcept {
    destroy(object);
  }
};

class Session {
 public:
  explicit Session(const std::string& url) {
    natsConnection* connection = nullptr;
    must(natsConnection_ConnectTo(&connection, url.c_str()), "connect to " + url);
    connection_.reset(connection);
    jsCtx* js = nullptr;
    must(natsConnection_JetStream(&js, connection, nullptr), "use JetStream");
    js_.reset(js);
  }
  jsCtx* js() const noexcept { return js_.get(); }

 private:
  std::unique_ptr<natsConnection, Destroy<natsConnection_Destroy>> connection_;
  std::unique_ptr<jsCtx, Destroy<jsCtx_Destroy>> js_;
};

void make_stream(const Session& session, const char* name, const char* subject,
                 std::chrono::nanoseconds duplicates) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name;
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Duplicates = duplicates.count();
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = js_AddStream(nullptr, session.js(), &config, nullptr, &code);
  if (status != NATS_OK && code != JSStreamNameExistErr) must(status, std::string{"make the stream "} + name);
}

// Until it is stored, once: the server knows its number, whether or not the answer came.
void send(const Session& session, const std::string& subject, const std::string& text, std::uint64_t number) {
  const std::string id = std::to_string(number);
  jsPubOptions how;
  jsPubOptions_Init(&how);
  how.MsgId = id.c_str();
  const auto until = std::chrono::steady_clock::now() + kServerMayBeAway;
  while (true) {
    const natsStatus status = js_Publish(nullptr, session.js(), subject.c_str(), text.data(),
                                         static_cast<int>(text.size()), &how, nullptr);
    if (status == NATS_OK) return;
    if (std::chrono::steady_clock::now() > until) must(status, "send a payment");
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

void feed(const Options& options) {
  const Session session{options.url};
  // Longer than the server may be away while a payment is sent again.
  make_stream(session, "PAYMENTS", "payments.*", 2 * kServerMayBeAway);
  // NatsSink needs none.
  make_stream(session, "BALANCES", "balances.*", std::chrono::milliseconds{100});
  const sluice::Partitioner partitioner{options.partitions};
  std::mt19937_64 random{options.seed};
  std::ofstream file{options.out};
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t number = 0; number < options.count; ++number) {
    const std::string account = fmt::format("A{:05}", random() % options.accounts);
    const std::string text =
        fmt::format("{} {}", account, static_cast<std::int64_t>(random() % 20'001) - 10'000);
    const std::string subject = fmt::format("payments.{}", partitioner.of(account));
    send(session, subject, text, number);
    file << text << "\n";
    if (options.rate > 0)
      std::this_thread::sleep_until(
          start + std::chrono::duration<double>(static_cast<double>(number + 1) / options.rate));
  }
  if (!file.flush()) throw std::runtime_error{"cannot write " + options.out};
}

// The longest time between two messages of a partition, which is what a takeover or a move costs.
class Pauses {
 public:
  void take(const std::string& subject) {
    const auto now = std::chrono::steady_clock::now();
    const auto [last, is_new] = last_.try_emplace(subject, now);
    longest_ = std::max(longest_, now - last->second);
    last->second = now;
  }
  double longest_seconds() const { return std::chrono::duration<double>(longest_).count(); }

 private:
  std::map<std::string, std::chrono::steady_clock::time_point> last_;
  std::chrono::steady_clock::duration longest_{};
};

// That the balances of an account come in order, each once, is looked at as they come.
void look_at(const std::string& text, std::map<std::string, std::uint64_t>& seen) {
  const std::size_t blank = text.find(' ');
  const std::uint64_t nth = std::stoull(text.substr(blank + 1));
  std::uint64_t& last = seen[text.substr(0, blank)];
  if (nth != last + 1) throw std::runtime_error{fmt::format("'{}' came behind number {}", text, last)};
  last = nth;
}

void collect(const Options& options) {
  // Ends behind the connection: libnats before 3.6 may still handle a message of it.
  std::unique_ptr<natsSubscription, Destroy<natsSubscription_Destroy>> subscription;
  const Session session{options.url};
  jsSubOptions how;
  jsSubOptions_Init(&how);
  how.Ordered = true;
  natsSubscription* made = nullptr;
  must(js_SubscribeSync(&made, session.js(), "balances.*", nullptr, &how, nullptr),
       "read the stream BALANCES");
  subscription.reset(made);
  std::map<std::string, std::uint64_t> seen;
  Pauses pauses;
  std::ofstream file{options.out};
  for (std::uint64_t number = 0; number < options.count; ++number) {
    natsMsg* taken = nullptr;
    must(natsSubscription_NextMsg(&taken, made, std::int64_t{options.patience} * 1000),
         fmt::format("after {} of {} balances", number, options.count));
    const std::unique_ptr<natsMsg, Destroy<natsMsg_Destroy>> message{taken};
    const std::string text{natsMsg_GetData(taken), static_cast<std::size_t>(natsMsg_GetDataLength(taken))};
    look_at(text, seen);
    pauses.take(natsMsg_GetSubject(taken));
    file << text << "\n";
  }
  natsMsg* more = nullptr;
  if (natsSubscription_NextMsg(&more, made, 500) == NATS_OK)
    throw std::runtime_error{"there are more balances than payments"};
  if (!file.flush()) throw std::runtime_error{"cannot write " + options.out};
  fmt::print("the longest pause of a partition was {:.2f} s\n", pauses.longest_seconds());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Payments for the cluster accounts, and what came of them."};
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.formatter(sluice::detail::help_formatter());
  Options options;
  app.add_option("--nats", options.url, "The server");
  app.add_option("--count", options.count, "How many payments")->check(sluice::detail::count_between(1));
  app.add_option("--out", options.out, "The file to write")->required();
  CLI::App* feeds = app.add_subcommand("feed", "Make the streams and send payments");
  feeds->add_option("--partitions", options.partitions, "As the cluster has (6)")
      ->check(sluice::detail::count_between(1, 1000));
  feeds->add_option("--accounts", options.accounts, "How many accounts (100)")
      ->check(sluice::detail::count_between(1, 1'000'000));
  feeds->add_option("--seed", options.seed, "What they are drawn from (1)")
      ->check(sluice::detail::count_between(0, std::numeric_limits<unsigned>::max()));
  feeds->add_option("--rate", options.rate, "Payments a second; 0 (the default): as fast as it goes")
      ->check(sluice::detail::number_between(0, 1e9));
  CLI::App* collects = app.add_subcommand("collect", "Read balances");
  collects->add_option("--patience", options.patience, "Seconds to wait for the next (60)")
      ->check(sluice::detail::count_between(1, 86'400));
  app.footer(
      "Examples:\n"
      "  accounts-load --out sent feed\n"
      "  accounts-load --out sent --count 100000 feed --rate 5000\n"
      "  accounts-load --out balances collect --patience 10");
  feeds->footer(
      "Examples:\n"
      "  accounts-load --out sent feed\n"
      "  accounts-load --out sent feed --accounts 1000 --seed 7\n"
      "  accounts-load --out sent --count 100000 feed --rate 5000");
  collects->footer(
      "Examples:\n"
      "  accounts-load --out balances collect\n"
      "  accounts-load --out balances collect --patience 10\n"
      "  accounts-load --out balances --count 100000 collect");
  app.set_version_flag("--version", "accounts-load of Sluice " SLUICE_VERSION, "Print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return sluice::end_of_parse(app, end);
  }
  try {
    if (feeds->parsed()) {
      feed(options);
    } else {
      collect(options);
    }
    return sluice::flushed(sluice::kExitOk);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "accounts-load: %s\n", sluice::printable_message(error.what()).c_str());
    return sluice::kExitFailed;
  }
}
