// SPDX-License-Identifier: Apache-2.0
// Retry: dead letters of an earlier run that the workers of their stages are to handle once more, before
// anything else.
//
// Used by the worker loop. How many of them are done with is a word that the commit moves (kRetried), so that
// each takes effect exactly once, whatever dies; one that kills its worker again becomes a dead letter again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sluice/dead_letter.hpp>
#include <sluice/ipc/lane.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// Throws Error if the letters in `path`, the setting poison.retry, have no place in this pipeline.
void check_retry(const Graph& graph, const Layout& layout, const std::string& path);

class Retry {
 public:
  // Has `mark` done once so many commits more than now are safe: in a checkpoint, where there are any.
  using WhenSafe = std::function<void(std::uint64_t commits, std::function<void()> mark)>;

  // The letters that are for the worker `index`; `done` of them are done with. Those that another run has retried,
  // and those of this run, are left out.
  Retry(Worker& worker, const Wiring& wiring, WorkerIndex index, std::uint64_t done,
        const WhenSafe& when_safe);

  bool pending() const noexcept { return done_ - base_ < letters_.size(); }
  std::uint64_t done() const noexcept { return done_; }
  // DeadLetter::order_ns of a letter of this start is behind that; 0: there is nothing to retry.
  std::int64_t begun_ns() const noexcept { return begun_ns_; }

  // The next letter, as a lane in which it stands alone. Valid until the next call.
  ipc::LaneConsumer present();
  // Its place in the lane kRetryLane, in progress words and the handler's EventId; and back to its number.
  std::uint64_t position() const noexcept { return done_ << kShift; }
  static constexpr std::uint64_t position_of(std::uint64_t number) noexcept { return number << kShift; }
  static constexpr std::uint64_t number_at(std::uint64_t position) noexcept { return position >> kShift; }
  const DeadLetter& letter() const noexcept { return letters_[done_ - base_]; }
  // It has become a letter again in a life that was lost before a checkpoint held its retry. That one stands for it, and comes later
  // if nobody has retried it.
  bool is_superseded() const noexcept { return superseded_[done_ - base_]; }
  // It is handled: it is marked in its file with the next commit, or once a checkpoint holds that.
  void pass();

 private:
  // Events lie at the beginning of a page, so that any alignment is right.
  static constexpr unsigned kShift = 12;

  // Outlives this object: the commit of the last letter comes behind it.
  struct Marks {
    std::uint32_t number = 0;
    std::vector<DeadLetter> due{};  // Only where each of them stands.
  };

  static void mark(Worker& worker, const Marks& marks);

  std::shared_ptr<Marks> marks_ = std::make_shared<Marks>();
  ipc::ProducerLine producer_{};
  ipc::ConsumerLine consumer_{};
  std::vector<DeadLetter> letters_;
  std::vector<bool> superseded_;  // Of each of them.
  std::vector<std::byte> memory_;
  std::uint64_t done_ = 0;  // In the life of the pipeline,
  std::uint64_t base_ = 0;  // and when this start of it began.
  std::int64_t begun_ns_ = 0;
};

}  // namespace sluice::detail
