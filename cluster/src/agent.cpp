// SPDX-License-Identifier: Apache-2.0
#include "agent.hpp"

#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>
#include <sluice/units.hpp>

#include "apart.hpp"
#include "state_log.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;
using State = PartitionEntry::State;

// So many heartbeats may be late before a host is taken for dead.
constexpr int kBeatsPerLease = 5;
// From one look whether the bucket is what it was to the next.
constexpr std::uint64_t kBeatsPerLook = 10;
constexpr auto kLook = 20ms;
// While something is parked, for another host that waits.
constexpr auto kShortLook = 2ms;
// Between two tries to reach a server that is away.
constexpr auto kRetry = 200ms;
constexpr unsigned kStartsATurn = 8;

std::uint64_t draw_life() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_{std::move(options)},
      life_{draw_life()},
      members_{options_.lease},
      followers_{options_.copy_arguments, [this](const std::string& text) { say(text); }} {}

Agent::~Agent() {
  kill_all();
}

void Agent::run(const std::function<unsigned()>& leave) {
  // Behind all that its partitions have to do its heartbeats would be late, and more work come to the others.
  if (options_.hurries) hurry();
  last_turn_ = std::chrono::steady_clock::now();
  while (true) {
    const unsigned asked = leave();
    if (asked > 1) {
      say("stops at once; what it had is taken over once its lease has run out");
      return kill_all();
    }
    if (asked == 1 && !told_) {
      told_ = true;
      leaving_ = true;
      next_beat_ = {};
      say("leaves; another signal stops at once");
    }
    const Time now = std::chrono::steady_clock::now();
    try {
      turn(now);
      if (leaving_ && owners_ && all_gone()) {
        owners_->forget_host(options_.host);
        say("has left");
        return;
      }
    } catch (const Unavailable& away) {
      // A new bucket that was lost again before it had all of it knows less.
      if (owners_ && owners_->mark() == known_bucket_) known_stored_ = owners_->view().stored;
      owners_.reset();
      if (away_ != away.what()) say(away_ = away.what());
      // Its partitions hold, since no checkpoint of theirs is stored; who leaves has nobody to tell.
      if (leaving_ && children_.empty()) {
        say("has left; what it had is taken over once its lease has run out, since the server is away");
        return;
      }
      if (leaving_) {
        for (auto& [number, child] : children_)
          child.process.ask_to_park();
      }
      reap(now);
      std::this_thread::sleep_for(kRetry);
    }
  }
}

void Agent::turn(Time now) {
  // Stopped, or starved: what the others did meanwhile is not known yet.
  if (now - last_turn_ > options_.lease / 2) look_again(now);
  last_turn_ = now;
  if (!owners_) {
    connect();
    // Which may have taken long: nobody was looked at meanwhile.
    last_turn_ = now = std::chrono::steady_clock::now();
    look_again(now);
    next_beat_ = now;
  }
  look(now);
  reap(now);
  kill_what_is_lost();
  tell_begun();
  tell_refused();
  for (auto at = unsaid_.begin(); at != unsaid_.end(); at = unsaid_.erase(at))
    write(at->first, at->second);
  beat(now);
  if (members_.may_judge(now) && is_back_) act(now);
  forget_failures(now);
  forget_hosts(now);
}

void Agent::look_again(Time now) {
  members_.looked_away(now);
  is_back_ = false;
  away_until_ = heard_itself_ = now;
}

void Agent::connect() {
  NatsServer server = options_.server;
  // Who waits longer for an answer than the others wait for a heartbeat is lost anyway.
  server.timeout = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(options_.lease), 500ms);
  try {
    owners_ = std::make_unique<Owners>(server, options_.cluster, Owners::Missing::make,
                                       options_.cluster + "@" + options_.host);
    owners_->look(0ms);
    owners_->agree_on({options_.partitions, options_.lease, options_.pipeline});
    tell_stored();
  } catch (const Error& error) {
    owners_.reset();
    // What was right once may pass: a server that is being set up anew, say.
    if (beats_ == 0) throw;
    throw Unavailable{error.what()};
  }
  // That was another life. Of this one it may have come while the server was away.
  if (beats_ == 0 && !leaving_ && owners_->view().asked_to_leave.contains(options_.host))
    owners_->forget_request_to_leave(options_.host);
}

// What a bucket that was purged, or lost with all that the server had, has forgotten: without it a partition whose checkpoints are gone,
// too, would begin anew. Before any host that joins with this one claims something. A key that was removed from the bucket it knew was
// removed by a person, to begin anew.
void Agent::tell_stored() {
  if (owners_->mark() == known_bucket_) return;
  for (const unsigned number : known_stored_) {
    if (!owners_->view().stored.contains(number)) owners_->tell_stored(number);
  }
  known_bucket_ = owners_->mark();
}

void Agent::look(Time now) {
  const bool is_parking = std::any_of(children_.begin(), children_.end(),
                                      [](const auto& each) { return each.second.process.asked(); });
  const OwnersView& view = owners_->look(is_parking ? kShortLook : kLook);
  if (view.unreadable != unreadable_) say(unreadable_ = view.unreadable);
  for (const auto& [host, beat] : members_.known()) {
    if (!view.beats.contains(host)) members_.gone(host);
  }
  for (const auto& [host, beat] : view.beats)
    members_.seen(host, beat, now);
  listen_for_itself(now);
  if (!leaving_ && beats_ > 0 && view.asked_to_leave.contains(options_.host)) {
    leaving_ = true;
    next_beat_ = now;
    owners_->forget_request_to_leave(options_.host);
    say("was asked to leave");
  }
}

// Whoever writes this host's heartbeats beside it.
void Agent::refuse_namesake() const {
  throw Error{{"be the host", options_.host + " of the cluster " + options_.cluster,
               "another process is a host of that name", "give each host a name of its own (--name)"}};
}

// A heartbeat by another life was seen. What a life that is over has sent may still be on its way behind a cut line; who lives
// sends on, though it is written over.
bool Agent::another_sends_on(Time now) noexcept {
  if (now - last_of_another_ > options_.lease) first_of_another_ = now;
  last_of_another_ = now;
  return now - first_of_another_ > options_.lease / 2;
}

void Agent::beat(Time now) {
  const auto own = owners_->view().beats.find(options_.host);
  if (own != owners_->view().beats.end() && own->second.life != life_) {
    const bool is_new = own->second != another_;
    another_ = own->second;
    if (is_new && another_sends_on(now)) refuse_namesake();
    // A former life falls silent. Who has just begun, or was away, waits for that: of two that go on whoever was here all the time stays.
    if (!is_back_ && members_.living(now).contains(options_.host)) return;
  }
  // The entry may be a late one of its own: whoever has the name now writes over that.
  const bool was_silent = beats_ > 0 && now - last_beat_ >= options_.lease;
  if (!is_back_ && was_silent && now - away_until_ < options_.lease / 2) return;
  if (now < next_beat_) return;
  if (was_silent)
    say(fmt::format(
        "was silent for {}, and others may have what was its own: it was stopped, got no processor or did "
        "not reach the server (its lease is {})",
        format_duration(std::chrono::round<std::chrono::milliseconds>(now - last_beat_)),
        format_duration(options_.lease)));
  owners_->beat(options_.host, {life_, ++beats_, leaving_});
  if (!std::exchange(away_, {}).empty()) say("has reached the server again");
  is_back_ = true;
  last_beat_ = now;
  if (beats_ % kBeatsPerLook == 0) look_at_server();
  next_beat_ = now + options_.lease / kBeatsPerLease;
  if (beats_ == 1) say("is here, of a cluster with " + counted(options_.partitions, "partition"));
}

// Whether somebody has stopped it (SIGSTOP) for so long that nobody waits for it any more. One that is at work may be looked at by
// whoever has stopped it: its workers go on.
bool Agent::holds_up(unsigned number, Child& child, Time now) const {
  const PartitionProcess& process = child.process;
  if (!process.stopped() || (process.begun() && !process.asked()) || process.parked()) {
    child.stopped = {};
    return false;
  }
  if (child.stopped == Time{}) child.stopped = now;
  if (now - child.stopped < kLongestSilence) return false;
  say(fmt::format("partition {}: somebody has stopped its process {}, which is ended", number,
                  process.pid()));
  return true;
}

void Agent::reap(Time now) {
  for (auto at = children_.begin(); at != children_.end();) {
    PartitionProcess& process = at->second.process;
    auto end = process.ended();
    if (end || process.asked() || !process.begun()) process.hear();
    if (!end && holds_up(at->first, at->second, now)) {
      process.kill();
      end = PartitionEnd::failed;
    }
    if (!end && !process.parked()) {
      ++at;
      continue;
    }
    refused_ += process.refused() ? 1 : 0;
    settle(at->first, at->second, end.value_or(PartitionEnd::parked), now);
    if (!end) followers_.let_end(std::move(process));
    at = children_.erase(at);
  }
}

// Who waits for a move waits for that: an owner may be one that cannot start it.
void Agent::tell_begun() {
  for (auto& [number, child] : children_) {
    if (child.told_begun || !child.process.begun()) continue;
    owners_->tell_begun(number, child.epoch);
    child.told_begun = true;
  }
}

// What the bucket is told of the end of a process.
void Agent::settle(unsigned number, const Child& child, PartitionEnd end, Time now) {
  PartitionEntry entry{.epoch = child.epoch};
  if (end == PartitionEnd::finished) {
    entry.state = State::finished;
    entry.owner = options_.host;
    say(fmt::format("partition {} is finished", number));
  } else if (child.process.asked()) {
    entry.state = child.give_to.empty() ? State::unowned : State::given;
    entry.owner = child.give_to;
    say(end == PartitionEnd::parked ? fmt::format("partition {} is parked", number)
                                    : fmt::format("partition {} ended without being parked", number));
  } else {
    if (end == PartitionEnd::fenced) learn_epoch(number);
    if (now - child.started > kLongestPause) pauses_.erase(number);
    if (end == PartitionEnd::failed) note_failure(number, child.epoch, words_of(child.process));
    return pause(number, end, now);
  }
  unsaid_[number] = entry;
}

// By another host's claim, or by a person's hand.
void Agent::kill_what_is_lost() {
  for (auto at = children_.begin(); at != children_.end();) {
    const PartitionEntry entry = owners_->view().entry(at->first);
    if (entry.owner == options_.host && entry.epoch == at->second.epoch) {
      ++at;
      continue;
    }
    at->second.process.kill();
    refused_ += at->second.process.refused() ? 1 : 0;
    say(fmt::format("partition {} belongs to {} now, with epoch {}", at->first,
                    entry.owner.empty() ? "nobody" : entry.owner, entry.epoch));
    at = children_.erase(at);
  }
}

void Agent::act(Time now) {
  Hosts hosts = members_.living(now);
  hosts[options_.host] = leaving_;
  const Partitions entries = owners_->view().entries(options_.partitions);
  keep_copies(now, hosts, entries);
  // So many that the next heartbeat is in time; the others have their turn.
  unsigned more = kStartsATurn;
  for (const NextStep& step : next_steps(options_.host, hosts, entries)) {
    if (step.kind != NextStep::Kind::claim) {
      let_go(step.partition, step.to.empty() ? successor_of(step.partition, hosts) : step.to, now);
    } else if (more > 0 && start(step.partition, now)) {
      --more;
    }
  }
  // Ours, and no process of it: it has failed, or was that of a former life.
  for (unsigned number = 0; number < entries.size() && more > 0 && !leaving_; ++number) {
    const PartitionEntry entry = owners_->view().entry(number);
    if (entry.state == State::owned && entry.owner == options_.host && start(number, now)) --more;
  }
}

// Whether it was tried.
bool Agent::start(unsigned number, Time now) {
  if (children_.contains(number) || now < pauses_[number].until) return false;
  PartitionEntry entry = owners_->view().entry(number);
  const bool given = entry.state == State::given;
  const std::string before = entry.owner == options_.host ? std::string{} : entry.owner;
  // What its chain of checkpoints has seen, should the bucket have been set back.
  entry.epoch = std::max(entry.epoch, least_epochs_[number]);
  entry = taken_by(entry, options_.host);
  if (!owners_->change(number, entry)) return true;
  std::optional<PartitionProcess> process = followers_.hand_over(number, entry.epoch);
  try {
    if (!process) process = PartitionProcess::start(options_.arguments(number, entry.epoch));
    children_.emplace(number, Child{std::move(*process), entry.epoch, now});
  } catch (const Error& error) {
    say(error.what());
    // A machine that starts no process more is one on which the partition fails.
    note_failure(number, entry.epoch, printable_message(error.what()));
    pause(number, PartitionEnd::failed, now);
    return true;
  }
  say(fmt::format("partition {} with epoch {}{}", number, entry.epoch,
                  given ? ", as it was given" : (before.empty() ? "" : ", after " + before)));
  return true;
}

void Agent::let_go(unsigned number, const std::string& to, Time now) {
  const auto child = children_.find(number);
  if (child == children_.end()) {
    PartitionEntry entry = owners_->view().entry(number);
    entry.state = to.empty() ? State::unowned : State::given;
    entry.owner = to;
    if (entry.wanted != to) entry.wanted.clear();
    owners_->change(number, entry);
    return;
  }
  if (child->second.process.asked() || waits_for_copy(number, to, now)) return;
  waiting_.erase(number);
  say(to.empty() ? fmt::format("partition {} is being parked", number)
                 : fmt::format("partition {} is being parked for {}", number, to));
  child->second.give_to = to;
  child->second.process.ask_to_park();
}

// Unless the partition has another owner by now.
void Agent::write(unsigned number, PartitionEntry entry) {
  const PartitionEntry now = owners_->view().entry(number);
  if (now.owner != options_.host || now.epoch != entry.epoch) return;
  entry.revision = now.revision;
  if (now.wanted == entry.owner && !entry.owner.empty()) entry.wanted = now.wanted;
  owners_->change(number, entry);
}

bool Agent::all_gone() const {
  const auto& entries = owners_->view().partitions;
  return children_.empty() && unsaid_.empty() &&
         std::none_of(entries.begin(), entries.end(), [this](const auto& each) {
           return each.second.state == State::owned && each.second.owner == options_.host;
         });
}

void Agent::kill_all() noexcept {
  followers_.want({});
  for (auto& [number, child] : children_)
    child.process.kill();
  children_.clear();
}

void Agent::say(const std::string& text) const {
  std::fprintf(stderr, "cluster %s: host %s: %s\n", options_.cluster.c_str(), options_.host.c_str(),
               printable(text).c_str());
}

}  // namespace sluice::detail
