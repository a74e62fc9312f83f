// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a lane whose peer writes what it likes, whenever it likes. The consumer reads records and
// the end of stream, the producer reserves room: neither ever touches a byte outside the ring, and what is found out
// stays so.
#include <atomic>
#include <memory>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>

#include "bytes.hpp"

namespace {

using namespace sluice;
using fuzz::require;

constexpr std::uint64_t kCapacity = 512;

struct Lane {
  ipc::LaneMemory memory() { return {&producer, &consumer, ring.get(), kCapacity}; }

  ipc::ProducerLine producer{};
  ipc::ConsumerLine consumer{};
  // From the heap: a byte beyond the second half is found out. What the two halves show differs here.
  std::unique_ptr<std::byte[]> ring{new std::byte[2 * kCapacity]()};
};

std::span<std::byte> raw(auto& line) {
  return {reinterpret_cast<std::byte*>(&line), sizeof(line)};
}

unsigned sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte byte : bytes)
    total += static_cast<unsigned>(byte);
  return total;
}

// Small changes of one word, so that the fuzzer gets past the checks.
void scribble(fuzz::Bytes& input, std::span<std::byte> line) {
  const std::size_t at = input.below(line.size());
  line[at] ^= input.take<std::byte>();
}

void consume(Lane& lane, fuzz::Bytes& input) {
  ipc::LaneConsumer consumer{lane.memory()};
  volatile unsigned seen = 0;
  while (!input.empty()) {
    const bool was_corrupt = consumer.corrupt();
    switch (input.below(4)) {
      case 0:
        scribble(input, raw(lane.producer));
        break;
      case 1:
        scribble(input, {lane.ring.get(), 2 * kCapacity});
        break;
      case 2: {
        const std::uint64_t readable = consumer.readable();
        require(readable <= kCapacity, "no more is readable than the lane holds");
        if (readable == 0) break;
        const std::span<const std::byte> record = ipc::peek_record(consumer);
        if (record.data() == nullptr) {
          require(consumer.corrupt(), "a record that cannot be is found out");
          break;
        }
        seen = seen + sum(record);
        require(ipc::record_stride(record.size()) <= readable, "a record ends where the readable bytes end");
        consumer.advance(ipc::record_stride(record.size()));
        break;
      }
      default:
        if (consumer.readable() != 0)
          require(!consumer.at_end(), "a stream ends where all of it is consumed");
        consumer.publish();
    }
    require(!was_corrupt || consumer.corrupt(), "corrupt is for good");
    if (was_corrupt) require(consumer.readable() == 0, "a corrupt lane shows nothing");
  }
}

void produce(Lane& lane, fuzz::Bytes& input) {
  ipc::LaneProducer producer{lane.memory()};
  while (!input.empty()) {
    switch (input.below(4)) {
      case 0:
        scribble(input, raw(lane.consumer));
        break;
      case 1:
        producer.end();
        break;
      case 2: {
        const std::size_t bytes = input.below(600);
        std::byte* at = producer.ends() ? nullptr : ipc::reserve_record(producer, bytes);
        if (at == nullptr) break;  // Nothing follows the end.
        require(ipc::record_stride(bytes) <= kCapacity, "no record is larger than the lane");
        std::fill_n(at, bytes, std::byte{1});
        producer.advance(ipc::record_stride(bytes));
        break;
      }
      default:
        producer.publish();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes input{data, size};
  Lane lane;
  const bool consumes = input.below(2) == 0;
  input.fill(raw(lane.producer));
  input.fill(raw(lane.consumer));
  if (consumes) {
    input.fill({lane.ring.get(), 128});
    consume(lane, input);
  } else {
    produce(lane, input);
  }
  return 0;
}
