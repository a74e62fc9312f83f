// SPDX-License-Identifier: Apache-2.0
#include "partition_run.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/numbered_lives.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/engine.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "apart.hpp"
#include "own_disk.hpp"
#include "own_master.hpp"
#include "owners.hpp"
#include "state_copy.hpp"
#include "state_log.hpp"

namespace sluice::detail {
namespace {

// Shorter is sooner seen outside, and written more often.
constexpr const char* kEvery = "100ms";

// Of two hosts that go on from one checkpoint the later one has the higher epoch, whatever their clocks say. Above all numbers that a
// clock has given: it shows this one in 2116.
constexpr std::uint64_t kFirstLife = std::uint64_t{1} << 62U;

// What it has sent would be sent again.
[[noreturn]] void refuse_to_begin_anew(const PartitionOptions& options) {
  const unsigned number = options.partition.number;
  const std::string& cluster = options.partition.cluster;
  throw Error{
      {"go on with", fmt::format("partition {} of {}", number, cluster),
       fmt::format("its checkpoints were stored in the stream {}, and there are none", state_stream(cluster)),
       fmt::format("bring that stream back (nats stream restore); or, to begin anew and send again what was "
                   "sent, remove "
                   "the key {} of the bucket {} (nats kv del)",
                   stored_key(number), owners_bucket(cluster))}};
}

// Blocked by the agent that starts it, until the pipeline listens.
bool is_asked_to_park() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGTERM) == 1;
}

// Whoever has nothing to say any more ends with all its processes: the agent knows whether it is to be started again.
ReadiedShipper fatal_when_fenced(ReadiedShipper shipper, OwnDisk& disk) {
  return {
      .ship =
          [ship = std::move(shipper.ship), host = ::getpid(), &disk](const ShippedCheckpoint& checkpoint) {
            disk.written();
            try {
              ship(checkpoint);
            } catch (const Fenced& fenced) {
              std::fprintf(stderr, "fenced: %s\n", printable_message(fenced.what()).c_str());
              end_refused(host);
              throw;
            }
          },
      .ready = std::move(shipper.ready)};
}

// By its user or by the program.
bool is_said(const Settings& settings, const std::string& key, const std::string& stage = {}) {
  const Origin layer = settings.origin_of(key, stage).layer;
  return layer != Origin::fallback && layer != Origin::profile;
}

void refuse(const Settings& settings, const std::string& key, const std::string& allowed,
            const std::string& stage = {}) {
  if (!is_said(settings, key, stage)) return;
  if (settings.value(key, stage) == allowed) return;
  const std::string name = stage.empty() ? key : "stage." + stage + "." + key;
  throw Error{{"run a partition with", fmt::format("{}={}", name, settings.value(key, stage)),
               "a cluster sets it itself", "leave it out"}};
}

}  // namespace

Settings settings_of(const PartitionOptions& options, const Pipeline& pipeline) {
  Settings settings = pipeline.with_defaults(settings_from(options.standard));
  // A segment with a name would be gone on with, though another host has come further.
  refuse(settings, "segment.path", "");
  // Whose host is gone must not go on beside its successor, nor tell it that it was drained.
  refuse(settings, "host.death", "stop");
  for (const char* key : {"checkpoint.path", "checkpoint.sync", "checkpoint.keep"})
    refuse(settings, key, "");
  refuse(settings, "outside.after", "checkpoint");
  for (const Node& node : pipeline.graph().nodes) {
    if (node.kind == NodeKind::stage || node.kind == NodeKind::source)
      refuse(settings, "outside.after", "checkpoint", node.name);
  }
  settings.set("checkpoint.path", checkpoints_of(options).string(), Origin::command_line);
  // What a host keeps is a copy; JetStream has what counts.
  settings.set("checkpoint.sync", "no", Origin::command_line);
  settings.set("checkpoint.keep", "1", Origin::command_line);
  settings.set("outside.after", "checkpoint", Origin::command_line);
  if (!is_said(settings, "checkpoint.idle")) settings.set("checkpoint.idle", "no");
  if (!is_said(settings, "checkpoint.every")) settings.set("checkpoint.every", kEvery);
  return settings;
}

void look_at_fetched(const PartitionOptions& options, const FetchedState& fetched, StateLog& log) {
  if (fetched.copied != 0) {
    std::fprintf(stderr, "partition %u: of %s of checkpoints, %s were here\n", options.partition.number,
                 format_bytes(fetched.bytes).c_str(), format_bytes(fetched.copied).c_str());
  }
  if (fetched.files == 0 && log.was_stored()) refuse_to_begin_anew(options);
}

std::uint64_t newest_in(const std::filesystem::path& directory) {
  std::uint64_t newest = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry{directory, error}, end; !error && entry != end;
       entry.increment(error)) {
    if (const auto name = parse_state_file_name(entry->path().filename().string()); name)
      newest = std::max(newest, name->number);
  }
  return newest;
}

namespace {

// Who removes it gets it again, and nothing of it is lost: what is wrong is not that directory.
Error of_a_copy(const Error& error) {
  ErrorParts parts = error.parts();
  if (parts.tried == "go on with the checkpoints in") {
    parts.remedy =
        "run the same program with the same Sluice on all hosts; what is in that directory is a copy of what "
        "the server has";
  }
  return Error{std::move(parts)};
}

// The memory of a partition that runs elsewhere yet.
class RestoredAhead {
 public:
  RestoredAhead(const PartitionOptions& options, const Pipeline& pipeline, const Settings& settings)
      : options_{options}, pipeline_{pipeline}, settings_{settings} {}

  // False when there is none, and it is to be tried again.
  bool restore() {
    if (newest_in(checkpoints_of(options_)) == 0) return true;
    try {
      if (!engine_) engine_.emplace(pipeline_, settings_);
      engine_->restore_ahead();
      if (!std::exchange(told_, true))
        std::fprintf(stderr, "partition %u: its copy is in memory\n", options_.partition.number);
      failures_ = 0;
      return true;
    } catch (const Error& error) {
      engine_.reset();
      // Once or twice it is a new base that took the place of what was being read.
      if (++failures_ == kWorthALine)
        std::fprintf(stderr, "partition %u: its copy is on the disk only: %s\n", options_.partition.number,
                     printable_message(of_a_copy(error).what()).c_str());
      return false;
    }
  }

  Engine& engine() {
    if (engine_) std::fprintf(stderr, "partition %u: was restored ahead\n", options_.partition.number);
    if (!engine_) engine_.emplace(pipeline_, settings_);
    return *engine_;
  }

 private:
  static constexpr unsigned kWorthALine = 3;

  const PartitionOptions& options_;
  const Pipeline& pipeline_;
  const Settings& settings_;
  std::optional<Engine> engine_{};
  unsigned failures_ = 0;
  bool told_ = false;
};

// What is there is believed the next time. Whoever has failed with it reads everything again.
void forget_copy(const std::filesystem::path& checkpoints) noexcept {
  try {
    const OwnDirectory directory{checkpoints, kDataOption};
    StateCopy{directory, {}}.forget();
  } catch (const std::exception&) {
    // Of a directory that is not ours nothing is believed.
  }
}

PartitionEnd run_pipeline(Engine& engine, const PartitionOptions& options, const Settings& settings,
                          OwnDisk& disk) {
  StandardOptions quiet = options.standard;
  quiet.quiet = true;
  // Whichever host has it next: what is below --data is a copy.
  quiet.kept_in = "the stream " + state_stream(options.partition.cluster);
  bool told = false;
  OwnMaster master;
  run(
      engine, quiet, settings,
      [&] {
        if (!std::exchange(told, true)) tell_agent_begun();
        disk.require_room(engine);
        master.require_at_work(engine);
      },
      [](const Error& error) { tell_agent_error(printable_message(of_a_copy(error).what())); },
      OwnDisk::kPatience);
  switch (engine.end()) {
    case End::finished:
      return PartitionEnd::finished;
    case End::parked:
      return PartitionEnd::parked;
    default:
      return PartitionEnd::failed;
  }
}

}  // namespace

PartitionEnd run_partition(const Cluster& cluster, const PartitionOptions& asked) {
  PartitionOptions options = asked;
  const Pipeline pipeline = cluster.pipeline(options.partition);
  const Settings settings = settings_of(options, pipeline);
  const std::filesystem::path checkpoints = checkpoints_of(options);
  const StateLogOptions log = log_of(options);
  OwnDisk disk{checkpoints.string()};
  RestoredAhead restored{options, pipeline, settings};
  Ahead ahead;
  if (options.ahead) {
    ahead = stand_by(options, [&restored] { return restored.restore(); });
    if (!ahead.epoch) return ahead.end;
    options.epoch = *ahead.epoch;
  }
  const PartitionEnd taken = ahead.claimed ? ahead.end
                                           : apart(
                                                 [&] {
                                                   StateLog own{log};
                                                   own.claim(options.epoch);
                                                   look_at_fetched(options, own.fetch(checkpoints), own);
                                                 },
                                                 options.silence);
  if (taken != PartitionEnd::finished) return taken;
  if (is_asked_to_park()) return PartitionEnd::parked;
  try {
    Engine& engine = restored.engine();
    engine.describe("cluster", options.partition.cluster);
    engine.describe("partition", options.partition.text());
    engine.describe("epoch", std::to_string(options.epoch));
    engine.describe("owner", options.host);
    number_lives_from(kFirstLife + options.epoch);
    // A large memory takes its time to go, and another host waits.
    engine.ship_checkpoints(
        fatal_when_fenced(state_log_shipper(log, options.epoch, newest_in(checkpoints)), disk),
        tell_agent_parked);
    const PartitionEnd end = run_pipeline(engine, options, settings, disk);
    if (end == PartitionEnd::failed) forget_copy(checkpoints);
    return end;
  } catch (const Error& error) {
    forget_copy(checkpoints);
    throw of_a_copy(error);
  } catch (...) {
    forget_copy(checkpoints);
    throw;
  }
}

}  // namespace sluice::detail
