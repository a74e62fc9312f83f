// SPDX-License-Identifier: Apache-2.0
#include "followers.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kShortestRest = 1s;
// A disk that is full is not filled again every few seconds.
constexpr std::chrono::nanoseconds kLongestRest = 5min;
constexpr unsigned kCopiesATurn = 4;

}  // namespace

Followers::~Followers() {
  want({});
  for (PartitionProcess& process : dying_)
    process.kill();
}

void Followers::want(const std::map<unsigned, CopyPlace>& copies) {
  const auto in_memory = [](CopyPlace place) { return place != CopyPlace::disk; };
  std::vector<unsigned> others;
  std::set<unsigned> copied;
  for (auto& [number, follower] : followers_) {
    const auto wanted = copies.find(number);
    if (wanted != copies.end() && in_memory(follower.place) == in_memory(wanted->second)) continue;
    others.push_back(number);
    if (follower.ready) copied.insert(number);
  }
  for (const unsigned number : others)
    stop(number);
  for (const auto& [number, place] : copies) {
    const auto [at, is_new] = followers_.try_emplace(number);
    if (!is_new) continue;
    at->second.place = place;
    at->second.ready = copied.contains(number);  // It goes on with the same files.
  }
}

void Followers::stop(unsigned number) noexcept {
  const auto found = followers_.find(number);
  if (found == followers_.end()) return;
  if (found->second.process) {
    found->second.process->begin_to_kill();
    dying_.push_back(std::move(*found->second.process));
  }
  followers_.erase(found);
}

std::optional<PartitionProcess> Followers::hand_over(unsigned number, std::uint64_t epoch) noexcept {
  const auto found = followers_.find(number);
  std::optional<PartitionProcess> process;
  if (found != followers_.end() && found->second.place != CopyPlace::disk && found->second.process &&
      found->second.process->ready() && found->second.process->start_from(epoch)) {
    process = std::move(found->second.process);
    followers_.erase(found);
  }
  stop(number);
  return process;
}

void Followers::look(Time now) {
  std::erase_if(dying_, [](PartitionProcess& process) { return process.ended().has_value(); });
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
    const bool restored = follower.place != CopyPlace::disk && follower.process && follower.process->ready();
    if (follower.ready) numbers[number] = restored || follower.failed;
  }
  return numbers;
}

void Followers::start(unsigned number, Follower& follower, Time now) {
  try {
    // One in memory becomes the partition's, and nothing makes it less nice then: its child that copies is nice.
    follower.process = PartitionProcess::start(arguments_(number, follower.place),
                                               {.nice = follower.place == CopyPlace::disk ? kCopyNice : 0});
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
