// SPDX-License-Identifier: Apache-2.0
// The runner of a wide worker: computes a batch in several threads, then hands its outputs out event by event.
//
//     worker's thread                                  threads of the arena, the worker's among them
//     names the span in the progress words
//     divides it into parts  ------------------------> handler(event, staged outputs), part by part
//     all parts are done  <---------------------------
//     for each event: names it, pushes what it has
//     staged, advances the lane
//
// Until all parts are done nothing has been pushed, so that a death or an exception there is one of the span, which is cut in
// halves (suspects.hpp). From then on each event stands for itself, as with any other handler: those before one that waits
// for room can be committed, and what does not fit is that event's fault.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include <sluice/detail/arena.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/grain.hpp>
#include <sluice/detail/runner.hpp>
#include <sluice/detail/staging.hpp>

namespace sluice::detail {

// Passed check_wide().
template <class H>
class WideRunner final : public HandlerRunner<H, false> {
  using Alone = HandlerRunner<H, false>;
  using In = typename HandlerTraits<H>::Input;
  using Outputs = OutputsOf<typename HandlerTraits<H>::Outputs>;

 public:
  using Alone::Alone;

  void widen(unsigned threads) override {
    if (threads < 2) return;
    arena_ = make_arena(threads);
    grain_ = Grain{threads};
  }
  bool takes_spans() const noexcept override { return arena_ != nullptr; }

  std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                        Work& work) override {
    if (arena_ == nullptr) return Alone::consume(input, lane, limit, work);
    const std::uint64_t most = std::min({limit, input.readable() / kLeastBytes, Alone::kLongestSpan});
    const std::uint64_t events = grain_.parts(most) > 1 ? look_ahead(input, most) : 0;
    const std::size_t parts = grain_.parts(events);
    if (parts > 1) {
      work.enter_lane(lane);
      return in_parallel(input, events, parts, work);
    }
    const auto begun = monotonic_now();
    // The first event alone tells what one takes.
    const std::uint64_t handled = Alone::consume(input, lane, grain_.known() ? limit : 1, work);
    grain_.note(handled, monotonic_now() - begun);
    return handled;
  }

 private:
  // Of one event in a lane.
  static constexpr std::uint64_t kLeastBytes = is_record<In> ? ipc::kRecordHeaderBytes : sizeof(In);

  static std::uint64_t stride_of(const In& event) noexcept {
    return is_record<In> ? Wire<In>::stride(event) : sizeof(In);
  }

  // Finds up to `most` events that can be read now; how many.
  std::uint64_t look_ahead(ipc::LaneConsumer& input, std::uint64_t most) {
    const std::uint64_t readable = input.readable();
    end_ = input.next();
    if constexpr (is_record<In>) {
      events_.clear();
      ipc::LaneConsumer ahead = input;
      while (events_.size() < most && end_ - input.next() < readable) {
        const std::span<const std::byte> payload = ipc::peek_record(ahead);
        In event;
        if (payload.data() == nullptr || !Wire<In>::read(payload, event))
          break;  // Whoever comes to it will see.
        events_.push_back(event);
        ahead.advance(ipc::record_stride(payload.size()));
        end_ = ahead.next();
      }
      return events_.size();
    } else {
      // The ring is mapped twice in a row: what is readable is one array.
      first_ = reinterpret_cast<const In*>(input.data());
      const std::uint64_t events = std::min(most, readable / sizeof(In));
      end_ += events * sizeof(In);
      return events;
    }
  }
  const In& event_at(std::uint64_t index) const noexcept {
    if constexpr (is_record<In>) {
      return events_[index];
    } else {
      return first_[index];
    }
  }

  std::uint64_t in_parallel(ipc::LaneConsumer& input, std::uint64_t events, std::size_t parts, Work& work) {
    if (stagings_.size() < parts) stagings_.resize(parts);
    work.begin_span(input.next(), static_cast<std::uint32_t>(events), end_);
    std::atomic<std::int64_t> took{0};
    arena_->run(parts, [&](std::size_t part) {
      const auto begun = monotonic_now();
      handle_part(part, events * part / parts, events * (part + 1) / parts, work);
      took.fetch_add((monotonic_now() - begun).count(), std::memory_order_relaxed);  // relaxed: a sum.
    });
    grain_.note(events, std::chrono::nanoseconds{took.load(std::memory_order_relaxed)});
    work.count_no_input();
    return hand_out(input, parts, work);
  }

  // In any thread of the arena.
  void handle_part(std::size_t part, std::uint64_t from, std::uint64_t to, Work& work) {
    Staging& staging = stagings_[part];
    staging.clear();
    auto outputs = Outputs::staged(this->outputs_, staging);
    const H& handler = this->handler_;
    auto told = coarse_now();
    for (std::uint64_t i = from; i < to; ++i) {
      std::apply([&](auto&... output) { handler(event_at(i), output...); }, outputs);
      staging.end_event();
      // The watchdog sees that the span goes on, and the threads do not quarrel over the word at every event.
      if (const auto now = coarse_now(); now != told) {
        told = now;
        work.note_part();
      }
    }
    work.note_part();
  }

  std::uint64_t hand_out(ipc::LaneConsumer& input, std::size_t parts, Work& work) {
    std::uint64_t handled = 0;
    EventsInTurn<false> events{work};
    for (std::size_t part = 0; part < parts; ++part) {
      const Staging& staging = stagings_[part];
      for (std::size_t i = 0; i < staging.events(); ++i) {
        events.begin(input.next());
        staging.each(i, [this](const Staging::Entry& entry) { Outputs::push(this->outputs_, entry); });
        input.advance(stride_of(event_at(handled)));
        ++handled;
      }
    }
    return handled;
  }

  std::unique_ptr<Arena> arena_;  // None: one thread.
  Grain grain_{1};
  // The events at hand: records one by one, others as they lie in the lane. They end at the position `end_`.
  std::vector<In> events_;
  const In* first_ = nullptr;
  std::uint64_t end_ = 0;
  std::vector<Staging> stagings_;  // Of each part.
};

template <class H, class... Args>
struct RunnerOf<Wide<H>, Args...> {
  using Type = WideRunner<H>;
};

}  // namespace sluice::detail
