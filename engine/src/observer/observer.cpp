// SPDX-License-Identifier: Apache-2.0
#include "sluice/observer.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/nearest.hpp>
#include <sluice/error.hpp>

#include "layout/end.hpp"
#include "layout/segment_map.hpp"
#include "observer/attach_message.hpp"
#include "observer/description.hpp"
#include "observer/observer_socket.hpp"
#include "observer/process_usage.hpp"
#include "observer/segment_stats.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr const char* kRemedy =
    "`sluice stats` lists what runs; a pipeline with another observe.socket is named by "
    "the path of its socket";
// While its master is replaced, or answers a flood of others.
constexpr std::chrono::milliseconds kAnswerLimit{5000};

[[noreturn]] void refuse(const std::string& pipeline, const std::string& why,
                         const std::string& remedy = "") {
  throw Error{{"observe", pipeline, why, remedy}};
}

std::string why_not_reached(int error, const std::string& path) {
  struct stat found {};
  if (error == ECONNREFUSED && ::stat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode))
    return "it is no socket";
  if (error == ECONNREFUSED) return "its processes are gone";
  if (error == EACCES) return "it belongs to another user";
  if (error == EAGAIN) return "too many others ask it at this moment";
  return errno_text(error);
}

AttachMessage receive(const Descriptor& connection, const std::string& path) {
  AttachMessage attach_message = receive_attach_message(connection.get());
  // A master that ends, or is replaced, resets who has not had its turn.
  if (attach_message.bytes == 0 || (attach_message.bytes < 0 && errno == ECONNRESET))
    refuse(path, "it does not answer to this user, or is about to end", kRemedy);
  if (attach_message.bytes < 0 && errno == EAGAIN)
    refuse(path, "its master did not answer",
           "look whether somebody has stopped it (ps -C sluice-master -o pid,stat,args): kill -CONT lets it "
           "go on");
  if (attach_message.bytes < 0) refuse(path, errno_text());
  if (!attach_message.whole) refuse(path, "what answers is no pipeline", kRemedy);
  return attach_message;
}

// Who made the socket can send anything, a file that shrinks among it.
void refuse_foreign(const Descriptor& connection, const std::string& path) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) refuse(path, errno_text());
  if (who.uid != ::geteuid() && ::geteuid() != 0) {
    refuse(path, fmt::format("it belongs to user {} and this process to user {}", who.uid, ::geteuid()));
  }
}

std::string bytes_of(const Descriptor& file, const std::string& path) {
  struct stat found {};
  if (::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_size < 0 ||
      static_cast<std::uint64_t>(found.st_size) > kMostDescriptionBytes) {
    refuse(path, "what answers is no pipeline", kRemedy);
  }
  std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
  const ssize_t got = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) refuse(path, errno_text());
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace

std::string detail::find_observer_socket(const std::string& pipeline) {
  // A pipeline's name may have one as well.
  const bool is_path = pipeline.find('/') != std::string::npos;
  struct stat found {};
  if (is_path && ::lstat(pipeline.c_str(), &found) == 0) return pipeline;
  std::vector<std::string> names;
  std::vector<std::string> others;
  std::string path;
  for (const RunningPipeline& each : Observer::running()) {
    const std::string name = each.name.substr(0, each.name.rfind('.'));
    others.insert(others.end(), {name, each.name});
    if (each.name == pipeline) return each.socket;
    if (name != file_name_of(pipeline)) continue;
    names.push_back(each.name);
    path = each.socket;
  }
  if (names.empty() && is_path) return pipeline;
  if (names.empty()) {
    const std::string near = nearest(pipeline, others);
    refuse("'" + pipeline + "'",
           "no pipeline of that name is running" + (near.empty() ? "" : "; did you mean " + near + "?"),
           kRemedy);
  }
  if (names.size() > 1)
    refuse("'" + pipeline + "'", fmt::format("{} have that name", names.size()),
           fmt::format("say which: {}", fmt::join(names, ", ")));
  return path;
}

struct Observer::Parts {
  Parts(Description described, AttachMessage attached)
      : description{std::move(described)},
        segment{description.pipeline,
                region_specs(description.layout),
                {attached.segment.release(),
                 description.first_byte,
                 {attached.huge[0].release(), attached.huge[1].release()},
                 description.huge}} {}

  Description description;
  ipc::Segment segment;
  SegmentMap map{description.layout, segment};
};

Observer Observer::attach(const std::string& pipeline) {
  const std::string path = find_observer_socket(pipeline);
  const Descriptor connection = connect_to_observer_socket(path, kAnswerLimit);
  if (!connection) refuse(path, why_not_reached(errno, path), kRemedy);
  refuse_foreign(connection, path);
  AttachMessage received = receive(connection, path);
  Description description = read_description(bytes_of(received.description, path), path);
  return Observer{std::make_unique<Parts>(std::move(description), std::move(received))};
}

namespace {

void ask(const std::string& pipeline, Ask wanted) {
  const std::string path = find_observer_socket(pipeline);
  const Descriptor connection = connect_to_observer_socket(path, kAnswerLimit, wanted);
  if (!connection) refuse(path, why_not_reached(errno, path), kRemedy);
  refuse_foreign(connection, path);
  if (receive(connection, path).heard != wanted) refuse(path, "its master did not hear what was asked of it");
}

}  // namespace

void ask_to_park(const std::string& pipeline) {
  ask(pipeline, Ask::park);
}

void ask_to_drain(const std::string& pipeline) {
  ask(pipeline, Ask::drain);
}

std::vector<RunningPipeline> Observer::running() {
  std::vector<RunningPipeline> found;
  for (const std::filesystem::path& observer_socket : find_observer_sockets())
    found.push_back({name_of_observer_socket(observer_socket), observer_socket.string()});
  std::sort(found.begin(), found.end(),
            [](const RunningPipeline& a, const RunningPipeline& b) { return a.name < b.name; });
  return found;
}

Observer::Observer(std::unique_ptr<Parts> parts) : parts_{std::move(parts)} {}
Observer::Observer(Observer&&) noexcept = default;
Observer& Observer::operator=(Observer&&) noexcept = default;
Observer::~Observer() = default;

const std::string& Observer::pipeline() const noexcept {
  return parts_->description.pipeline;
}

Stats Observer::stats() const {
  Stats stats = parts_->description.known;
  read_stats(parts_->map, stats);
  return stats;
}

Stats Observer::counts() const {
  Stats stats = parts_->description.known;
  read_counts(parts_->map, stats);
  return stats;
}

const std::vector<SettingValue>& Observer::settings() const noexcept {
  return parts_->description.settings;
}

Snapshot Observer::snapshot() const {
  Snapshot snapshot{stats(), {}};
  read_lanes(parts_->map, parts_->description.lanes, snapshot.lanes);
  WorkerIndex index;
  for (StageStats& stage : snapshot.stats.stages) {
    for (WorkerStats& worker : stage.workers) {
      // relaxed: a process with another identity is not asked about.
      worker.usage = usage_of(worker.pid, parts_->map.entry(index).identity.load(std::memory_order_relaxed));
      ++index;
    }
  }
  return snapshot;
}

bool Observer::over() const noexcept {
  // [master.state] acquire: the numbers of the workers before the state; pairs with Master::end().
  return is_over(parts_->map.master().state.load(std::memory_order_acquire));
}

End Observer::end() const noexcept {
  return end_of(parts_->map.requests(), parts_->map.master());
}

}  // namespace sluice
