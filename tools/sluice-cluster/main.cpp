// SPDX-License-Identifier: Apache-2.0
// `sluice cluster`: what a cluster looks like, and what it should do. Exit status: 0 done, 1 it could not be done, 2 the command
// line is wrong.
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/completed_commands.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>
#include <sluice/units.hpp>

#include "server_files.hpp"
#include "status.hpp"
#include "watched.hpp"

namespace sluice::command {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using State = detail::PartitionEntry::State;

struct Options {
  std::string cluster;
  NatsServer server;
  std::string patience_text = "60s";
  std::chrono::nanoseconds patience{};
  bool as_json = false;
  bool as_metrics = false;
  unsigned partition = 0;
  std::string host;
};

void require_staying(const Watched& watched, const std::string& host) {
  const detail::Hosts living = watched.living();
  const auto found = living.find(host);
  if (found != living.end() && !found->second) return;
  std::string others;
  for (const auto& [other, leaving] : living) {
    if (!leaving) others += (others.empty() ? "" : ", ") + other;
  }
  throw Error{{"find the host", host, found == living.end() ? "it is not in the cluster" : "it is leaving",
               others.empty() ? "no host is" : "there are " + others}};
}

// A stream of input that is gone, or that this user may not look at, is said once, and costs no more than what it would have told.
void look_at_input(const detail::NatsClient& client, ClusterStatus& status) {
  std::set<std::string> said;
  const auto try_to = [&said](const std::function<void()>& look) {
    try {
      look();
    } catch (const Unavailable&) {
      throw;
    } catch (const Error& error) {
      if (said.insert(error.what()).second)
        std::fprintf(stderr, "sluice: %s\n", printable_message(error.what()).c_str());
    }
  };
  std::map<unsigned, std::vector<detail::SourceRead>> reads;
  for (const auto& [number, log] : status.logs) {
    reads[number] = detail::parse_source_reads(log.reads);
    try_to([&, number = number] {
      if (const auto lag = detail::lag_behind(client, reads[number])) status.lags[number] = *lag;
    });
  }
  try_to([&] { status.unread = detail::unread_input(client, reads, status.partitions); });
}

void show_status(const Options& options) {
  Watched watched{options.server, options.cluster};
  watched.look_for_a_lease();
  ClusterStatus status;
  status.cluster = options.cluster;
  status.partitions = watched.partitions();
  status.beats = watched.owners().view().beats;
  status.living = watched.living();
  status.entries = watched.owners().view().entries(status.partitions);
  status.copies = watched.owners().view().copies;
  status.failing = watched.owners().view().failing;
  status.refused = watched.owners().view().refused;
  const detail::NatsClient client{options.server, "sluice cluster", true};
  try {
    detail::prepare_state_stream(client, options.cluster, detail::MissingStream::refuse);
    for (unsigned number = 0; number < status.partitions; ++number) {
      if (const auto log = detail::state_log_status(client, options.cluster, number))
        status.logs[number] = *log;
    }
    look_at_input(client, status);
  } catch (const Error& error) {
    std::fprintf(stderr, "sluice: %s\n", printable_message(error.what()).c_str());
  }
  status.now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  const std::string told =
      options.as_json ? to_json(status) : (options.as_metrics ? to_metrics(status) : to_text(status));
  std::fputs(told.c_str(), stdout);
}

unsigned failures_of(const detail::OwnersView& view, unsigned partition) {
  const auto found = view.failing.find(partition);
  return found == view.failing.end() ? 0 : found->second.failures;
}

// The host has it, and it is not at work there.
void refuse_if_it_fails(const detail::OwnersView& view, const Options& options, unsigned before) {
  if (failures_of(view, options.partition) <= before) return;
  throw Error{{"move the partition", std::to_string(options.partition),
               fmt::format("{} has it, and it fails there: {}", options.host,
                           view.failing.at(options.partition).text),
               "after some tries another host gets it, if there is one that has not failed with it"}};
}

// Its pipeline runs, or has run: one that fails begins each time that it is tried.
bool has_begun(const detail::OwnersView& view, const Options& options, const detail::PartitionEntry& now) {
  const auto begun = view.begun.find(options.partition);
  return now.state == State::finished ||
         (now.state == State::owned && begun != view.begun.end() && begun->second == now.epoch);
}

// One that has failed is at work once its host has forgotten that. Until then nobody can say so.
bool is_trusted(const detail::OwnersView& view, const Options& options) {
  return failures_of(view, options.partition) == 0;
}

[[noreturn]] void refuse_untrusted(const detail::OwnersView& view, const Options& options) {
  throw Error{{"wait until", fmt::format("the partition {} is at work", options.partition),
               fmt::format("{} has it, and it has failed before: {}", options.host,
                           view.failing.at(options.partition).text),
               "it is believed once it has been at work for 30 s: look at `sluice cluster status` later"}};
}

// Whoever claims it, or moves it, says anew who is to have it.
[[noreturn]] void refuse_given_up(const Options& options, const detail::PartitionEntry& now) {
  std::string why = "it is to be owned by " + now.wanted + " now";
  if (now.wanted.empty()) why = now.owner.empty() ? "nobody owns it now" : now.owner + " has claimed it";
  throw Error{{"move the partition", std::to_string(options.partition), "that was given up: " + why,
               "`sluice cluster status` shows who owns it; try again"}};
}

void move(const Options& options) {
  Watched watched{options.server, options.cluster};
  if (options.partition >= watched.partitions())
    throw Error{{"move the partition", std::to_string(options.partition),
                 fmt::format("its partitions are 0 to {}", watched.partitions() - 1), ""}};
  watched.look_for_a_lease();
  require_staying(watched, options.host);
  const auto start = Clock::now();
  detail::PartitionEntry entry = watched.owners().view().entry(options.partition);
  if (entry.state == State::finished)
    throw Error{{"move the partition", std::to_string(options.partition), "it is finished", ""}};
  const std::uint64_t epoch = entry.epoch;
  const bool moves = entry.owner != options.host;
  const std::string wanted = entry.wanted;
  unsigned failures = failures_of(watched.owners().view(), options.partition);
  entry.wanted = options.host;
  bool told = false;
  bool is_wanted = false;  // As the cluster has it: what is seen is a little behind what was written.
  if (!watched.owners().change(options.partition, entry))
    throw Error{
        {"move the partition", std::to_string(options.partition), "its owner changed just now", "try again"}};
  try {
    watched.wait_until(
        [&] {
          const detail::OwnersView& view = watched.owners().view();
          const detail::PartitionEntry now = view.entry(options.partition);
          if (now.owner != options.host) {
            if (is_wanted && now.wanted != options.host) refuse_given_up(options, now);
            is_wanted = now.wanted == options.host;
            failures = failures_of(view, options.partition);  // Of another host's.
          }
          if (now.owner != options.host || (moves && now.epoch <= epoch)) return false;
          refuse_if_it_fails(view, options, failures);
          if (!has_begun(view, options, now)) return false;
          if (!is_trusted(view, options) && !std::exchange(told, true))
            std::fprintf(stderr, "sluice: partition %u has failed before: waiting whether it stays at work\n",
                         options.partition);
          return is_trusted(view, options);
        },
        fmt::format("{} has the partition {}", options.host, options.partition), options.patience);
  } catch (const Error&) {
    // It would be moved at any time later.
    entry = watched.owners().view().entry(options.partition);
    if (entry.owner != options.host && entry.wanted == options.host) {
      entry.wanted = wanted;
      watched.owners().change(options.partition, entry);
    }
    if (told && failures_of(watched.owners().view(), options.partition) == failures)
      refuse_untrusted(watched.owners().view(), options);
    throw;
  }
  std::printf("partition %u is owned by %s, after %.1f s\n", options.partition, options.host.c_str(),
              std::chrono::duration<double>(Clock::now() - start).count());
}

void drain(const Options& options) {
  Watched watched{options.server, options.cluster};
  watched.look_for_a_lease();
  require_staying(watched, options.host);
  const auto life = [&]() -> std::uint64_t {
    const auto& beats = watched.owners().view().beats;
    const auto found = beats.find(options.host);
    return found == beats.end() ? 0 : found->second.life;
  };
  const std::uint64_t asked = life();
  watched.owners().ask_to_leave(options.host);
  // One that is started again at once has left all the same.
  watched.wait_until([&] { return life() != asked; }, "the host " + options.host + " has left",
                     options.patience);
  std::printf("%s has left\n", options.host.c_str());
}

void add_server(CLI::App& command, Options& options) {
  command.add_option("CLUSTER", options.cluster, "Its name")->required();
  command.add_option("--nats", options.server.url, "The servers (nats://127.0.0.1:4222)")->type_name("URL");
  command.add_option("--nats-credentials", options.server.credentials_file, "A file of credentials")
      ->type_name("FILE");
  command.add_option("--nats-ca", options.server.ca_file, "Certificates to trust; makes it TLS")
      ->type_name("FILE");
}

std::chrono::nanoseconds duration(const std::string& text) {
  const auto parsed = parse_duration(text);
  if (!parsed.ok()) throw Error{{"use the time", text, parsed.fault, "give it as 1500ms or 2s"}};
  return parsed.value;
}

void check(Options& options) {
  if (!detail::is_cluster_name(options.cluster))
    throw Error{{"look at the cluster", "'" + options.cluster + "'", "that is no name of one",
                 "up to 32 letters, digits, '-' and '_'"}};
  options.patience = duration(options.patience_text);
  detail::check_files(options.server);
}

int tell(const std::exception& error, int status) {
  std::fprintf(stderr, "sluice: %s\n", printable_message(error.what()).c_str());
  return status;
}

CLI::App* add_status(CLI::App& program, Options& options) {
  CLI::App* status = program.add_subcommand("status", "Hosts, and the owner and state of each partition");
  add_server(*status, options);
  CLI::Option* json = status->add_flag("--json", options.as_json, "For programs: one object");
  status->add_flag("--metrics", options.as_metrics, "For Prometheus, in its text format")->excludes(json);
  status->footer(
      "Examples:\n"
      "  sluice cluster status orders --nats nats://broker:4222\n"
      "  sluice cluster status orders --json | jq .partitions\n"
      "  sluice cluster status orders --metrics > orders.prom");
  return status;
}

CLI::App* add_move(CLI::App& program, Options& options) {
  CLI::App* moves =
      program.add_subcommand("move", "Give a partition to another host, and wait until it has it");
  add_server(*moves, options);
  moves->add_option("PARTITION", options.partition, "Its number")
      ->required()
      ->check(detail::count_between(0, std::numeric_limits<unsigned>::max()));
  moves->add_option("HOST", options.host, "The host that gets it")->required();
  moves->add_option("--patience", options.patience_text, "How long to wait (60s)")->type_name("TIME");
  moves->footer(
      "Examples:\n"
      "  sluice cluster move orders 3 beta\n"
      "  sluice cluster move orders 0 alpha --patience 5min\n"
      "  sluice cluster move orders 3 beta --nats nats://broker:4222");
  return moves;
}

CLI::App* add_drain(CLI::App& program, Options& options) {
  CLI::App* drains = program.add_subcommand("drain", "Ask a host to leave, and wait until it has left");
  add_server(*drains, options);
  drains->add_option("HOST", options.host, "The host that leaves")->required();
  drains->add_option("--patience", options.patience_text, "How long to wait (60s)")->type_name("TIME");
  drains->footer(
      "Examples:\n"
      "  sluice cluster drain orders alpha\n"
      "  sluice cluster drain orders alpha --patience 5min\n"
      "  sluice cluster drain orders alpha --nats nats://broker:4222");
  return drains;
}

int run(int argc, char** argv) {
  CLI::App program{"What a cluster of Sluice looks like, and what it should do.", "sluice cluster"};
  program.require_subcommand(1);
  program.set_version_flag("--version", "sluice " SLUICE_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(detail::help_formatter());
  program.footer(
      "Examples:\n"
      "  sluice cluster status orders --nats nats://broker:4222\n"
      "  sluice cluster move orders 3 beta\n"
      "  sluice cluster drain orders alpha");
  Options options;
  const CLI::App* status = add_status(program, options);
  const CLI::App* moves = add_move(program, options);
  const CLI::App* drains = add_drain(program, options);
  if (argc == 2 && std::string_view{argv[1]} == detail::kCompletionWords) {
    std::fputs(detail::to_text(detail::completed_commands(program)).c_str(), stdout);
    return flushed(kExitOk);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return end_of_parse(program, error);
    const CLI::App& command = detail::innermost(program);
    detail::print_misuse(command, detail::complaint(command, error));
    return kExitUsage;
  }
  try {
    check(options);
  } catch (const Error& error) {
    return tell(error, kExitUsage);
  }
  try {
    if (status->parsed()) show_status(options);
    if (moves->parsed()) move(options);
    if (drains->parsed()) drain(options);
  } catch (const Unavailable& away) {
    throw Error{
        {"reach the cluster", options.cluster, away.what(), "see that it runs, or name another with --nats"}};
  }
  return flushed(kExitOk);
}

}  // namespace
}  // namespace sluice::command

int main(int argc, char** argv) {
  try {
    return sluice::command::run(argc, argv);
  } catch (const std::exception& error) {
    return sluice::command::tell(error, sluice::kExitFailed);
  }
}
