// SPDX-License-Identifier: Apache-2.0
// The master's side of checkpoints: when one is due, and that all workers stand still for it.
//
// The copying and the writing is done by a process of its own, the checkpointer (master/checkpointer.hpp), which asks for
// each standstill:
//
//     master                                      checkpointer
//     it is time: begin                           looks how much has changed; copies ahead
//     asks the workers to stand still             asks: a round, or the last one
//     all stand: counts the round on, go          copies: it is done
//     lets them go on                             ... perhaps once more ... writes the file: written, or failed
//
// While it copies in a standstill the master does nothing else, so that the master's own words stand still, too. Workers that
// do not come to a commit in time are let go on, and the checkpoint is put off; the next one is more patient. A
// checkpointer that dies, hangs or is stopped is replaced, and begins with all there is; a master that takes over from one that died
// in the midst of a standstill lets the workers go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>

#include "layout/wiring.hpp"
#include "master/checkpointer.hpp"
#include "master/epoll.hpp"
#include "master/news.hpp"
#include "master/standstill.hpp"

namespace sluice::detail {

class Checkpoints {
 public:
  // All must outlive it. `locked`: the directory (lock_checkpoints()), if checkpoints are wanted.
  Checkpoints(const Wiring& wiring, Standstill& standstill, const Epoll& epoll, News& news,
              Descriptor& locked) noexcept
      : wiring_{wiring}, standstill_{standstill}, epoll_{epoll}, news_{news}, locked_{locked} {}
  ~Checkpoints() { end(); }
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  bool wanted() const noexcept { return !wiring_.settings().checkpoints.path.empty(); }
  // A master begins; nothing, unless checkpoints are wanted.
  void begin() noexcept;
  // When to look after them; never, if none are wanted or something is to be heard before.
  std::chrono::nanoseconds next_look() const noexcept { return next_look_; }
  void look_if_due();
  // The checkpointer has said something, or is dead.
  void on_message();
  // At each turn of the master's loop: serves a standstill that is reached.
  void serve();

  // Of a pipeline whose workers have all come to their end: whether it waits for a checkpoint. For one that lets out the last
  // events to an outlet of the host; and without a named segment for one of the end, where the next start goes on with it: the
  // host is gone, or has not taken all. Not for one that cannot be had.
  bool end_waits() const noexcept;
  // Why there is none of an end that a start would go on with; empty, if there is no such end, or it is kept.
  std::string end_not_kept() const;
  // Of a pipeline that is being parked, whose workers stand still for good: the last checkpoint. Whether that is over;
  // `failure` says why it could not be had.
  bool last_is_over();
  const std::string& failure() const noexcept { return failure_; }

  // The checkpointer's process is ended, and the workers go on.
  void end() noexcept;
  // In a process that inherits the master's end of the line: the checkpointer hears of the master's end only, and the
  // directory is free once the master and its supervisor are gone.
  void let_go() noexcept {
    line_.reset();
    locked_.reset();
  }

 private:
  enum class Phase {
    absent,    // There is no checkpointer.
    idle,      // It waits for its next order.
    at_work,   // It will say something.
    standing,  // It has asked for a standstill.
  };

  void start();
  void give_up(const std::string& why);
  void lose_it(const std::string& why);
  void put_off();
  // Until the checkpointer says something.
  void await_it(std::chrono::nanoseconds now) noexcept;
  void look_at_its_work(std::chrono::nanoseconds now);
  void release() noexcept;
  bool parking() const noexcept;
  std::size_t ends() const noexcept;
  bool an_outlet_waits() const noexcept;
  bool a_worker_waits() const noexcept;
  bool something_waits() const noexcept;
  bool end_is_taken_up_again() const noexcept;
  // What tells whether there is anything new to store: all that workers have committed, and the host.
  std::uint64_t work_done() const noexcept;
  bool is_idle() const noexcept;
  bool is_awaited() const noexcept;
  bool end_is_open() const noexcept { return written_ != ends() && end_is_taken_up_again(); }
  void on_written(const CheckpointMessage& message);
  void on_failed(const std::string& why);

  const Wiring& wiring_;
  Standstill& standstill_;
  const Epoll& epoll_;
  News& news_;
  Descriptor& locked_;
  Phase phase_ = Phase::absent;
  pid_t pid_ = 0;
  Descriptor line_;
  std::chrono::nanoseconds next_look_{std::chrono::nanoseconds::max()};
  std::chrono::nanoseconds hangs_at_{0};                   // A checkpointer that is at work then.
  std::optional<std::chrono::nanoseconds> stopped_since_;  // By somebody else.
  std::chrono::nanoseconds due_{0};                        // The next checkpoint.
  std::chrono::nanoseconds not_before_{0};                 // After one that has failed.
  std::chrono::nanoseconds asked_{0};
  std::uint64_t work_ = 0;                    // That the last one that was taken knows of,
  std::optional<std::uint64_t> stored_work_;  // and the last one that was written.
  std::size_t ends_ = 0;                      // That the last one that was taken knows of.
  std::size_t written_ = 0;                   // And the last one that was written.
  unsigned failures_of_the_end_ = 0;
  std::string failure_of_the_end_;
  std::chrono::nanoseconds patience_{0};
  bool taken_for_good_ = false;  // While the pipeline is being parked.
  bool said_why_ = false;        // The checkpointer's last word was why it failed.
  unsigned failures_in_a_row_ = 0;
  std::string failure_;
};

}  // namespace sluice::detail
