// SPDX-License-Identifier: Apache-2.0
#include "master/checkpointer.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <sluice/detail/process_name.hpp>
#include <sluice/detail/readied_shipper.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "checkpoint/checkpoint_store.hpp"
#include "checkpoint/shadow.hpp"
#include "checkpoint/written_files.hpp"
#include "death/words_of.hpp"
#include "layout/shape.hpp"
#include "state/source_lags.hpp"

namespace sluice::detail {
namespace {

using Kind = CheckpointMessage::Kind;

// So much is copied within the standstill, and not ahead of it: some hundred microseconds.
constexpr std::size_t kLittle = std::size_t{1} << 20;
// Where a pipeline changes its state about as fast as it is copied, more rounds gain little, and in each all stand still once.
constexpr int kMostRounds = 3;
// Where there is more than this, what waits for the next checkpoint does not wait for all of it: the chain is renewed in pieces of
// that size, or of the size of what changes, so that it gains on that.
constexpr std::size_t kLarge = std::size_t{16} << 20;
constexpr std::size_t kPiece = std::size_t{2} << 20;
// Writing is for when nobody else wants the processor; copying is what all others wait for.
constexpr int kNiceToWrite = 10;

CheckpointMessage failed_by(const std::exception& error) noexcept {
  CheckpointMessage message{.kind = Kind::failed};
  std::snprintf(message.text, sizeof(message.text), "%s", words_of(error));
  return message;
}

class Checkpointer {
 public:
  Checkpointer(const Wiring& wiring, int line, pid_t master, int locked)
      : wiring_{wiring},
        line_{line},
        master_{master},
        locked_{locked},
        shadow_{wiring, checkpoint_shape(wiring.graph(), wiring.layout(), wiring.settings()),
                wiring.restored_from() ? Shadow::Begins::restored : Shadow::Begins::anew},
        nice_to_copy_{::getpriority(PRIO_PROCESS, 0)} {
    // What is in the way of every checkpoint is told before the first.
    open_writer();
  }

  // To the end of the line.
  void run() {
    ready_shipper();
    say({});
    CheckpointMessage order;
    while (receive_message(line_, order)) {
      if (order.kind != Kind::begin) continue;
      be_nice(nice_to_copy_);
      if (!prepare()) continue;
      const bool taken = take();
      be_nice(std::max(nice_to_copy_, kNiceToWrite));
      taken ? write() : say({.kind = Kind::put_off});
    }
  }

 private:
  static CheckpointIdentity identity_of(const Wiring& wiring, std::size_t bytes) {
    return {.run = {wiring.requests().run.load(std::memory_order_relaxed), 0},
            .segment_bytes = bytes,
            .pipeline = wiring.graph().name,
            .version = SLUICE_VERSION};
  }
  static CheckpointOptions options_of(const Wiring& wiring) {
    const CheckpointSettings& settings = wiring.settings().checkpoints;
    return {.keep = settings.keep, .sync = settings.sync};
  }

  static void be_nice(int nice) noexcept { ::setpriority(PRIO_PROCESS, 0, nice); }

  void say(const CheckpointMessage& message) noexcept {
    if (!send_message(line_, message)) ::_exit(0);
  }

  // Whether all stand still now.
  bool all_stand() noexcept {
    say({.kind = Kind::ask});
    CheckpointMessage answer;
    if (!receive_message(line_, answer)) ::_exit(0);
    return answer.kind == Kind::go;
  }

  // What this checkpoint is to be is settled before anybody stands still for it.
  bool prepare() noexcept {
    try {
      // The directory may be another one since the last failure.
      if (!writer_) open_writer();
      kind_ = CheckpointKind::delta;
      if (writer_->wants_base() && !writer_->is_renewing()) choose_base();
      if (kind_ == CheckpointKind::base) shadow_.copy_restored();
      // One that was put off has its piece yet.
      if (writer_->is_renewing() && piece_ == 0) {
        piece_ = std::max(kPiece, changed_);
        is_last_piece_ = shadow_.renew(piece_);
      }
      return true;
    } catch (const std::exception& error) {
      say(failed_by(error));
      return false;
    }
  }

  void choose_base() noexcept {
    if (writer_->needs_base() || shadow_.bytes_present() < kLarge) {
      kind_ = CheckpointKind::base;
      return;
    }
    writer_->begin_renewal();
    shadow_.begin_renewal();
    piece_ = 0;
  }

  bool take() noexcept {
    std::size_t behind = shadow_.bytes_behind();
    bool gains = true;
    for (int rounds = 0; behind > kLittle && gains && rounds < kMostRounds; ++rounds) {
      if (!all_stand()) return false;
      shadow_.end_round();
      say({.kind = Kind::copied});
      shadow_.copy_state_ahead();
      const std::size_t left = shadow_.bytes_behind();
      gains = left <= behind / 2;
      behind = left;
    }
    shadow_.copy_lanes_ahead();
    if (!all_stand()) return false;
    const bool taken = shadow_.take();
    // A master that died meanwhile may have a successor, which lets the workers go on.
    if (::getppid() != master_) ::_exit(0);
    at_ = std::chrono::system_clock::now();
    say({.kind = Kind::copied, .taken = taken ? 1U : 0U});
    return taken;
  }

  void open_writer() {
    writer_.emplace(wiring_.settings().checkpoints.path, identity_of(wiring_, shadow_.bytes()),
                    options_of(wiring_), locked_);
    // If anything was published since, by this process or one before it, a base comes first.
    if (wiring_.restored_from()) writer_->go_on_after(*wiring_.restored_from());
  }

  // 0 for those whose files nobody has any more: without a process, and once for those that have come to their end since.
  std::vector<pid_t> worker_pids() {
    std::vector<pid_t> pids;
    std::size_t done = 0;
    for (const WorkerIndex worker : wiring_.workers()) {
      const WorkerEntry& entry = wiring_.entry(worker);
      // relaxed: whoever it is, its files are looked at.
      if (entry.done.load(std::memory_order_relaxed) != 0) {
        ++done;
      } else {
        pids.push_back(entry.pid.load(std::memory_order_relaxed));
      }
    }
    if (std::exchange(done_, done) != done) pids.push_back(0);
    return pids;
  }

  void ready_shipper() const noexcept {
    const auto* const shipper = wiring_.shipper().target<ReadiedShipper>();
    if (shipper == nullptr || !shipper->ready) return;
    try {
      shipper->ready();
    } catch (const std::exception&) {
      // As the first checkpoint will say, if it is so then.
    }
  }

  void ship(const WrittenCheckpoint& written, CheckpointKind kind) const {
    if (!wiring_.shipper()) return;
    const std::filesystem::path directory{wiring_.settings().checkpoints.path};
    wiring_.shipper()({.file = directory / to_text(CheckpointName{written.number, kind, false}),
                       .number = written.number,
                       .base = kind == CheckpointKind::base,
                       .bytes = written.bytes,
                       .whole_from = written.whole_from,
                       .reads = reads()});
  }

  // What the sources had read that this checkpoint holds. Where the pieces lie does not change.
  std::vector<ReadPosition> reads() const {
    std::vector<ReadPosition> reads;
    for (const WorkerIndex worker : wiring_.workers()) {
      const std::string& name = wiring_.layout().processes[process_of(worker)].name;
      for (const FoundLag& found : find_lags(wiring_.worker(worker).state())) {
        if (found.position && !found.of.empty())
          reads.push_back({name, found.of, shadow_.state_word(worker, *found.position)});
      }
    }
    return reads;
  }

  // What has waited for this checkpoint may be read.
  void release() noexcept {
    for (const LaneIndex lane : wiring_.lanes()) {
      if (wiring_.gate_of(lane) == nullptr) continue;
      // [lane.released] release: the checkpoint is published; pairs with LaneConsumer::hold_back().
      wiring_.released(lane).store(shadow_.tail(lane), std::memory_order_release);
    }
    // [worker.checkpointed] [end.checkpointed] release: as above; pairs with Tellings::checkpointed() and HostInlet::safe().
    for (const WorkerIndex worker : wiring_.workers())
      wiring_.checkpointed(worker).store(shadow_.commits(worker), std::memory_order_release);
    for (const EndLayout& end : wiring_.layout().ends)
      wiring_.checkpointed(end.node).store(shadow_.events(end), std::memory_order_release);
  }

  // The instant that it is known by. Noted before it is written: a start that finds a newer one in the directory knows that it is
  // not of this memory. So it is later than all before it, whatever has become of the clock.
  std::int64_t note(std::int64_t at_ns) noexcept {
    std::atomic<std::int64_t>& newest = wiring_.master().newest_checkpoint_ns;
    // relaxed: read by the next start, when all processes are gone.
    const std::int64_t instant_ns = std::max(at_ns, newest.load(std::memory_order_relaxed) + 1);
    newest.store(instant_ns, std::memory_order_relaxed);
    return instant_ns;
  }

  void write() noexcept {
    CheckpointMessage message{.kind = Kind::written};
    try {
      const std::int64_t at_ns = std::chrono::nanoseconds{at_.time_since_epoch()}.count();
      const std::int64_t instant_ns = note(at_ns);
      if (wiring_.settings().checkpoints.sync) files_.bring_to_disk(worker_pids());
      const bool whole = kind_ == CheckpointKind::base;
      const bool ends = piece_ != 0 && is_last_piece_;
      const WrittenCheckpoint written = writer_->write(
          kind_, static_cast<std::uint64_t>(instant_ns), whole ? shadow_.everything() : shadow_.changes(),
          ends ? CheckpointWriter::Renewal::ends : CheckpointWriter::Renewal::goes_on);
      ship(written, kind_);
      shadow_.saved();
      release();
      changed_ = written.raw_bytes - std::min<std::uint64_t>(piece_, written.raw_bytes);
      piece_ = 0;
      message.number = written.number;
      message.bytes = written.bytes;
      message.raw_bytes = written.raw_bytes;
      message.at_ns = at_ns;
    } catch (const std::exception& error) {
      writer_.reset();
      piece_ = 0;
      return say(failed_by(error));
    }
    say(message);
  }

  const Wiring& wiring_;
  int line_;
  pid_t master_;
  int locked_;
  Shadow shadow_;
  std::optional<CheckpointWriter> writer_;
  CheckpointKind kind_ = CheckpointKind::base;  // Of the next one.
  std::size_t piece_ = 0;                       // Bytes of everything that it has, in a renewal.
  bool is_last_piece_ = false;
  std::size_t changed_ = 0;  // Bytes of the last one beside its piece.
  WrittenFiles files_;
  std::size_t done_ = 0;  // Workers.
  int nice_to_copy_;
  std::chrono::system_clock::time_point at_;
};

template <class Call>
bool whole_packet(Call call) noexcept {
  ssize_t bytes = 0;
  do {
    bytes = call();
  } while (bytes < 0 && errno == EINTR);
  return bytes == static_cast<ssize_t>(sizeof(CheckpointMessage));
}

}  // namespace

bool send_message(int line, const CheckpointMessage& message) noexcept {
  return whole_packet([&] { return ::send(line, &message, sizeof(message), MSG_NOSIGNAL); });
}

bool receive_message(int line, CheckpointMessage& message) noexcept {
  return whole_packet([&] { return ::recv(line, &message, sizeof(message), 0); });
}

void run_checkpointer(const Wiring& wiring, int line, pid_t master, int locked) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != master) ::_exit(1);
  set_process_name(kCheckpointerName);
  try {
    // The master's region stays writable, for what is released.
    Checkpointer{wiring, line, master, locked}.run();
  } catch (const std::exception& error) {
    send_message(line, failed_by(error));
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace sluice::detail
