// SPDX-License-Identifier: Apache-2.0
// The program of a cluster: its command line, and what is wrong with it told before anything starts.
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/cluster.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/interruption.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "agent.hpp"
#include "partition_run.hpp"
#include "server_files.hpp"
#include "service_manager.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr auto kShortestLease = std::chrono::milliseconds{100};

volatile std::sig_atomic_t interrupts = 0;

void count_interrupt(int signal) {
  if (!is_another_signal(signal)) return;
  interrupts = interrupts + 1;
}

std::string own_host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  std::string host = name.data();
  return host.substr(0, host.find('.'));
}

// What both commands know.
struct HostOptions {
  std::string host = own_host_name();
  NatsServer server{};
  std::string data = "sluice-cluster";
  std::string lease = "1500ms";
  bool no_copies = false;
  bool copies_on_disk = false;
  StandardOptions standard{};
  unsigned partition = 0;
  std::uint64_t epoch = 0;
  bool ahead = false;
  bool awaited = false;
};

void add_options(CLI::App& command, HostOptions& options) {
  command.add_option("--name", options.host, "This host's name in the cluster\n(that of the machine)")
      ->type_name("NAME");
  command
      .add_option("--nats", options.server.url,
                  "The servers, with commas between them\n(nats://127.0.0.1:4222)")
      ->type_name("URL");
  command
      .add_option("--nats-credentials", options.server.credentials_file,
                  "A file of credentials, as nsc writes it")
      ->type_name("FILE");
  command.add_option("--nats-ca", options.server.ca_file, "Certificates to trust; makes it TLS")
      ->type_name("FILE");
  command.add_option("--data", options.data, "A directory for copies of checkpoints\n(./sluice-cluster)")
      ->type_name("DIRECTORY");
  command
      .add_option("--lease", options.lease, "How long a host may be silent before others\ntake over (1500ms)")
      ->type_name("TIME");
  command.add_flag("--no-copies", options.no_copies,
                   "Keep no copies of the checkpoints of partitions\nthat come here next");
  command.add_flag("--copies-on-disk", options.copies_on_disk,
                   "Keep those copies on the disk only, and not\nrestored in memory as well");
  add_standard_options(command, options.standard);
}

std::chrono::nanoseconds lease_of(const HostOptions& options) {
  const auto lease = parse_duration(options.lease);
  if (!lease.ok()) throw Error{{"use the lease", options.lease, lease.fault, "give it as 1500ms or 2s"}};
  if (lease.value < kShortestLease)
    throw Error{{"use the lease", options.lease, "it is too short for heartbeats", "100ms is the shortest"}};
  return lease.value;
}

PartitionOptions partition_of(const Cluster& cluster, const HostOptions& options, unsigned number) {
  return {.partition = {number, cluster.partitions, cluster.name, options.server},
          .epoch = options.epoch,
          .ahead = options.ahead,
          .awaited = options.awaited,
          .host = options.host,
          .data = std::filesystem::absolute(options.data),
          .standard = options.standard};
}

void refuse_ends_of_the_host(const Pipeline& pipeline) {
  for (const Node& node : pipeline.graph().nodes) {
    if (node.kind != NodeKind::inlet && node.kind != NodeKind::outlet) continue;
    throw Error{
        {"run the pipeline " + pipeline.name() + " as a partition", "",
         fmt::format("its {} '{}' is for a host that {}", node.kind == NodeKind::inlet ? "inlet" : "outlet",
                     node.name, node.kind == NodeKind::inlet ? "pushes" : "pulls"),
         "begin with a source and end with a stage"}};
  }
}

// What is wrong with the program or its settings is told at once, and not by each partition.
void check(const Cluster& cluster, const HostOptions& options) {
  if (!is_cluster_name(cluster.name))
    throw Error{{"make a cluster of the name", "'" + cluster.name + "'", "subjects and keys are made of it",
                 "use up to 32 letters, digits, '-' and '_'"}};
  if (!is_cluster_name(options.host))
    throw Error{{"be a host of the name", "'" + options.host + "'", "keys are made of it",
                 "give --name with up to 32 letters, digits, '-' and '_'"}};
  if (cluster.partitions == 0 || !cluster.pipeline)
    throw Error{{"make the cluster", cluster.name,
                 "it has no partitions, or nothing that makes their pipelines", ""}};
  static_cast<void>(lease_of(options));
  check_files(options.server);
  // A host that can keep nothing would only be in the way of those that can.
  const std::filesystem::path data = std::filesystem::absolute(options.data);
  std::error_code error;
  std::filesystem::create_directories(data, error);
  if (error) throw Error{{"write into", data.string(), error.message(), "give --data another directory"}};
  OwnDirectory::check(data, "--data");
  std::set<std::string> names;
  for (unsigned number = 0; number < cluster.partitions; ++number) {
    const PartitionOptions partition = partition_of(cluster, options, number);
    const Pipeline pipeline = cluster.pipeline(partition.partition);
    refuse_ends_of_the_host(pipeline);
    static_cast<void>(settings_of(partition, pipeline));
    if (!names.insert(pipeline.name()).second)
      throw Error{{"make the cluster", cluster.name,
                   fmt::format("several of its partitions are pipelines of the name {}", pipeline.name()),
                   "put Partition::text() into the name"}};
  }
}

// The words that start a partition, or a copy of one: those that started this host, with another command in front.
std::vector<std::string> words_of(const char* command, int argc, char** argv, unsigned number,
                                  std::uint64_t epoch, const std::string& host) {
  std::vector<std::string> words{argv[0],  command, std::to_string(number), "--epoch", std::to_string(epoch),
                                 "--name", host};
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--name") {
      ++i;
    } else if (!word.starts_with("--name=")) {
      words.push_back(word);
    }
  }
  return words;
}

int run_host(int argc, char** argv, const Cluster& cluster, const HostOptions& options) {
  // Partitions come and go: that one of them ends says nothing of the host.
  ServiceManager manager;
  ServiceManager::keep_from_children();
  const PartitionOptions first_partition = partition_of(cluster, options, 0);
  const Pipeline first = cluster.pipeline(first_partition.partition);
  Agent agent{
      {.cluster = cluster.name,
       .partitions = cluster.partitions,
       .pipeline = first.name(),
       .host = options.host,
       .server = options.server,
       .lease = lease_of(options),
       .hurries = settings_of(first_partition, first).value("master.priority") == "raised",
       .arguments =
           [&](unsigned number, std::uint64_t epoch) {
             return words_of("partition", argc, argv, number, epoch, options.host);
           },
       .copy_arguments =
           options.no_copies
               ? Followers::Arguments{}
               : [&](unsigned number, CopyPlace place) {
                   const bool ahead = place != CopyPlace::disk;
                   auto words =
                       words_of(ahead ? "partition" : "copy", argc, argv, number, 0, options.host);
                   if (ahead) words.emplace_back("--ahead");
                   if (place == CopyPlace::coming) words.emplace_back("--awaited");
                   return words;
                 },
       .copies_in = options.copies_on_disk ? CopyPlace::disk : CopyPlace::memory}};
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, count_interrupt);
  bool ready = false;
  agent.run([&] {
    if (!ready && agent.has_joined()) {
      ready = true;
      manager.ready("host " + options.host + " of cluster " + cluster.name);
    }
    if (ready) manager.alive();
    if (interrupts > 0) manager.stopping();
    return static_cast<unsigned>(interrupts);
  });
  return kExitOk;
}

int parsed(CLI::App& app, CLI::App& host, CLI::App& copy, int argc, char** argv, const Cluster& cluster,
           HostOptions& options) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_of_parse(app, error);
  }
  try {
    if (host.parsed()) check(cluster, options);
  } catch (const std::exception& error) {
    say(Priority::error, "error: " + printable_message(error.what()) + "\n");
    return kExitUsage;
  }
  try {
    if (host.parsed()) return flushed(run_host(argc, argv, cluster, options));
    keep_agent_line();
    if (options.partition >= cluster.partitions)
      throw Error{{"run the partition", std::to_string(options.partition),
                   fmt::format("the cluster has {}", cluster.partitions), ""}};
    if (copy.parsed())
      return static_cast<int>(follow_partition(partition_of(cluster, options, options.partition)));
    return static_cast<int>(run_partition(cluster, partition_of(cluster, options, options.partition)));
  } catch (const std::exception& error) {
    say(Priority::error, "error: " + printable_message(error.what()) + "\n");
    if (!host.parsed()) tell_agent_error(printable_message(error.what()));
    return host.parsed() ? kExitFailed : static_cast<int>(PartitionEnd::failed);
  }
}

}  // namespace

int cluster_main(int argc, char** argv, const Cluster& cluster) {
  CLI::App app{"The cluster " + cluster.name + "."};
  app.require_subcommand(1);
  app.set_version_flag("--version", cluster.name + ", with Sluice " SLUICE_VERSION,
                       "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.formatter(help_formatter());
  HostOptions options;
  CLI::App* host = app.add_subcommand("host", "Join the cluster and run partitions of it");
  add_options(*host, options);
  const std::string name =
      argc > 0 ? printable(std::filesystem::path{argv[0]}.filename().string()) : cluster.name;
  const std::string examples = "Examples:\n  " + name + " host\n  " + name +
                               " host --nats nats://broker:4222 --name alpha\n  " + name +
                               " host --data /var/lib/" + name;
  app.footer(examples);
  host->footer(examples);
  // What the host starts; no command for a person.
  CLI::App* partition = app.add_subcommand("partition", "Run one partition")->group("");
  partition->add_option("number", options.partition)->required();
  partition->add_option("--epoch", options.epoch)->required();
  partition->add_flag("--ahead", options.ahead);
  partition->add_flag("--awaited", options.awaited);
  add_options(*partition, options);
  CLI::App* copy = app.add_subcommand("copy", "Copy the checkpoints of one partition")->group("");
  copy->add_option("number", options.partition)->required();
  copy->add_option("--epoch", options.epoch);
  add_options(*copy, options);
  return parsed(app, *host, *copy, argc, argv, cluster, options);
}

}  // namespace sluice
