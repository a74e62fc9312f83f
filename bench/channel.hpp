// One interface over what is compared: a way to carry events of a fixed number of bytes from one end to the
// other. Each gives `Sender` and `Receiver`, made from memory that both sides share.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <memory>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/segment.hpp>

#include "bare_ring.hpp"

namespace sluice::bench {

inline constexpr std::size_t kRingBytes = std::size_t{1} << 20;

// The memory of two channels, there and back.
class Memory {
 public:
  Memory() {
    const std::array specs{ipc::RegionSpec{4096, {kRingBytes}}, ipc::RegionSpec{4096, {kRingBytes}}};
    segment_ = std::make_unique<ipc::Segment>("bench", specs);
    segment_->prefault();
    segment_->own_everything();
    for (const std::size_t channel : {std::size_t{0}, std::size_t{1}})
      std::memset(segment_->ring(channel, 0).data, 1, 2 * kRingBytes);  // No page fault is measured.
  }
  ipc::LaneMemory lane(std::size_t channel) const {
    return {at<ipc::ProducerLine>(channel, 0), at<ipc::ConsumerLine>(channel, 1024),
            segment_->ring(channel, 0).data, kRingBytes};
  }
  BareMemory bare(std::size_t channel, std::size_t slot_bytes) const {
    return {at<BareCursors>(channel, 2048), segment_->ring(channel, 0).data,
            std::bit_floor(kRingBytes / slot_bytes)};
  }

 private:
  template <class T>
  T* at(std::size_t channel, std::size_t offset) const {
    return reinterpret_cast<T*>(segment_->plain(channel).data() + offset);
  }
  std::unique_ptr<ipc::Segment> segment_;
};

// The baseline.
template <std::size_t kBytes>
struct Bare {
  static constexpr std::size_t kEventBytes = kBytes;
  class Sender : public BareProducer<kBytes> {
   public:
    Sender(const Memory& memory, std::size_t channel) : BareProducer<kBytes>{memory.bare(channel, kBytes)} {}
  };
  class Receiver : public BareConsumer<kBytes> {
   public:
    Receiver(const Memory& memory, std::size_t channel)
        : BareConsumer<kBytes>{memory.bare(channel, kBytes)} {}
  };
};

// A lane of fixed-size events.
template <std::size_t kBytes>
struct Lane {
  static constexpr std::size_t kEventBytes = kBytes;
  class Sender {
   public:
    Sender(const Memory& memory, std::size_t channel) : lane_{memory.lane(channel)} {}
    std::byte* reserve() noexcept { return lane_.reserve(kBytes); }
    void advance() noexcept { lane_.advance(kBytes); }
    void publish() noexcept { lane_.publish(); }

   private:
    ipc::LaneProducer lane_;
  };
  class Receiver {
   public:
    Receiver(const Memory& memory, std::size_t channel) : lane_{memory.lane(channel)} {}
    const std::byte* peek() noexcept { return lane_.readable() == 0 ? nullptr : lane_.data(); }
    void advance() noexcept { lane_.advance(kBytes); }
    void publish() noexcept { lane_.publish(); }

   private:
    ipc::LaneConsumer lane_;
  };
};

// A lane of records, all of one length here so that the baseline can carry the same.
template <std::size_t kBytes>
struct Records {
  static constexpr std::size_t kEventBytes = kBytes;
  class Sender {
   public:
    Sender(const Memory& memory, std::size_t channel) : lane_{memory.lane(channel)} {}
    std::byte* reserve() noexcept { return ipc::reserve_record(lane_, kBytes); }
    void advance() noexcept { lane_.advance(ipc::record_stride(kBytes)); }
    void publish() noexcept { lane_.publish(); }

   private:
    ipc::LaneProducer lane_;
  };
  class Receiver {
   public:
    Receiver(const Memory& memory, std::size_t channel) : lane_{memory.lane(channel)} {}
    const std::byte* peek() noexcept {
      if (lane_.readable() == 0) return nullptr;
      const std::span<const std::byte> record = ipc::peek_record(lane_);
      bytes_ = record.size();
      return record.data();
    }
    void advance() noexcept { lane_.advance(ipc::record_stride(bytes_)); }
    void publish() noexcept { lane_.publish(); }

   private:
    ipc::LaneConsumer lane_;
    std::size_t bytes_ = 0;
  };
};

}  // namespace sluice::bench
