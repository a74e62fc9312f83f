// SPDX-License-Identifier: Apache-2.0
#include "master/page_mover.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/pinning/bind.hpp>

namespace sluice::detail {
namespace {

// A page that is in use stays behind, and goes with another attempt; one that the node has no room for never does.
constexpr int kAttempts = 25;
constexpr useconds_t kBetweenAttemptsUs = 20'000;
constexpr std::chrono::milliseconds kLeastPause{250};
constexpr std::chrono::minutes kMostPause{5};

void map_all(std::span<const std::byte> memory) noexcept {
  for (std::size_t at = 0; at < memory.size(); at += kPageBytes)
    static_cast<void>(*static_cast<const volatile std::byte*>(&memory[at]));
}

int move(const PagePiece& piece) noexcept {
  map_all(piece.memory);
  int error = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    error = pinning::move_memory(piece.memory, piece.node);
    if (error != EIO) break;
    ::usleep(kBetweenAttemptsUs);
  }
  return error;
}

[[noreturn]] void move_all(std::span<const PagePiece> pieces, pid_t master) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != master) ::_exit(EOWNERDEAD);
  set_process_name("sluice-memory");
  take_ease(Sharing::alone);
  int refused = 0;
  for (const PagePiece& piece : pieces) {
    if (!piece.elsewhere) continue;
    const int error = move(piece);
    if (error != 0) refused = error;
    if (error != 0 && error != EIO) break;
  }
  ::_exit(refused);
}

// Lets those that are elsewhere be for a while, longer each time.
void put_off(std::span<PagePiece> pieces) noexcept {
  const std::chrono::nanoseconds now = monotonic_now();
  for (PagePiece& piece : pieces) {
    if (!piece.elsewhere) continue;
    piece.elsewhere = false;
    piece.pause = std::clamp<std::chrono::nanoseconds>(2 * piece.pause, kLeastPause, kMostPause);
    piece.not_before = now + piece.pause;
  }
}

}  // namespace

bool may_go_later(int error) noexcept {
  return error == EIO || error == EINTR || error == EAGAIN || error == ENOMEM;
}

int PageMover::begin(std::span<PagePiece> pieces) noexcept {
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) move_all(pieces, master);
  const int error = pid < 0 ? errno : 0;
  if (pid > 0) pid_ = pid;
  put_off(pieces);
  return error;
}

std::optional<int> PageMover::result() noexcept {
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0) return std::nullopt;
  pid_ = 0;
  if (ended < 0) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;  // It was killed: what it has moved is there.
}

}  // namespace sluice::detail
