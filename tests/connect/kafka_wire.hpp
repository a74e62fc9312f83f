// SPDX-License-Identifier: Apache-2.0
// Numbers and texts as Kafka's protocol has them: big-endian, and for the flexible versions of requests with lengths of variable size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sluice::test {

class KafkaReadBuffer {
 public:
  explicit KafkaReadBuffer(std::string_view bytes) : bytes_{bytes} {}

  std::int64_t number(std::size_t size) {
    const std::string_view bytes = take(size);
    std::uint64_t value = (static_cast<unsigned char>(bytes[0]) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
    for (const char byte : bytes)
      value = value << 8U | static_cast<unsigned char>(byte);
    return static_cast<std::int64_t>(value);
  }
  std::int64_t i8() { return number(1); }
  std::int64_t i16() { return number(2); }
  std::int64_t i32() { return number(4); }
  std::int64_t i64() { return number(8); }
  std::uint64_t uvarint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80U) == 0) return value;
    }
  }
  std::int64_t varint() {
    const std::uint64_t value = uvarint();
    return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
  }
  // Empty where there is none.
  std::string text() { return sized(i16()); }
  std::string bytes() { return sized(i32()); }
  std::string compact_text() { return sized(static_cast<std::int64_t>(uvarint()) - 1); }
  std::string record_bytes() { return sized(varint()); }
  void tags() {
    if (uvarint() != 0) throw std::runtime_error{"tagged fields"};
  }

 private:
  std::string sized(std::int64_t size) {
    return size <= 0 ? std::string{} : std::string{take(static_cast<std::size_t>(size))};
  }
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) throw std::runtime_error{"a request that is too short"};
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  std::string_view bytes_;
};

class KafkaWriteBuffer {
 public:
  KafkaWriteBuffer& number(std::int64_t value, std::size_t size) {
    for (std::size_t i = size; i-- != 0;)
      bytes_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
    return *this;
  }
  KafkaWriteBuffer& i8(std::int64_t value) { return number(value, 1); }
  KafkaWriteBuffer& i16(std::int64_t value) { return number(value, 2); }
  KafkaWriteBuffer& i32(std::int64_t value) { return number(value, 4); }
  KafkaWriteBuffer& i64(std::int64_t value) { return number(value, 8); }
  KafkaWriteBuffer& uvarint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7U)
      bytes_.push_back(static_cast<char>(value | 0x80U));
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  KafkaWriteBuffer& varint(std::int64_t value) {
    return uvarint(static_cast<std::uint64_t>(value) << 1U ^ static_cast<std::uint64_t>(value >> 63));
  }
  KafkaWriteBuffer& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  KafkaWriteBuffer& text(std::string_view text) {
    return i16(static_cast<std::int64_t>(text.size())).raw(text);
  }
  KafkaWriteBuffer& compact_text(std::string_view text) { return uvarint(text.size() + 1).raw(text); }
  const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
};

// Topics with their partitions, as many requests have them: the answer names each again, and has for each what `answer_one` writes.
template <class AnswerOne>
void answer_partitions(KafkaReadBuffer& in, KafkaWriteBuffer& out, const AnswerOne& answer_one) {
  const std::int64_t topics = in.i32();
  out.i32(topics);
  for (std::int64_t i = 0; i < topics; ++i) {
    out.text(in.text());
    const std::int64_t partitions = in.i32();
    out.i32(partitions);
    for (std::int64_t j = 0; j < partitions; ++j) {
      const std::int64_t partition = in.i32();
      out.i32(partition);
      answer_one(partition);
    }
  }
}

}  // namespace sluice::test
