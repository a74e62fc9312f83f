// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/claims.hpp>

namespace sluice::pinning {
namespace {

// "sluice.units/1/MARK/PID/PIPELINE/0-3,8". In the table of /proc an abstract name begins with "@".
constexpr std::string_view kKind = "sluice.units/1/";
constexpr const char* kLockName = "sluice.units.lock";
constexpr std::size_t kMostName = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t kMostPipeline = 24;
constexpr std::size_t kFields = 4;

// Bound to that abstract name, or holds nothing, with errno.
detail::Descriptor socket_named(std::string_view name) {
  detail::Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), &address.sun_path[1]);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0) return {};
  return socket;
}

// Names are any user's, and this one goes to a terminal.
std::string plain(std::string_view pipeline) {
  std::string text{pipeline.substr(0, kMostPipeline)};
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  std::replace_if(
      text.begin(), text.end(), [&](char c) { return !is_plain(c); }, '_');
  return text;
}

// The units in lists of at most `most_bytes` each: one name holds no more.
std::vector<std::string> lists_of(const CpuSet& units, std::size_t most_bytes) {
  std::vector<std::string> lists;
  CpuSet part;
  for (const unsigned unit : units.to_vector()) {
    CpuSet longer = part;
    longer.insert(unit);
    if (longer.to_string().size() > most_bytes) {
      lists.push_back(part.to_string());
      longer = CpuSet{unit};
    }
    part = std::move(longer);
  }
  if (!part.empty()) lists.push_back(part.to_string());
  return lists;
}

// The fields of a claim's name; the last one is empty if it is none.
std::array<std::string_view, kFields> fields_of(std::string_view line) {
  std::array<std::string_view, kFields> fields{};
  const std::size_t name = line.find('@');
  if (name == std::string_view::npos || !line.substr(name + 1).starts_with(kKind)) return fields;
  std::string_view rest = line.substr(name + 1 + kKind.size());
  for (std::size_t i = 0; i < kFields; ++i) {
    const std::size_t end = i + 1 < kFields ? rest.find('/') : rest.size();
    if (end == std::string_view::npos) return {};
    fields[i] = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  return fields;
}

// Names are any user's: a list that is none is passed over.
CpuSet units_in(std::string_view list) {
  try {
    return CpuSet::parse(list);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

HeldClaim::HeldClaim(const std::string& pipeline, const CpuSet& units) {
  std::random_device random;
  mark_ = fmt::format("{:08x}", random());
  const std::string head = fmt::format("{}{}/{}/{}/", kKind, mark_, ::getpid(), plain(pipeline));
  for (const std::string& list : lists_of(units, kMostName - head.size())) {
    detail::Descriptor socket = socket_named(head + list);
    if (socket) sockets_.push_back(std::move(socket));
  }
  if (sockets_.empty()) mark_.clear();
}

std::vector<int> HeldClaim::descriptors() const {
  std::vector<int> all;
  all.reserve(sockets_.size());
  for (const detail::Descriptor& socket : sockets_)
    all.push_back(socket.get());
  return all;
}

ClaimLock::ClaimLock(std::chrono::milliseconds patience) {
  const timespec pause{0, 1'000'000};
  const auto until = detail::monotonic_now() + patience;
  while (true) {
    socket_ = socket_named(kLockName);
    if (socket_ || errno != EADDRINUSE || detail::monotonic_now() >= until) return;
    ::nanosleep(&pause, nullptr);
  }
}

std::vector<Claim> claims_in(std::string_view table, std::string_view own_mark) {
  std::vector<Claim> claims;
  std::vector<std::string_view> marks;
  while (!table.empty()) {
    const std::size_t end = std::min(table.find('\n'), table.size());
    const auto [mark, pid, pipeline, list] = fields_of(table.substr(0, end));
    table.remove_prefix(std::min(table.size(), end + 1));
    const CpuSet units = units_in(list);
    if (units.empty() || mark == own_mark) continue;
    const auto known = std::find(marks.begin(), marks.end(), mark);
    if (known == marks.end()) {
      marks.push_back(mark);
      claims.push_back({units, fmt::format("pipeline {} (pid {})", plain(pipeline), plain(pid))});
    } else {
      claims[static_cast<std::size_t>(known - marks.begin())].units |= units;
    }
  }
  return claims;
}

std::vector<Claim> claims_of_others(std::string_view own_mark) {
  std::ifstream file{"/proc/net/unix"};
  std::ostringstream table;
  table << file.rdbuf();
  return claims_in(table.str(), own_mark);
}

}  // namespace sluice::pinning
