// SPDX-License-Identifier: Apache-2.0
#include "master/checkpoints.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/try_sockets.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "death/kill_child.hpp"
#include "layout/relaxed.hpp"

// relaxed throughout: words for people, and one round that the workers read once they are let go on.
namespace sluice::detail {
namespace {

using Kind = CheckpointMessage::Kind;

// One that was killed or could not be had is not replaced in a tight loop.
constexpr std::chrono::seconds kNextTry{1};
// How long the workers are waited for the first time. What takes longer, twice as long each time.
constexpr std::chrono::milliseconds kPatience{50};
constexpr std::chrono::milliseconds kWorthALine{400};
// In a standstill nobody does anything but the checkpointer: it has a whole second to copy what is at most some
// megabytes, unless the machine is out of its mind.
constexpr std::chrono::seconds kCopying{1};
// The first copy of a large state, and a file on a slow disk.
constexpr std::chrono::minutes kHangs{10};
// One that somebody has stopped (SIGSTOP) says nothing meanwhile, and what waits for a checkpoint stands still.
constexpr std::chrono::seconds kStopped{2};
constexpr std::chrono::milliseconds kBetweenLooksAtWork{500};
// Between two looks whether a pipeline that rests goes on.
constexpr std::chrono::milliseconds kShortestRest{1};
constexpr std::chrono::milliseconds kLongestRest{100};

// Of a pipeline that is being parked, or has come to its end.
constexpr unsigned kTriesOfTheLast = 3;

}  // namespace

void Checkpoints::begin() noexcept {
  if (!wanted()) return;
  patience_ = kPatience;
  due_ = monotonic_now() + wiring_.settings().checkpoints.every;
  MasterRegister& own = wiring_.master();
  if (own.checkpoint_round.load(kRelaxed) == 0) own.checkpoint_round.store(1, kRelaxed);
  next_look_ = monotonic_now();
}

bool Checkpoints::parking() const noexcept {
  return wiring_.master().parking.load(kRelaxed) != Parking::no;
}

void Checkpoints::release() noexcept {
  if (!parking()) standstill_.release();
}

void Checkpoints::start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return give_up("no socket for the checkpointer: " + errno_text());
  Descriptor own{ends[0]};
  Descriptor other{ends[1]};
  if (const std::string_view call = refused_call_of_sockets(own.get(), other.get()); !call.empty()) {
    const int reason = errno;
    return give_up(fmt::format("no word to the checkpointer: {} ({})", errno_text(reason),
                               remedy_for_call(reason, call)));
  }
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    own.reset();
    run_checkpointer(wiring_, other.get(), master, locked_.get());
  }
  if (pid < 0) return give_up("no process for the checkpointer: " + errno_text());
  pid_ = pid;
  line_ = std::move(own);
  phase_ = Phase::at_work;
  await_it(monotonic_now());
  if (!epoll_.add(line_.get(), kCheckpointEvent)) give_up("no room to listen: " + errno_text());
}

void Checkpoints::end() noexcept {
  if (line_) epoll_.remove(line_.get());
  line_.reset();
  if (pid_ != 0) {
    kill_child(pid_);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }
  if (phase_ == Phase::standing) release();
  phase_ = Phase::absent;
}

void Checkpoints::give_up(const std::string& why) {
  end();
  next_look_ = monotonic_now() + kNextTry;
  on_failed(why);
}

// One that has said why it fails, and then goes, is no second failure, and what it said stands.
void Checkpoints::lose_it(const std::string& why) {
  if (!std::exchange(said_why_, false)) return give_up(why);
  end();
  next_look_ = monotonic_now() + kNextTry;
}

void Checkpoints::on_failed(const std::string& why) {
  MasterRegister& own = wiring_.master();
  own.checkpoint_failures.store(own.checkpoint_failures.load(kRelaxed) + 1, kRelaxed);
  const std::int64_t now = monotonic_now().count();
  if (own.no_checkpoint_since_ns.load(kRelaxed) == 0) own.no_checkpoint_since_ns.store(now, kRelaxed);
  const std::chrono::nanoseconds failing{now - own.no_checkpoint_since_ns.load(kRelaxed)};
  std::snprintf(own.no_checkpoint_why, sizeof(own.no_checkpoint_why), "%s", why.c_str());
  news_.checkpoint_failed(why, failing, something_waits());
  if (ends() >= wiring_.workers().size()) {
    ++failures_of_the_end_;
    failure_of_the_end_ = why;
  }
  if (!parking() || ++failures_in_a_row_ < kTriesOfTheLast) return;
  failure_ = why;
}

// What may have waited for the last events of something: workers that have come to their end, a drain.
std::size_t Checkpoints::ends() const noexcept {
  const auto workers = wiring_.workers();
  return static_cast<std::size_t>(std::count_if(
             workers.begin(), workers.end(),
             [this](WorkerIndex worker) { return wiring_.entry(worker).done.load(kRelaxed) != 0; })) +
         (drain_asked(wiring_.requests(), wiring_.master()) ? 1 : 0);
}

// For what it has to say behind its last event, or what a retry has to mark. A commit that is still to come is in no checkpoint,
// whatever the worker says.
bool Checkpoints::a_worker_waits() const noexcept {
  const auto workers = wiring_.workers();
  return std::any_of(workers.begin(), workers.end(), [this](WorkerIndex index) {
    const WorkerMemory worker = wiring_.worker(index);
    return std::min(worker.control().awaited_commits.load(kRelaxed),
                    worker.commit().committed.load(kRelaxed)) > wiring_.checkpointed(index).load(kRelaxed);
  });
}

// For a checkpoint, by outside.after=checkpoint: events in a lane, or what a worker has to say.
bool Checkpoints::something_waits() const noexcept {
  const auto lanes = wiring_.lanes();
  return a_worker_waits() || std::any_of(lanes.begin(), lanes.end(), [this](LaneIndex lane) {
           const std::atomic<std::uint64_t>* const gate = wiring_.gate_of(lane);
           return gate != nullptr && gate->load(kRelaxed) < wiring_.lane(lane).producer->tail.load(kRelaxed);
         });
}

void Checkpoints::look_if_due() {
  const auto now = monotonic_now();
  // A pipeline that comes to its end is not kept waiting for what is due some time.
  if (wanted() && phase_ == Phase::idle && (ends() != ends_ || a_worker_waits()))
    next_look_ = std::min(next_look_, not_before_);
  if (!wanted() || now < next_look_) return;
  switch (phase_) {
    case Phase::absent:
      return start();
    case Phase::idle:
      if (is_awaited() && something_waits()) {
        due_ = std::min(due_, now);
      } else if (is_idle() || is_awaited()) {
        next_look_ = now + std::clamp<std::chrono::nanoseconds>(wiring_.settings().checkpoints.every / 8,
                                                                kShortestRest, kLongestRest);
        return;
      }
      phase_ = Phase::at_work;
      await_it(now);
      if (!send_message(line_.get(), {.kind = Kind::begin})) lose_it("the checkpointer is gone");
      return;
    case Phase::at_work:
      return look_at_its_work(now);
    case Phase::standing:
      // Who is being parked stands for good: the longest event is waited for, or its watchdog.
      if (!parking()) return put_off();
      next_look_ = now + kHangs;
      return;
  }
}

void Checkpoints::await_it(std::chrono::nanoseconds now) noexcept {
  hangs_at_ = now + kHangs;
  stopped_since_.reset();
  next_look_ = now + kBetweenLooksAtWork;
}

void Checkpoints::look_at_its_work(std::chrono::nanoseconds now) {
  if (now >= hangs_at_) return give_up("the checkpointer hangs");
  next_look_ = now + kBetweenLooksAtWork;
  siginfo_t info{};
  const bool stopped = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
                       info.si_pid == pid_;
  if (!stopped) return stopped_since_.reset();
  if (!stopped_since_) stopped_since_ = now;
  if (now - *stopped_since_ < kStopped) return;
  give_up(fmt::format("the checkpointer {} was stopped by a signal, and is replaced", pid_));
}

std::uint64_t Checkpoints::work_done() const noexcept {
  std::uint64_t done = 0;
  for (const WorkerIndex worker : wiring_.workers())
    done += wiring_.worker(worker).commit().committed.load(kRelaxed);
  for (const EndLayout& end : wiring_.layout().ends)
    done += wiring_.host().cursors()[end.count_word].load(kRelaxed);
  return done;
}

bool Checkpoints::is_idle() const noexcept {
  return !wiring_.settings().checkpoints.idle && !parking() && ends() == ends_ && stored_work_ == work_done();
}

// What was restored here goes on with what another host had begun, and whoever is outside has waited since: the first one comes with
// what first waits for it, instead of some time after.
bool Checkpoints::is_awaited() const noexcept {
  return wiring_.shipper() && wiring_.restored_from() && !parking() &&
         wiring_.master().checkpoints.load(kRelaxed) == 0 && monotonic_now() < due_;
}

void Checkpoints::put_off() {
  release();
  phase_ = Phase::at_work;
  await_it(monotonic_now());
  if (!send_message(line_.get(), {.kind = Kind::put_off})) return give_up("the checkpointer is gone");
  due_ = monotonic_now() + wiring_.settings().checkpoints.every;
  // What waits at its end asks again at once: the others get nine times as long as they have stood.
  not_before_ = monotonic_now() + 9 * patience_;
  // On a machine that is busy that happens; one event that takes long is worth a line.
  if (patience_ >= kWorthALine)
    on_failed(fmt::format("not all workers have come to a commit within {}", format_duration(patience_)));
  patience_ = std::min<std::chrono::nanoseconds>(2 * patience_, kHangs);
}

void Checkpoints::on_message() {
  CheckpointMessage message;
  if (phase_ == Phase::absent) return;
  if (!receive_message(line_.get(), message)) return lose_it("the checkpointer has died");
  said_why_ = message.kind == Kind::failed;
  const auto now = monotonic_now();
  next_look_ = std::max(now, due_);
  switch (message.kind) {
    case Kind::ask:
      phase_ = Phase::standing;
      asked_ = now;
      next_look_ = now + patience_;
      if (!standstill_.asked()) standstill_.ask();
      return;
    case Kind::written:
      phase_ = Phase::idle;
      return on_written(message);
    case Kind::failed:
      phase_ = Phase::idle;
      not_before_ = now + kNextTry;
      due_ = now + std::max<std::chrono::nanoseconds>(wiring_.settings().checkpoints.every, kNextTry);
      next_look_ = due_;
      return on_failed(message.text);
    default:
      phase_ = Phase::idle;
      // A pipeline that ends is not kept waiting.
      if (parking() || is_awaited()) next_look_ = now;
      return;
  }
}

void Checkpoints::on_written(const CheckpointMessage& message) {
  MasterRegister& own = wiring_.master();
  const bool first = own.checkpoints.load(kRelaxed) == 0;
  own.no_checkpoint_since_ns.store(0, kRelaxed);
  own.checkpoints.store(own.checkpoints.load(kRelaxed) + 1, kRelaxed);
  own.checkpoint_at_ns.store(message.at_ns, kRelaxed);
  own.checkpoint_bytes.store(message.bytes, kRelaxed);
  news_.checkpoint_written(message.number, message.bytes, message.raw_bytes, first);
  if (parking() && taken_for_good_) own.parking.store(Parking::stored, kRelaxed);
  wiring_.ring_all();  // Who waits for what is in it.
  patience_ = kPatience;
  failures_in_a_row_ = 0;
  failures_of_the_end_ = 0;
  written_ = ends_;
  stored_work_ = work_;
  const auto now = monotonic_now();
  // Those that were missed meanwhile are not made up for.
  due_ = std::max(due_ + wiring_.settings().checkpoints.every, now);
  next_look_ = due_;
}

void Checkpoints::serve() {
  if (phase_ != Phase::standing || !standstill_.reached()) return;
  MasterRegister& own = wiring_.master();
  // Of this standstill: a pipeline that is parked from here on has its last checkpoint in it.
  const bool for_good = parking();
  const std::size_t ends = this->ends();
  const std::uint64_t work = work_done();
  phase_ = Phase::at_work;
  await_it(monotonic_now());
  CheckpointMessage answer;
  bool heard = send_message(line_.get(), {.kind = Kind::go});
  if (heard) {
    pollfd wait{line_.get(), POLLIN, 0};
    heard = ::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds{kCopying}.count())) == 1 &&
            receive_message(line_.get(), answer);
  }
  if (!heard) {
    phase_ = Phase::standing;  // It is dead before they go on: what it has copied counts for nothing.
    return give_up("the checkpointer does not copy");
  }
  own.checkpoint_round.store(own.checkpoint_round.load(kRelaxed) + 1, kRelaxed);
  taken_for_good_ = for_good && answer.taken != 0;
  ends_ = answer.taken != 0 ? ends : ends_;
  work_ = answer.taken != 0 ? work : work_;
  release();
  const std::int64_t pause = std::chrono::nanoseconds{monotonic_now() - asked_}.count();
  own.checkpoint_pause_ns.store(pause, kRelaxed);
  if (pause > own.checkpoint_longest_pause_ns.load(kRelaxed))
    own.checkpoint_longest_pause_ns.store(pause, kRelaxed);
}

bool Checkpoints::an_outlet_waits() const noexcept {
  const std::vector<LaneIndex>& lanes = wiring_.host().layout().lanes_in;
  return std::any_of(lanes.begin(), lanes.end(), [this](LaneIndex lane) {
    const std::atomic<std::uint64_t>* const gate = wiring_.gate_of(lane);
    return gate != nullptr && gate->load(kRelaxed) < wiring_.lane(lane).producer->tail.load(kRelaxed);
  });
}

// What the host has not taken yet, or nobody any more, is there at the next start.
bool Checkpoints::end_is_taken_up_again() const noexcept {
  if (wiring_.segment().named()) return false;
  if (host_gone(wiring_.master())) return true;
  const std::vector<LaneIndex>& lanes = wiring_.host().layout().lanes_in;
  return std::any_of(lanes.begin(), lanes.end(), [this](LaneIndex index) {
    const ipc::LaneMemory lane = wiring_.lane(index);
    return lane.consumer->head.load(kRelaxed) < lane.producer->tail.load(kRelaxed);
  });
}

bool Checkpoints::end_waits() const noexcept {
  if (!wanted()) return false;
  if (an_outlet_waits()) return true;
  return failures_of_the_end_ < kTriesOfTheLast && end_is_open();
}

std::string Checkpoints::end_not_kept() const {
  if (!wanted() || !end_is_open()) return "";
  return fmt::format("no checkpoint of its end could be written into {}: {}",
                     wiring_.settings().checkpoints.path, failure_of_the_end_);
}

bool Checkpoints::last_is_over() {
  // Nothing has taken effect since, also where a master before this one had it stored.
  if (!wanted() || wiring_.master().parking.load(kRelaxed) == Parking::stored || !failure_.empty())
    return true;
  if (phase_ == Phase::idle || phase_ == Phase::absent) next_look_ = std::min(next_look_, monotonic_now());
  return false;
}

}  // namespace sluice::detail
