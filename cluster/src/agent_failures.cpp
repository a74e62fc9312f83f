// SPDX-License-Identifier: Apache-2.0
// What the agent does about partitions whose processes fail, and about hosts that do not come back.
#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include <sluice/unavailable.hpp>

#include "agent.hpp"
#include "state_log.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;
using State = PartitionEntry::State;

constexpr std::chrono::nanoseconds kShortestPause = 500ms;
// A host that is silent for so long, and for a hundred leases, is forgotten.
constexpr std::chrono::nanoseconds kForgotten = 10min;
constexpr int kForgottenLeases = 100;

}  // namespace

void Agent::pause(unsigned number, PartitionEnd end, Time now) {
  Pause& pause = pauses_[number];
  // A server that is back is not kept waiting.
  pause.length = end == PartitionEnd::away ? kShortestPause
                                           : std::clamp(pause.length * 2, kShortestPause, kLongestPause);
  pause.until = now + pause.length;
  const auto why = [end] {
    switch (end) {
      case PartitionEnd::parked:
        return "was parked by somebody else";
      case PartitionEnd::fenced:
        return "was refused by the chain of its checkpoints, which has seen a later claim";
      case PartitionEnd::away:
        return "could not begin without the server";
      default:
        return "ended with a failure";
    }
  };
  say(fmt::format("partition {} {}; if it is still this host's it is started again in {} ms", number, why(),
                  std::chrono::duration_cast<std::chrono::milliseconds>(pause.length).count()));
}

std::string Agent::words_of(const PartitionProcess& failed) {
  if (failed.stopped()) return "somebody had stopped its process, and it was ended";
  return failed.error().empty() ? "it ended without a word" : failed.error();
}

// After some in a row another host has it, since what is wrong may be this machine's: once each, and then it stays.
void Agent::note_failure(unsigned number, std::uint64_t epoch, const std::string& text) {
  if (!owners_) return;
  const auto found = owners_->view().failing.find(number);
  FailingEntry failing;
  if (found != owners_->view().failing.end()) failing = found->second;
  if (failing.since_ns == 0)
    failing.since_ns = std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count();
  ++failing.failures;
  failing.text = text;
  const PartitionEntry entry = owners_->view().entry(number);
  const bool ours = entry.owner == options_.host && entry.epoch == epoch && !leaving_;
  std::string to;
  const unsigned enough = enough_failures(options_.host, failing);
  if (++failures_[number] >= enough && ours) {
    Hosts hosts = members_.living(std::chrono::steady_clock::now());
    to = next_to_try(options_.host, hosts, owners_->view().entries(options_.partitions), failing);
  }
  if (!to.empty()) {
    if (enough == kFailuresOfAHost) failing.given_up.push_back(options_.host);
    // It stays there, and is not given back for shares to be even.
    unsaid_[number] = {.state = State::given, .owner = to, .epoch = epoch, .wanted = to};
    say(fmt::format("partition {} has failed {} time{} here, and is given to {}", number, failures_[number],
                    failures_[number] == 1 ? "" : "s", to));
    failures_.erase(number);
  }
  try {
    owners_->tell_failing(number, failing);
  } catch (const Unavailable&) {
    // The next one says it.
  }
}

// Of those that have been at work for as long as the longest pause.
void Agent::forget_failures(Time now) {
  std::vector<unsigned> over;
  for (const auto& [number, failing] : owners_->view().failing) {
    const auto child = children_.find(number);
    const bool works = child != children_.end() && now - child->second.started > kLongestPause;
    const PartitionEntry entry = owners_->view().entry(number);
    const bool finished = entry.state == State::finished && entry.owner == options_.host;
    if (works || finished) over.push_back(number);
  }
  for (const unsigned number : over) {
    owners_->forget_failing(number);
    failures_.erase(number);
  }
}

// Nothing of them was seen by anybody; that there were some tells that a host was taken for dead, and was not.
void Agent::tell_refused() {
  if (refused_ == 0) return;
  const auto before = owners_->view().refused.find(options_.host);
  owners_->tell_refused(options_.host,
                        (before == owners_->view().refused.end() ? 0 : before->second) + refused_);
  refused_ = 0;
}

// Whoever edits a stream has no reason to look at `sluice cluster status` then. Partitions see to what they store by themselves (StateLog).
void Agent::look_at_server() {
  owners_->require_as_agreed();
  const std::string harm = owners_->harm();
  if (harm == harm_) return;
  harm_ = harm;
  say(harm.empty()
          ? "the bucket and the stream of checkpoints are again as they should be"
          : harm + ": mend it by `nats stream edit`; no host could join, and what it forgets is gone");
}

// By the first of those that live.
void Agent::forget_hosts(Time now) {
  const Hosts living = members_.living(now);
  if (living.empty() || living.begin()->first != options_.host) return;
  for (const std::string& host :
       members_.long_gone(now, std::max(kForgotten, kForgottenLeases * options_.lease))) {
    owners_->forget_host(host);
    if (owners_->view().asked_to_leave.contains(host)) owners_->forget_request_to_leave(host);
    members_.gone(host);
    say(fmt::format("host {} has been silent for long, and is forgotten", host));
  }
}

// Its own heartbeats come back by the way on which it hears the others'. When they do not (somebody has deleted the consumer, say, or the
// server has lost it), the others are not silent because they are dead.
void Agent::listen_for_itself(Time now) {
  const auto& beats = owners_->view().beats;
  const auto own = beats.find(options_.host);
  const bool is_other = own != beats.end() && own->second.life != life_;
  const std::uint64_t heard = own == beats.end() || is_other ? 0 : own->second.count;
  if (std::exchange(heard_beat_, heard) != heard || is_other || heard == beats_) heard_itself_ = now;
  if (now - heard_itself_ > options_.lease)
    owners_->client().away(
        "this host's own heartbeats do not come back from the bucket, so it does not hear the others");
  if (now - heard_itself_ > options_.lease / 2) members_.looked_away(now);
}

// Another host has claimed it and the bucket will say so, or the bucket was set back.
void Agent::learn_epoch(unsigned number) {
  if (!owners_) return;
  try {
    const auto status = state_log_status(owners_->client(), options_.cluster, number);
    if (status) least_epochs_[number] = std::max(least_epochs_[number], status->epoch);
  } catch (const std::exception& error) {
    say(error.what());
  }
}

}  // namespace sluice::detail
