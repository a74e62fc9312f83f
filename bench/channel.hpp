// SPDX-License-Identifier: Apache-2.0
// Our own lanes, and the baseline, as channels that traffic.hpp can measure.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/segment.hpp>

#include "bare_ring.hpp"
#include "huge_ring.hpp"
#include "traffic.hpp"
#include "watcher.hpp"

namespace sluice::bench {

inline constexpr std::size_t kRingBytes = std::size_t{1} << 20;

enum class Pages { plain, huge };

// What two lanes, there and back, have their bytes in.
struct Room {
  std::size_t ring_bytes = kRingBytes;
  Pages pages = Pages::plain;
  std::size_t bare_cursors_apart = kBareCursorsApart;
};

// The memory of two channels: in a segment, as the engine has it, unless the ring's pages are to be huge.
class LaneMemories {
 public:
  explicit LaneMemories(const Room& room) : room_{room} {
    const std::size_t plain_bytes = room.pages == Pages::plain ? room.ring_bytes : 4096;
    const std::array specs{ipc::RegionSpec{4096, {plain_bytes}}, ipc::RegionSpec{4096, {plain_bytes}}};
    segment_ = std::make_unique<ipc::Segment>("bench", specs);
    segment_->prefault();
    segment_->own_everything();
    for (std::size_t channel = 0; channel < rings_.size(); ++channel) {
      if (room.pages == Pages::huge) huge_[channel] = std::make_unique<HugeRing>(room.ring_bytes);
      rings_[channel] = room.pages == Pages::huge ? huge_[channel]->data() : segment_->ring(channel, 0).data;
      std::memset(rings_[channel], 1, 2 * room.ring_bytes);  // No page fault is measured.
    }
  }
  ipc::LaneMemory lane(std::size_t channel) const {
    return {at<ipc::ProducerLine>(channel, 0), at<ipc::ConsumerLine>(channel, 1024), rings_[channel],
            room_.ring_bytes};
  }
  BareMemory bare(std::size_t channel, std::size_t slot_bytes) const {
    using Cursor = std::atomic<std::uint64_t>;
    return {at<Cursor>(channel, 2048), at<Cursor>(channel, 2048 + room_.bare_cursors_apart), rings_[channel],
            std::bit_floor(room_.ring_bytes / slot_bytes)};
  }

 private:
  template <class T>
  T* at(std::size_t channel, std::size_t offset) const {
    return reinterpret_cast<T*>(segment_->plain(channel).data() + offset);
  }
  Room room_;
  std::unique_ptr<ipc::Segment> segment_;
  std::array<std::unique_ptr<HugeRing>, 2> huge_;
  std::array<std::byte*, 2> rings_{};
};

// The baseline.
template <std::size_t kBytes>
struct Bare {
  static constexpr std::size_t kEventBytes = kBytes;
  explicit Bare(const Room& room = {}) : memories{room} {}

  class Sender {
   public:
    Sender(const Bare& bare, std::size_t direction) : ring_{bare.memories.bare(direction, kBytes)} {}
    bool push(const Event<kBytes>& event) noexcept { return push(&event, 1) == 1; }
    std::size_t push(const Event<kBytes>* events, std::size_t count) noexcept {
      return write(count, [&events](std::byte* at) { std::memcpy(at, events++, kBytes); });
    }
    template <class Write>
    std::size_t write(std::size_t most, Write&& write) noexcept {
      std::size_t written = 0;
      for (std::byte* at = nullptr; written < most && (at = ring_.reserve()) != nullptr; ++written) {
        write(at);
        ring_.advance();
      }
      ring_.publish();
      return written;
    }

   private:
    BareProducer<kBytes> ring_;
  };

  class Receiver {
   public:
    Receiver(const Bare& bare, std::size_t direction) : ring_{bare.memories.bare(direction, kBytes)} {}
    bool pop(Event<kBytes>& event) noexcept {
      const std::byte* at = ring_.peek();
      if (at == nullptr) return false;
      std::memcpy(&event, at, kBytes);
      ring_.advance();
      ring_.publish();
      return true;
    }
    template <class Read>
    std::size_t read(Read&& read) noexcept {
      std::size_t count = 0;
      for (const std::byte* at = nullptr; count < kBatch && (at = ring_.peek()) != nullptr; ++count) {
        read(at);
        ring_.advance();
      }
      if (count != 0) ring_.publish();
      return count;
    }

   private:
    BareConsumer<kBytes> ring_;
  };

  LaneMemories memories;
};

// A lane of fixed-size events.
template <std::size_t kBytes>
struct Lane {
  static constexpr std::size_t kEventBytes = kBytes;
  explicit Lane(const Room& room = {}) : memories{room} {}

  class Sender {
   public:
    Sender(const Lane& lane, std::size_t direction) : lane_{lane.memories.lane(direction)} {}
    bool push(const Event<kBytes>& event) noexcept { return push(&event, 1) == 1; }
    std::size_t push(const Event<kBytes>* events, std::size_t count) noexcept {
      std::byte* at = lane_.reserve(count * kBytes);
      if (at == nullptr) return 0;
      std::memcpy(at, events, count * kBytes);
      lane_.advance(count * kBytes);
      lane_.publish();
      return count;
    }
    template <class Write>
    std::size_t write(std::size_t count, Write&& write) noexcept {
      // As a handler does: large events are reserved one by one, small ones pay for each call.
      if constexpr (kBytes >= 512) return write_each(count, write);
      std::byte* at = lane_.reserve(count * kBytes);
      if (at == nullptr) return 0;
      for (std::size_t i = 0; i < count; ++i)
        write(at + i * kBytes);
      lane_.advance(count * kBytes);
      lane_.publish();
      return count;
    }

   private:
    template <class Write>
    std::size_t write_each(std::size_t most, Write&& write) noexcept {
      std::size_t written = 0;
      for (std::byte* at = nullptr; written < most && (at = lane_.reserve(kBytes)) != nullptr; ++written) {
        write(at);
        lane_.advance(kBytes);
      }
      lane_.publish();
      return written;
    }
    ipc::LaneProducer lane_;
  };

  class Receiver {
   public:
    Receiver(const Lane& lane, std::size_t direction) : lane_{lane.memories.lane(direction)} {}
    bool pop(Event<kBytes>& event) noexcept {
      if (lane_.watch(kBytes) == 0) return false;
      std::memcpy(&event, lane_.data(), kBytes);
      lane_.advance(kBytes);
      lane_.publish();
      return true;
    }
    template <class Read>
    std::size_t read(Read&& read) noexcept {
      const std::size_t count = std::min(lane_.watch(kBytes) / kBytes, kBatch);
      if (count == 0) return 0;
      const std::byte* at = lane_.data();
      for (std::size_t i = 0; i < count; ++i)
        read(at + i * kBytes);
      lane_.advance(count * kBytes);
      lane_.publish();
      return count;
    }

   private:
    Watcher lane_;
  };

  LaneMemories memories;
};

// A lane of records, all of one length so that others can carry the same.
template <std::size_t kBytes>
struct Records {
  static constexpr std::size_t kEventBytes = kBytes;
  explicit Records(const Room& room = {}) : memories{room} {}

  class Sender {
   public:
    Sender(const Records& lane, std::size_t direction) : lane_{lane.memories.lane(direction)} {}
    bool push(const Event<kBytes>& event) noexcept { return push(&event, 1) == 1; }
    std::size_t push(const Event<kBytes>* events, std::size_t count) noexcept {
      return write(count, [&events](std::byte* at) { std::memcpy(at, events++, kBytes); });
    }
    template <class Write>
    std::size_t write(std::size_t most, Write&& write) noexcept {
      std::size_t written = 0;
      for (std::byte* at = nullptr; written < most && (at = ipc::reserve_record(lane_, kBytes)) != nullptr;
           ++written) {
        write(at);
        lane_.advance(ipc::record_stride(kBytes));
      }
      lane_.publish();
      return written;
    }

   private:
    ipc::LaneProducer lane_;
  };

  class Receiver {
   public:
    Receiver(const Records& lane, std::size_t direction) : lane_{lane.memories.lane(direction)} {}
    bool pop(Event<kBytes>& event) noexcept {
      return take(1, [&event](const std::byte* at) { std::memcpy(&event, at, kBytes); }) == 1;
    }
    template <class Read>
    std::size_t read(Read&& read) noexcept {
      return take(kBatch, read);
    }

   private:
    template <class Read>
    std::size_t take(std::size_t most, Read&& read) noexcept {
      constexpr std::uint64_t kStride = ipc::record_stride(kBytes);
      const std::size_t most_here = std::min(most, lane_.watch(kStride) / kStride);
      std::size_t count = 0;
      for (; count < most_here; ++count) {
        const std::span<const std::byte> record = ipc::peek_record(lane_.lane());
        if (record.size() != kBytes) break;
        read(record.data());
        lane_.advance(kStride);
      }
      if (count != 0) lane_.publish();
      return count;
    }
    Watcher lane_;
  };

  LaneMemories memories;
};

}  // namespace sluice::bench
