// SPDX-License-Identifier: Apache-2.0
#include "followers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

// Copying is for when nobody else wants the processor.
constexpr int kNice = 10;
constexpr std::chrono::nanoseconds kShortestRest = 1s;
// A disk that is full is not filled again every few seconds.
constexpr std::chrono::nanoseconds kLongestRest = 5min;
constexpr unsigned kCopiesATurn = 4;

}  // namespace

bool tell_agent_that_all_is_there() noexcept {
  const char word = '.';
  ssize_t written = 0;
  do {
    written = ::write(STDOUT_FILENO, &word, 1);
  } while (written < 0 && errno == EINTR);
  return written == 1;
}

void Followers::want(const std::set<unsigned>& numbers) {
  std::vector<unsigned> others;
  for (const auto& [number, follower] : followers_) {
    if (!numbers.contains(number)) others.push_back(number);
  }
  for (const unsigned number : others)
    stop(number);
  for (const unsigned number : numbers)
    followers_.try_emplace(number);
}

void Followers::stop(unsigned number) noexcept {
  const auto found = followers_.find(number);
  if (found == followers_.end()) return;
  if (found->second.process) found->second.process->kill();
  followers_.erase(found);
}

void Followers::look(Time now) {
  unsigned more = kCopiesATurn;
  for (auto& [number, follower] : followers_) {
    if (follower.process) {
      hear(follower);
      if (follower.process->ended()) fail(number, follower, now);
    } else if (more > 0 && now >= follower.not_before) {
      --more;
      start(number, follower, now);
    }
  }
}

std::set<unsigned> Followers::ready() const {
  std::set<unsigned> numbers;
  for (const auto& [number, follower] : followers_) {
    if (follower.ready) numbers.insert(number);
  }
  return numbers;
}

void Followers::start(unsigned number, Follower& follower, Time now) {
  try {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
      throw Error{{"start", "the process that copies a partition", errno_text(), "raise the limit of files"}};
    follower.line = Descriptor{ends[0]};
    const Descriptor other{ends[1]};
    follower.process = PartitionProcess::start(arguments_(number), {.nice = kNice, .output = other.get()});
  } catch (const Error& error) {
    say_(error.what());
    fail(number, follower, now);
  }
}

void Followers::hear(Follower& follower) {
  std::array<char, 64> words;
  if (::read(follower.line.get(), words.data(), words.size()) > 0) follower.ready = true;
}

void Followers::fail(unsigned number, Follower& follower, Time now) {
  follower.process.reset();
  follower.line.reset();
  // It is tried, and that is all: who would wait for it gets no answer else.
  follower.ready = true;
  follower.pause = std::clamp(follower.pause * 2, kShortestRest, kLongestRest);
  follower.not_before = now + follower.pause;
  say_(fmt::format("partition {} has no copy here, and is tried again in {} s", number,
                   std::chrono::duration_cast<std::chrono::seconds>(follower.pause).count()));
}

}  // namespace sluice::detail
