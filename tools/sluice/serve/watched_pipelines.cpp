// SPDX-License-Identifier: Apache-2.0
#include "serve/watched_pipelines.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "observer/observer_socket.hpp"
#include "observer/stats_json.hpp"
#include "presence.hpp"

namespace sluice::command {
namespace {

// Resident pages less those of files and shared memory. Source: proc(5), statm.
std::optional<std::uint64_t> anonymous_bytes(int pid) noexcept {
  if (pid <= 0) return std::nullopt;
  // One for each worker in each scrape: without the buffers of a stream.
  std::array<char, 48> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/statm", pid);
  const detail::Descriptor file{::open(path.data(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 256> text{};
  if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
  char* at = text.data();
  std::array<std::uint64_t, 3> pages{};  // Of the address space, resident, shared.
  for (std::uint64_t& each : pages)
    each = std::strtoull(at, &at, 10);
  return (pages[1] - std::min(pages[1], pages[2])) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Latencies, and what the kernel said of those whose processes are the same.
void keep_what_costs(const Stats& before, Stats& now) {
  for (std::size_t s = 0; s < now.stages.size() && s < before.stages.size(); ++s) {
    std::vector<WorkerStats>& workers = now.stages[s].workers;
    const std::vector<WorkerStats>& old = before.stages[s].workers;
    now.stages[s].lane = before.stages[s].lane;
    now.stages[s].handler = before.stages[s].handler;
    now.stages[s].end_to_end = before.stages[s].end_to_end;
    for (std::size_t w = 0; w < workers.size() && w < old.size(); ++w) {
      workers[w].lane = old[w].lane;
      workers[w].handler = old[w].handler;
      workers[w].end_to_end = old[w].end_to_end;
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
  each.name = watched.name;
  each.master_stopped = is_master_stopped(each.stats).value_or(false);
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
    snapshot.stats = watched.observer.counts();
  }
  const auto now = detail::monotonic_now();
  watched.rates.look(snapshot.stats, now);
  if (!whole) keep_what_costs(before, snapshot.stats);
  const Stats since = judged_against(watched, snapshot.stats, now);
  return {watched.name,
          detail::to_json(snapshot, since, watched.rates, watched.observer.settings(), now,
                          is_master_stopped(snapshot.stats)),
          snapshot.stats.reports, snapshot.stats.dead_letters()};
}

std::vector<std::string> WatchedPipelines::sockets() {
  // Root is shown those of other users, but a server that stays takes no pipeline of theirs unasked: one that means ill
  // could end it. It takes the path of a socket.
  const std::vector<std::filesystem::path> running = detail::find_observer_sockets(detail::Whose::our_own);
  std::vector<std::string> found;
  missing_.clear();
  said_as_.clear();
  if (names_.empty()) {
    for (const std::filesystem::path& each : running)
      found.push_back(each.string());
  }
  for (const std::string& name : names_) {
    const std::size_t before = found.size();
    if (name.find('/') != std::string::npos) found.push_back(name);
    for (const std::filesystem::path& each : running) {
      const std::string stem = detail::name_of_observer_socket(each);
      if (stem == name || stem.substr(0, stem.rfind('.')) == detail::file_name_of(name))
        found.push_back(each.string());
    }
    if (found.size() == before) missing_.push_back(name);
    for (std::size_t i = before; i < found.size(); ++i)
      said_as_[found[i]] = name;
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
    forget(socket);
  }
  if (!lives) return nullptr;
  const auto begun = detail::monotonic_now();
  Refusal& refusal = refused_[socket];
  if (begun < refusal.until) {
    refusals_.push_back(refusal.why);
    return nullptr;
  }
  try {
    Watched& attached = watched_.emplace(socket, Watched{Observer::attach(socket)}).first->second;
    refused_.erase(socket);
    return &attached;
  } catch (const Error& error) {
    // The others are not to wait for it again and again.
    constexpr int kRest = 4;
    const auto now = detail::monotonic_now();
    refusal = {now + kRest * (now - begun), error.what()};
    refusals_.push_back(refusal.why);
    return nullptr;
  }
}

std::vector<WatchedPipelines::Watched*> WatchedPipelines::present() {
  std::vector<Watched*> seen;
  refusals_.clear();
  const std::vector<std::string> now = sockets();
  std::vector<std::string> gone;
  for (const auto& [socket, watched] : watched_) {
    if (std::find(now.begin(), now.end(), socket) == now.end()) gone.push_back(socket);
  }
  for (const std::string& socket : gone)
    forget(socket);
  std::erase_if(refused_, [&now](const auto& each) {
    return std::find(now.begin(), now.end(), each.first) == now.end();
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
  name_all(seen);
  return seen;
}

// Of one name several may run: then the pids of their hosts tell the later ones apart.
void WatchedPipelines::name_all(const std::vector<Watched*>& seen) {
  std::vector<Watched*> unnamed;
  std::set<std::string> taken;
  for (Watched* each : seen) {
    if (each->name.empty()) {
      unnamed.push_back(each);
    } else {
      taken.insert(each->name);
    }
  }
  std::sort(unnamed.begin(), unnamed.end(), [](const Watched* one, const Watched* other) {
    return one->observer.counts().started < other->observer.counts().started;
  });
  for (Watched* each : unnamed) {
    each->name = each->observer.pipeline();
    if (!taken.insert(each->name).second) {
      each->name = fmt::format("{}.{}", each->observer.pipeline(), each->observer.counts().host);
      taken.insert(each->name);
    }
    died_.erase(each->name);
  }
  for (const auto& [socket, watched] : watched_) {
    const auto said = said_as_.find(socket);
    if (said != said_as_.end()) told_as_[said->second] = watched.name;
  }
}

void WatchedPipelines::forget(const std::string& socket) {
  constexpr std::size_t kMostDied = 100;
  const auto known = watched_.find(socket);
  if (known == watched_.end()) return;
  const std::string state = known->second.observer.counts().state;
  const bool ended = state == "finished" || state == "stopped" || state == "parked";
  if (!ended && died_.size() < kMostDied) died_.insert(known->second.name);
  watched_.erase(known);
}

std::set<std::string> WatchedPipelines::down() const {
  std::set<std::string> names = died_;
  for (const std::string& name : missing_) {
    const auto told = told_as_.find(name);
    names.insert(told == told_as_.end() ? name : told->second);
  }
  for (const auto& [socket, watched] : watched_)
    names.erase(watched.name);
  return names;
}

std::vector<Exposed> WatchedPipelines::look() {
  const std::vector<Watched*> watched = present();
  std::vector<Exposed> seen;
  seen.reserve(watched.size());
  for (Watched* each : watched)
    seen.push_back(exposed(*each));
  return seen;
}

std::vector<LivePipeline> WatchedPipelines::live(bool whole) {
  const std::vector<Watched*> watched = present();
  std::vector<LivePipeline> seen;
  seen.reserve(watched.size());
  for (Watched* each : watched)
    seen.push_back(live_of(*each, whole));
  return seen;
}

bool WatchedPipelines::glance() {
  bool changed = false;
  const auto now = detail::monotonic_now();
  for (auto& [socket, watched] : watched_) {
    const Stats stats = watched.observer.counts();
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
