// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
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

// "sluice.units/1/MARK/PID/PIPELINE/0-3,8", and behind the mark ".3" for one that was renewed so often, or ".host". In the table
// of /proc an abstract name begins with "@".
constexpr std::string_view kKind = "sluice.units/1/";
constexpr std::string_view kOfHost = "host";
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

struct FoundClaim {
  std::string_view mark{};
  std::uint64_t times = 0;  // How often it was renewed.
  bool of_host = false;
  CpuSet units{};
  std::string owner{};
};

// "00c0ffee", "00c0ffee.3", "00c0ffee.host"; false for what is none of these.
bool read_marks(std::string_view marks, FoundClaim& claim) {
  const std::size_t dot = marks.find('.');
  claim.mark = marks.substr(0, dot);
  if (dot == std::string_view::npos) return true;
  const std::string_view rest = marks.substr(dot + 1);
  claim.of_host = rest == kOfHost;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), claim.times);
  return claim.of_host || (error == std::errc{} && end == rest.data() + rest.size());
}

}  // namespace

HeldClaim::HeldClaim(const std::string& pipeline, const CpuSet& units) {
  std::random_device random;
  mark_ = fmt::format("{:08x}", random());
  holder_ = fmt::format("/{}/{}/", ::getpid(), plain(pipeline));
  take(mark_, units);
  if (sockets_.empty()) mark_.clear();
}

void HeldClaim::take(const std::string& marks, const CpuSet& units) {
  const std::string head = fmt::format("{}{}{}", kKind, marks, holder_);
  std::vector<detail::Descriptor> sockets;
  for (const std::string& list : lists_of(units, kMostName - head.size())) {
    detail::Descriptor socket = socket_named(head + list);
    if (socket) sockets.push_back(std::move(socket));
  }
  if (!sockets.empty()) sockets_ = std::move(sockets);
}

void HeldClaim::renew(const CpuSet& units, std::uint64_t times) {
  if (!mark_.empty()) take(fmt::format("{}.{}", mark_, times), units);
}

HeldClaim HeldClaim::for_host(const CpuSet& units) const {
  HeldClaim claim;
  if (mark_.empty()) return claim;
  claim.mark_ = mark_;
  claim.holder_ = holder_;
  claim.take(fmt::format("{}.{}", mark_, kOfHost), units);
  return claim;
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
  std::vector<FoundClaim> found;
  while (!table.empty()) {
    const std::size_t end = std::min(table.find('\n'), table.size());
    const auto [marks, pid, pipeline, list] = fields_of(table.substr(0, end));
    table.remove_prefix(std::min(table.size(), end + 1));
    FoundClaim claim;
    claim.units = units_in(list);
    if (claim.units.empty() || !read_marks(marks, claim) || claim.mark == own_mark) continue;
    claim.owner = fmt::format("{}pipeline {} (pid {})", claim.of_host ? "the host of " : "", plain(pipeline),
                              plain(pid));
    const auto known = std::find_if(found.begin(), found.end(), [&](const FoundClaim& each) {
      return each.mark == claim.mark && each.of_host == claim.of_host;
    });
    if (known == found.end()) {
      found.push_back(std::move(claim));
    } else if (known->times == claim.times) {
      known->units |= claim.units;
    } else if (known->times < claim.times) {
      *known = std::move(claim);
    }
  }
  std::vector<Claim> claims;
  claims.reserve(found.size());
  for (FoundClaim& claim : found)
    claims.push_back({std::move(claim.units), std::move(claim.owner)});
  return claims;
}

std::vector<Claim> claims_of_others(std::string_view own_mark) {
  std::ifstream file{"/proc/net/unix"};
  std::ostringstream table;
  table << file.rdbuf();
  return claims_in(table.str(), own_mark);
}

}  // namespace sluice::pinning
