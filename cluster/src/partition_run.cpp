// SPDX-License-Identifier: Apache-2.0
#include "partition_run.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/engine.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>
#include <sluice/units.hpp>

#include "state_log.hpp"

namespace sluice::detail {
namespace {

// Shorter is sooner seen outside, and written more often.
constexpr const char* kEvery = "100ms";

// In a process of its own, since libnats makes threads, and a process that has any starts no pipeline.
PartitionEnd apart(const std::function<void()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw Error{{"start", "a process", errno_text(), "raise the limit of processes"}};
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(static_cast<int>(PartitionEnd::failed));
    auto end = PartitionEnd::finished;
    try {
      work();
    } catch (const Fenced& fenced) {
      end = PartitionEnd::fenced;
      std::fprintf(stderr, "fenced: %s\n", printable(fenced.what()).c_str());
    } catch (const Unavailable& away) {
      end = PartitionEnd::away;
      std::fprintf(stderr, "away: %s\n", printable(away.what()).c_str());
    } catch (const std::exception& error) {
      end = PartitionEnd::failed;
      std::fprintf(stderr, "error: %s\n", printable(error.what()).c_str());
      tell_agent_error(printable(error.what()));
    }
    std::fflush(stderr);
    ::_exit(static_cast<int>(end));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? static_cast<PartitionEnd>(WEXITSTATUS(status)) : PartitionEnd::failed;
}

// Blocked by the agent that starts it, until the pipeline listens.
bool is_asked_to_park() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGTERM) == 1;
}

// Whoever has nothing to say any more ends with all its processes: the agent knows whether it is to be started again.
CheckpointShipper fatal_when_fenced(CheckpointShipper ship) {
  return [ship = std::move(ship), host = ::getpid()](const ShippedCheckpoint& checkpoint) {
    try {
      ship(checkpoint);
    } catch (const Fenced& fenced) {
      std::fprintf(stderr, "fenced: %s\n", printable(fenced.what()).c_str());
      ::kill(host, SIGKILL);
      throw;
    }
  };
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

PartitionEnd run_partition(const Cluster& cluster, const PartitionOptions& asked) {
  PartitionOptions options = asked;
  const Pipeline pipeline = cluster.pipeline(options.partition);
  const Settings settings = settings_of(options, pipeline);
  const std::filesystem::path checkpoints = checkpoints_of(options);
  const StateLogOptions log = log_of(options);
  std::optional<Engine> engine;
  if (options.ahead) {
    const Ahead ahead = stand_by(options, [&] {
      if (newest_in(checkpoints) == 0) return;
      try {
        if (!engine) engine.emplace(pipeline, settings);
        engine->restore_ahead();
      } catch (const Error&) {
        engine
            .reset();  // A new base has taken the place of what was being read: the next time it is all there.
      }
    });
    if (!ahead.epoch) return ahead.end;
    options.epoch = *ahead.epoch;
  }
  const PartitionEnd taken = apart([&] {
    StateLog own{log};
    own.claim(options.epoch);
    const FetchedState fetched = own.fetch(checkpoints);
    if (fetched.copied != 0) {
      std::fprintf(stderr, "partition %u: of %s of checkpoints, %s were here\n", options.partition.number,
                   format_bytes(fetched.bytes).c_str(), format_bytes(fetched.copied).c_str());
    }
    if (fetched.files == 0 && options.epoch > 1) {
      std::fprintf(stderr, "partition %u: no checkpoint of it is stored: it begins anew\n",
                   options.partition.number);
    }
  });
  if (taken != PartitionEnd::finished) return taken;
  if (is_asked_to_park()) return PartitionEnd::parked;
  if (engine) std::fprintf(stderr, "partition %u: was restored ahead\n", options.partition.number);
  if (!engine) engine.emplace(pipeline, settings);
  engine->ship_checkpoints(fatal_when_fenced(state_log_shipper(log, options.epoch, newest_in(checkpoints))));
  StandardOptions quiet = options.standard;
  quiet.quiet = true;
  run(*engine, quiet, settings);
  switch (engine->end()) {
    case End::finished:
      return PartitionEnd::finished;
    case End::parked:
      return PartitionEnd::parked;
    default:
      return PartitionEnd::failed;
  }
}

}  // namespace sluice::detail
