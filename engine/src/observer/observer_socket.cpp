// SPDX-License-Identifier: Apache-2.0
#include "observer/observer_socket.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>

#include "observer/attach_message.hpp"

namespace sluice::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".sock";
constexpr const char* kUnfinished = ".new";  // Behind the name of a socket that no process listens at yet.
constexpr int kBacklog = 64;
constexpr const char* kSocketRemedy =
    "name a file in a directory that can be written, or set observe.socket=off";

// False when the path is too long.
bool address_of(const std::string& path, sockaddr_un& address) noexcept {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return false;
  std::copy(path.begin(), path.end(), address.sun_path);
  return true;
}

// A directory that only this user can put anything into.
bool belongs_alone_to(uid_t user, const fs::path& directory) {
  struct stat found {};
  return ::lstat(directory.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == user &&
         (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool is_ours_alone(const fs::path& directory) {
  return belongs_alone_to(::geteuid(), directory);
}

// The first is preferred.
std::vector<fs::path> possible_directories() {
  std::vector<fs::path> all;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') all.push_back(fs::path{runtime} / "sluice");
  all.emplace_back(fmt::format("/tmp/sluice-{}", ::geteuid()));
  return all;
}

std::optional<uid_t> user_in(std::string_view name) {
  uid_t user = 0;
  const auto read = std::from_chars(name.data(), name.data() + name.size(), user);
  if (name.empty() || read.ec != std::errc{} || read.ptr != name.data() + name.size()) return std::nullopt;
  return user;
}

// Where other users have theirs: root, whom their pipelines answer, looks there too.
std::vector<fs::path> directories_of_others() {
  constexpr std::string_view kTemporary = "sluice-";
  std::vector<fs::path> all;
  std::error_code error;
  const auto add = [&all](std::string_view name, const fs::path& directory) {
    const std::optional<uid_t> user = user_in(name);
    if (user && *user != ::geteuid() && belongs_alone_to(*user, directory)) all.push_back(directory);
  };
  for (fs::directory_iterator at{"/tmp", error}, end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(kTemporary)) add(std::string_view{name}.substr(kTemporary.size()), at->path());
  }
  error.clear();
  for (fs::directory_iterator at{"/run/user", error}, end; !error && at != end; at.increment(error))
    add(at->path().filename().string(), at->path() / "sluice");
  return all;
}

bool is_socket_file(const fs::path& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode);
}

// What a name keeps of a pipeline's.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// By a name that a pipeline gives it. Another one in such a directory is somebody's own, who may have made it for those that
// show it, or have a shell complete it.
bool is_observer_socket(const fs::path& path) {
  const std::string name = name_of_observer_socket(path);
  return path.extension() == kEnding &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_plain(c) || c == '.'; }) &&
         is_socket_file(path);
}

// The pid in the name of a observer socket; 0 if there is none.
pid_t host_of(const fs::path& path) {
  const std::string name = name_of_observer_socket(path);
  const std::size_t dot = name.rfind('.') + 1;  // 0 without a dot.
  pid_t pid = 0;
  const auto read = std::from_chars(name.data() + dot, name.data() + name.size(), pid);
  return read.ec == std::errc{} ? pid : 0;
}

// Whether the kernel says that no process will ever answer there.
bool is_left_over(const fs::path& path) {
  return !connect_to_observer_socket(path.string(), std::chrono::milliseconds{0}) && errno == ECONNREFUSED;
}

// The name that a socket was to get whose pipeline died before it listened; otherwise the path itself.
fs::path finished_name(const fs::path& path) {
  return path.extension() == kUnfinished ? path.parent_path() / path.stem() : path;
}

// What killed pipelines have left, half made or whole. Living ones are not disturbed.
void sweep(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator at{directory, error}, end; !error && at != end; at.increment(error)) {
    const fs::path name = finished_name(at->path());
    if (name.extension() != kEnding || !is_socket_file(at->path())) continue;
    const pid_t host = host_of(name);
    if (host > 0 && ::kill(host, 0) != 0 && errno == ESRCH && is_left_over(at->path()))
      ::unlink(at->path().c_str());
  }
}

// A file without a name whose bytes stay what they are.
Descriptor sealed(const std::string& name, std::string_view bytes) {
  Descriptor file{::memfd_create(name.substr(0, 240).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  const bool done =
      file && ::write(file.get(), bytes.data(), bytes.size()) == std::ssize(bytes) &&
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
  if (!done) throw Error{{"describe", name, errno_text(), remedy_for_call(errno, "memfd_create")}};
  return file;
}

// The name of an operator's end of the connection, in the abstract namespace: it has no file, goes with its socket,
// and no two are equal.
constexpr std::string_view kParkName = "sluice-park-";
constexpr std::string_view kDrainName = "sluice-drain-";

bool name_end(int fd, Ask ask) noexcept {
  if (ask == Ask::nothing) return true;
  static std::atomic<unsigned> count{0};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view what = ask == Ask::park ? kParkName : kDrainName;
  char* const name = address.sun_path + 1;  // Behind the zero that stands for no file.
  const int length =
      std::snprintf(name, sizeof(address.sun_path) - 1, "%.*s%d.%u", static_cast<int>(what.size()),
                    what.data(), ::getpid(), count.fetch_add(1));
  const std::size_t size = offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)) == 0;
}

// `size` as accept() has left it.
Ask asked_by(const sockaddr_un& address, std::size_t size) noexcept {
  constexpr std::size_t kBefore = offsetof(sockaddr_un, sun_path) + 1;
  if (size <= kBefore || size > sizeof(address) || address.sun_path[0] != '\0') return Ask::nothing;
  const std::string_view name{address.sun_path + 1, size - kBefore};
  if (name.starts_with(kParkName)) return Ask::park;
  return name.starts_with(kDrainName) ? Ask::drain : Ask::nothing;
}

// Nothing when the kernel does not tell.
std::optional<Client> client_at(int connection) noexcept {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  return Client{who.uid, who.pid};
}

}  // namespace

ObserverSocket::ObserverSocket(const ObserverSettings& settings, const std::string& pipeline,
                               std::array<Descriptor, 3> segment, const std::string& description)
    : segment_{std::move(segment)}, description_{sealed("sluice-description:" + pipeline, description)} {
  using Socket = ObserverSettings::Socket;
  if (settings.socket == Socket::by_itself) open_by_itself(pipeline);
  if (settings.socket == Socket::at_path) open_at(absolute_path(settings.path).string());
  if (!open()) let_go();
}

void ObserverSocket::open_by_itself(const std::string& pipeline) {
  constexpr int kMostTries = 16;  // Pipelines of one name in one host.
  trouble_ = "no directory for it is this user's alone";
  for (const fs::path& directory : possible_directories()) {
    ::mkdir(directory.c_str(), S_IRWXU);
    if (!is_ours_alone(directory)) continue;
    sweep(directory);
    for (int number = 1; number <= kMostTries && !open(); ++number) {
      const std::string more = number == 1 ? "" : fmt::format("-{}", number);
      try {
        open_at(directory / fmt::format("{}{}.{}{}", file_name_of(pipeline), more, ::getpid(), kEnding));
      } catch (const Error& error) {
        // The user has not asked for this path: the next may do, and the pipeline runs without one as well.
        trouble_ = error.what();
      }
    }
    if (open()) return trouble_.clear();
  }
}

void ObserverSocket::open_at(const std::string& path) {
  const auto refuse = [&path](const std::string& why, const char* remedy = kSocketRemedy) {
    throw Error{{"open the observers' socket", path, why, remedy}};
  };
  const std::string unfinished = path + kUnfinished;
  sockaddr_un address;
  if (!address_of(unfinished, address))
    refuse(fmt::format("a socket's path has {} characters at most",
                       sizeof(address.sun_path) - 1 - std::strlen(kUnfinished)));
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) refuse("it is there, and no socket");
    if (!is_left_over(path)) refuse("another pipeline listens there", "name another path for each pipeline");
    ::unlink(path.c_str());
  }
  Descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!made) refuse(errno_text());
  if (::lstat(unfinished.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) ::unlink(unfinished.c_str());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(made.get(), name, sizeof(address)) != 0) refuse(errno_text());
  // Every process that gets as far as the name may connect: who is refused is to be known.
  constexpr mode_t kEverybody = 0666;
  const bool done = ::chmod(unfinished.c_str(), kEverybody) == 0 && ::listen(made.get(), kBacklog) == 0 &&
                    ::lstat(unfinished.c_str(), &found) == 0 &&
                    ::renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0;
  if (!done) {
    const std::string why = errno_text();
    ::unlink(unfinished.c_str());
    refuse(why);
  }
  path_ = path;
  device_ = found.st_dev;
  inode_ = found.st_ino;
  listening_ = std::move(made);
}

void ObserverSocket::let_go() noexcept {
  listening_.reset();
  segment_ = {};
  description_.reset();
}

void ObserverSocket::remove() noexcept {
  struct stat found {};
  if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

ObserverSocket::Answered ObserverSocket::answer() const noexcept {
  Answered answered;
  while (answered.clients < kMostClients) {
    sockaddr_un peer{};
    socklen_t size = sizeof(peer);
    const Descriptor connection{
        ::accept4(fd(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!connection && (errno == EINTR || errno == ECONNABORTED)) {
      ++answered.clients;
      continue;
    }
    if (!connection) {
      // Without a descriptor to be had it would be asked for again at once.
      if (errno != EAGAIN) answered.clients = kMostClients;
      return answered;
    }
    ++answered.clients;
    const std::optional<Client> client = client_at(connection.get());
    if (client && (client->uid == ::geteuid() || client->uid == 0)) {
      const Ask asked = asked_by(peer, size);
      if (asked != Ask::nothing) answered.asked = asked;
      send_attach_message(connection.get(), {segment_[0].get(), segment_[1].get(), segment_[2].get()},
                          description_.get(), asked);
    } else {
      ++answered.refused;
      answered.last_refused = client.value_or(Client{});
    }
  }
  return answered;
}

std::vector<fs::path> observer_socket_directories() {
  std::vector<fs::path> all = possible_directories();
  std::erase_if(all, [](const fs::path& directory) { return !is_ours_alone(directory); });
  return all;
}

std::vector<fs::path> find_observer_sockets(Whose whose) {
  std::vector<fs::path> found;
  const auto look_in = [&found](const fs::path& directory, bool clears) {
    std::error_code error;
    for (fs::directory_iterator at{directory, error}, end; !error && at != end; at.increment(error)) {
      if (!is_observer_socket(at->path())) continue;
      if (!is_left_over(at->path())) {
        found.push_back(at->path());
      } else if (clears) {
        ::unlink(at->path().c_str());
      }
    }
  };
  for (const fs::path& directory : observer_socket_directories())
    look_in(directory, true);
  if (whose == Whose::all_we_may && ::geteuid() == 0) {
    for (const fs::path& directory : directories_of_others())
      look_in(directory, false);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string name_of_observer_socket(const fs::path& path) {
  return path.stem().string();
}

std::string file_name_of(std::string_view pipeline) {
  constexpr std::size_t kMost = 40;  // The path of a socket is short.
  std::string name{pipeline.substr(0, kMost)};
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_plain(c); }, '_');
  return name;
}

Descriptor connect_to_observer_socket(const std::string& path, std::chrono::milliseconds limit,
                                      Ask ask) noexcept {
  sockaddr_un address;
  if (!address_of(path, address)) {
    errno = ENAMETOOLONG;
    return {};
  }
  const int waiting = limit.count() == 0 ? SOCK_NONBLOCK : 0;
  Descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | waiting, 0)};
  if (!made || !name_end(made.get(), ask)) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timeval timeout{seconds.count(), std::chrono::microseconds{limit - seconds}.count()};
  ::setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  ::setsockopt(made.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  if (::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return made;
  const int why = errno;
  made.reset();
  errno = why;
  return {};
}

}  // namespace sluice::detail
