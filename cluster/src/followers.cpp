// SPDX-License-Identifier: Apache-2.0
#include "followers.hpp"

#include <algorithm>

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

void Followers::want(const std::set<unsigned>& numbers, const std::set<unsigned>& ahead) {
  std::vector<unsigned> others;
  std::set<unsigned> copied;
  for (const auto& [number, follower] : followers_) {
    if (numbers.contains(number) && follower.ahead == ahead.contains(number)) continue;
    others.push_back(number);
    if (follower.ready) copied.insert(number);
  }
  for (const unsigned number : others)
    stop(number);
  for (const unsigned number : numbers) {
    const auto [at, is_new] = followers_.try_emplace(number);
    if (!is_new) continue;
    at->second.ahead = ahead.contains(number);
    at->second.ready = copied.contains(number);  // It goes on with the same files.
  }
}

void Followers::stop(unsigned number) noexcept {
  const auto found = followers_.find(number);
  if (found == followers_.end()) return;
  if (found->second.process) found->second.process->kill();
  followers_.erase(found);
}

std::optional<PartitionProcess> Followers::hand_over(unsigned number, std::uint64_t epoch) noexcept {
  const auto found = followers_.find(number);
  std::optional<PartitionProcess> process;
  if (found != followers_.end() && found->second.ahead && found->second.process &&
      found->second.process->ready() && found->second.process->start_from(epoch)) {
    process = std::move(found->second.process);
    followers_.erase(found);
  }
  stop(number);
  return process;
}

void Followers::look(Time now) {
  unsigned more = kCopiesATurn;
  for (auto& [number, follower] : followers_) {
    if (follower.process) {
      follower.process->hear();
      follower.ready |= follower.process->ready();
      if (follower.process->ended()) fail(number, follower, now);
    } else if (more > 0 && now >= follower.not_before) {
      --more;
      start(number, follower, now);
    }
  }
}

std::map<unsigned, bool> Followers::ready() const {
  std::map<unsigned, bool> numbers;
  for (const auto& [number, follower] : followers_) {
    const bool restored = follower.ahead && follower.process && follower.process->ready();
    if (follower.ready) numbers[number] = restored || follower.failed;
  }
  return numbers;
}

void Followers::start(unsigned number, Follower& follower, Time now) {
  try {
    follower.process =
        PartitionProcess::start(arguments_(number, follower.ahead), {.nice = follower.ahead ? 0 : kNice});
  } catch (const Error& error) {
    say_(error.what());
    fail(number, follower, now);
  }
}

void Followers::fail(unsigned number, Follower& follower, Time now) {
  follower.process.reset();
  // It is tried, and that is all: who would wait for it gets no answer else.
  follower.ready = true;
  follower.failed = true;
  follower.pause = std::clamp(follower.pause * 2, kShortestRest, kLongestRest);
  follower.not_before = now + follower.pause;
  say_(fmt::format("partition {} has no copy here, and is tried again in {} s", number,
                   std::chrono::duration_cast<std::chrono::seconds>(follower.pause).count()));
}

}  // namespace sluice::detail
