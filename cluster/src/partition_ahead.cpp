// SPDX-License-Identifier: Apache-2.0
// The process of a partition that runs elsewhere yet, and is about to come here: what it would restore then it restores before, so
// that a move stands still for the last checkpoint only. The checkpoints are fetched by a child, since libnats has threads, and a
// process that has any starts no pipeline.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "apart.hpp"
#include "partition_run.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

// Checkpoints come ten a second; what the last of them still lack is little.
constexpr std::chrono::nanoseconds kBetweenRestores = 500ms;
constexpr std::chrono::nanoseconds kLongestPause = 30s;
constexpr std::chrono::milliseconds kUntilTheNext{100};
// The next try after a failure, and twice as long after each further one: a new base may only have taken the place of what was read.
constexpr std::chrono::nanoseconds kAfterFailure = 100ms;
// In a row; nobody waits for it any longer then.
constexpr unsigned kMostFailures = 3;

// Follows the chain, and says by a byte that there is something new.
class Fetching {
 public:
  // What nobody waits for is copied when nobody else wants the processor.
  Fetching(const PartitionOptions& options, int nice) {
    // A word each, so that either end is one that may be waited for.
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      throw Error{{"start", "the process that copies a partition", errno_text(), "raise the limit of files"}};
    news_ = Descriptor{ends[0]};
    const Descriptor other{ends[1]};
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw Error{{"start", "a process", errno_text(), "raise the limit of processes"}};
    if (pid_ == 0) {
      news_.reset();
      fetch(options, other.get(), parent, nice);
    }
  }
  ~Fetching() { static_cast<void>(end()); }
  Fetching(const Fetching&) = delete;
  Fetching& operator=(const Fetching&) = delete;

  int news() const noexcept { return news_.get(); }
  enum class News { none, some, over };
  News read() const noexcept {
    char word = 0;
    ssize_t got = 0;
    bool some = false;
    while ((got = ::recv(news_.get(), &word, sizeof(word), MSG_DONTWAIT)) > 0)
      some = true;
    return got == 0 ? News::over : (some ? News::some : News::none);
  }
  // What is there is all that it had. Nothing, if it cannot be asked any more, or somebody has stopped it: its end is how that
  // ended otherwise.
  std::optional<PartitionEnd> claim(std::uint64_t epoch, std::chrono::milliseconds silence) noexcept {
    if (::send(news_.get(), &epoch, sizeof(epoch), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(epoch))
      return std::nullopt;
    const auto end = await_end(std::exchange(pid_, 0), news_.get(), silence);
    if (!end) std::fprintf(stderr, "the process that followed the checkpoints was stopped, and is ended\n");
    return end;
  }
  // Whatever it is about is whole, or removed by the next one.
  PartitionEnd end() noexcept {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ <= 0) return PartitionEnd::failed;
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? static_cast<PartitionEnd>(WEXITSTATUS(status)) : PartitionEnd::failed;
  }

 private:
  [[noreturn]] static void fetch(const PartitionOptions& options, int news, pid_t parent, int nice) noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nice != 0) ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + nice);
    const PartitionEnd end = ::getppid() != parent
                                 ? PartitionEnd::failed
                                 : end_of([&options, news] { return follow(options, news); });
    std::fflush(stderr);
    ::_exit(static_cast<int>(end));
  }

  static PartitionEnd follow(const PartitionOptions& options, int news) {
    // Of the whole process, as the thread is.
    static ClaimOrder order;
    std::thread{[news] {
      std::uint64_t epoch = 0;
      while (::recv(news, &epoch, sizeof(epoch), 0) < 0 && errno == EINTR) {
      }
      if (epoch == 0) return;
      order.give(epoch);
      show_life(news);
    }}.detach();
    std::optional<FetchedState> said;
    return follow_partition(
        options,
        [news, &said](const FetchedState& state) {
          if (said && said->newest == state.newest && *said == state) return true;
          said = state;
          const char word = '.';
          return ::send(news, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 || errno == EAGAIN;
        },
        order);
  }

  Descriptor news_;
  pid_t pid_ = 0;
};

}  // namespace

Ahead stand_by(const PartitionOptions& options, const std::function<bool()>& restore) {
  std::optional<Fetching> fetching;
  bool nice = !options.awaited;
  fetching.emplace(options, nice ? kCopyNice : 0);
  unsigned failures = 0;
  bool fresh = false;
  bool told = false;
  auto pause = kAfterFailure;
  auto next = monotonic_now();
  while (true) {
    if (const auto epoch =
            hear_agent(fetching->news(), fresh ? kUntilTheNext : std::chrono::milliseconds{1min});
        epoch) {
      if (*epoch == 0) return {{}, PartitionEnd::parked};
      // One that is nice is too slow for whoever waits. Where one has claimed it and was stopped then, the next claim is refused, and the
      // agent takes a higher epoch.
      if (!nice) {
        const auto end = fetching->claim(*epoch, options.silence);
        if (end && *end != PartitionEnd::away) return {epoch, *end, true};
      }
      fetching->end();
      return {epoch};
    }
    switch (fetching->read()) {
      case Fetching::News::over:
        return {{}, fetching->end()};
      case Fetching::News::some:
        fresh = true;
        break;
      case Fetching::News::none:
        break;
    }
    if (!fresh || monotonic_now() < next) continue;
    if (std::exchange(nice, false)) {
      // From here on little comes, and whoever takes over waits for it. The next one says so once it has looked through what is there.
      fetching.emplace(options, 0);
      fresh = false;
      continue;
    }
    const bool restored = restore();
    fresh = !restored;
    failures = restored ? 0 : failures + 1;
    pause = failures <= 1 ? kAfterFailure : std::min(2 * pause, kLongestPause);
    next = monotonic_now() + (restored ? kBetweenRestores : pause);
    const bool ready = restored || failures == kMostFailures;
    if (!told && ready && !(told = tell_agent_ready())) return {{}, PartitionEnd::parked};
  }
}

}  // namespace sluice::detail
