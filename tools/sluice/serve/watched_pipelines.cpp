// SPDX-License-Identifier: Apache-2.0
#include "serve/watched_pipelines.hpp"

#include <algorithm>
#include <cstdio>
#include <set>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

#include "observer/observer_socket.hpp"
#include "observer/stats_json.hpp"

namespace sluice::command {
namespace {

// Resident pages less those of files and shared memory. Source: proc(5), statm.
std::optional<std::uint64_t> anonymous_bytes(int pid) {
  if (pid <= 0) return std::nullopt;
  const std::string path = fmt::format("/proc/{}/statm", pid);
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return std::nullopt;
  unsigned long resident = 0;
  unsigned long shared = 0;
  const int read = std::fscanf(file, "%*u %lu %lu", &resident, &shared);
  std::fclose(file);
  if (read != 2) return std::nullopt;
  return (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Of those whose processes are the same.
void keep_usage(const Stats& before, Stats& now) {
  for (std::size_t s = 0; s < now.stages.size() && s < before.stages.size(); ++s) {
    std::vector<WorkerStats>& workers = now.stages[s].workers;
    const std::vector<WorkerStats>& old = before.stages[s].workers;
    for (std::size_t w = 0; w < workers.size() && w < old.size(); ++w) {
      if (workers[w].incarnation == old[w].incarnation) workers[w].usage = old[w].usage;
    }
  }
}

// What bottlenecks are judged over, at least; and how far the looks that are kept for it lie apart.
constexpr std::chrono::seconds kWindow{10};
constexpr std::chrono::seconds kBetweenLooks{1};

}  // namespace

Stats WatchedPipelines::judged_against(Watched& watched, const Stats& stats, std::chrono::nanoseconds now) {
  std::vector<Look>& looks = watched.looks;
  while (looks.size() > 1 && now - looks[1].at >= kWindow)
    looks.erase(looks.begin());
  Stats before;
  if (!looks.empty() && now - looks.front().at >= kBetweenLooks) before = looks.front().stats;
  if (looks.empty() || now - looks.back().at >= kBetweenLooks) looks.push_back({now, stats});
  return before;
}

Exposed WatchedPipelines::exposed(Watched& watched) {
  Exposed each;
  each.stats = watched.observer.stats();
  const auto now = detail::monotonic_now();
  each.before = judged_against(watched, each.stats, now);
  each.name = each.stats.pipeline;
  const auto age = now - each.stats.started;
  each.start_time =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch() - age).count();
  for (const StageStats& stage : each.stats.stages) {
    for (const WorkerStats& worker : stage.workers)
      each.memory.push_back(anonymous_bytes(worker.pid));
  }
  return each;
}

LivePipeline WatchedPipelines::live_of(Watched& watched, bool whole) {
  Snapshot& snapshot = watched.last;
  const Stats before = std::move(snapshot.stats);
  whole = whole || before.stages.empty();
  if (whole) {
    snapshot = watched.observer.snapshot();
  } else {
    snapshot.stats = watched.observer.stats();
  }
  const auto now = detail::monotonic_now();
  watched.rates.look(snapshot.stats, now);
  if (!whole) keep_usage(before, snapshot.stats);
  const Stats since = judged_against(watched, snapshot.stats, now);
  return {snapshot.stats.pipeline,
          detail::to_json(snapshot, since, watched.rates, watched.observer.settings(), now),
          snapshot.stats.reports, snapshot.stats.dead_letters()};
}

std::vector<std::string> WatchedPipelines::sockets() {
  const std::vector<RunningPipeline> running = Observer::running();
  std::vector<std::string> found;
  missing_.clear();
  if (names_.empty()) {
    for (const RunningPipeline& each : running)
      found.push_back(each.socket);
  }
  for (const std::string& name : names_) {
    const std::size_t before = found.size();
    if (name.find('/') != std::string::npos) found.push_back(name);
    for (const RunningPipeline& each : running) {
      if (each.name == name || each.name.substr(0, each.name.rfind('.')) == detail::file_name_of(name))
        found.push_back(each.socket);
    }
    if (found.size() == before) missing_.push_back(name);
  }
  return found;
}

WatchedPipelines::Watched* WatchedPipelines::attached(const std::string& socket) {
  const auto known = watched_.find(socket);
  // That it is open says that supervisor or master live; a connection that is not taken is closed with this line.
  const bool lives =
      static_cast<bool>(detail::connect_to_observer_socket(socket, std::chrono::milliseconds{0})) ||
      errno == EAGAIN;
  if (known != watched_.end()) {
    if (lives && !known->second.observer.over()) return &known->second;
    watched_.erase(known);
  }
  if (!lives) return nullptr;
  try {
    return &watched_.emplace(socket, Watched{Observer::attach(socket)}).first->second;
  } catch (const Error& refusal) {
    refusals_.emplace_back(refusal.what());
    return nullptr;
  }
}

std::vector<WatchedPipelines::Watched*> WatchedPipelines::present() {
  std::vector<Watched*> seen;
  refusals_.clear();
  const std::vector<std::string> now = sockets();
  std::erase_if(watched_, [&](const auto& known) {
    return std::find(now.begin(), now.end(), known.first) == now.end();
  });
  for (const std::string& socket : now) {
    const std::size_t refused = refusals_.size();
    Watched* watched = attached(socket);
    if (watched != nullptr) {
      seen.push_back(watched);
    } else if (!names_.empty() && refusals_.size() == refused) {
      missing_.push_back(socket);
    }
  }
  return seen;
}

// Of one name several may run: then the pids of their hosts tell them apart.
template <class Told>
void WatchedPipelines::tell_apart(std::vector<Told>& told, const std::vector<Watched*>& watched) {
  std::multiset<std::string> names;
  for (const Told& each : told)
    names.insert(each.name);
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (names.count(told[i].name) > 1)
      told[i].name = fmt::format("{}.{}", watched[i]->observer.pipeline(), watched[i]->observer.stats().host);
  }
}

std::vector<Exposed> WatchedPipelines::look() {
  const std::vector<Watched*> watched = present();
  std::vector<Exposed> seen;
  seen.reserve(watched.size());
  for (Watched* each : watched)
    seen.push_back(exposed(*each));
  tell_apart(seen, watched);
  return seen;
}

std::vector<LivePipeline> WatchedPipelines::live(bool whole) {
  const std::vector<Watched*> watched = present();
  std::vector<LivePipeline> seen;
  seen.reserve(watched.size());
  for (Watched* each : watched)
    seen.push_back(live_of(*each, whole));
  tell_apart(seen, watched);
  return seen;
}

bool WatchedPipelines::glance() {
  bool changed = false;
  const auto now = detail::monotonic_now();
  for (auto& [socket, watched] : watched_) {
    const Stats stats = watched.observer.stats();
    watched.rates.look(stats, now);
    std::uint64_t happened = stats.masters + stats.dead_letters() + (watched.observer.over() ? 1 : 0);
    for (const StageStats& stage : stats.stages) {
      for (const WorkerStats& worker : stage.workers)
        happened += worker.incarnation + worker.restarts;
    }
    if (std::exchange(watched.happened, happened) != happened) changed = true;
  }
  return changed;
}

}  // namespace sluice::command
