// SPDX-License-Identifier: Apache-2.0
#include "presence.hpp"

#include <cerrno>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/error.hpp>

#include "observer/observer_socket.hpp"

namespace sluice::command {
namespace {

// Empty if it has come to an end meanwhile, which is written where it is looked at.
std::string socket_of(const std::string& pipeline) {
  try {
    return detail::find_observer_socket(pipeline);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Presence::Presence(const std::string& pipeline)
    : socket_{socket_of(pipeline)}, asked_{std::chrono::steady_clock::now()} {}

bool Presence::gone() noexcept {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  if (gone_ || socket_.empty() || now - asked_ < 1s) return gone_;
  asked_ = now;
  // The kernel lets in whoever comes while the socket is open in one of them; EAGAIN: it holds as many as it can.
  gone_ = !detail::connect_to_observer_socket(socket_, 0ms) && (errno == ECONNREFUSED || errno == ENOENT);
  return gone_;
}

// That pid may be another's by now, or one of another namespace: by its name it is a master.
std::optional<bool> is_master_stopped(const Stats& stats) {
  std::ifstream file{fmt::format("/proc/{}/stat", stats.master)};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  // Source: proc(5): "4711 (sluice-master) T ...".
  const std::string head = fmt::format("{} ({}) ", stats.master, detail::kMasterName);
  if (!text.starts_with(head) || text.size() == head.size()) return std::nullopt;
  const char state = text[head.size()];
  return state == 'T' || state == 't';
}

std::string stopped_master_text(const Stats& stats) {
  if (!is_master_stopped(stats).value_or(false)) return {};
  return fmt::format("the master is stopped (kill -CONT {}): nothing that dies is replaced", stats.master);
}

}  // namespace sluice::command
