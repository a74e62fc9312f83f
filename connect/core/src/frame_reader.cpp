// SPDX-License-Identifier: Apache-2.0
#include "frame_reader.hpp"

#include <algorithm>
#include <cstdint>

namespace sluice::detail {
namespace {

// What an idle connection may keep.
constexpr std::size_t kKeptBytes = 1024;

}  // namespace

FrameReader::Found FrameReader::find(Framing framing, std::size_t most) {
  return framing == Framing::lines ? find_line(most) : find_prefixed(most);
}

FrameReader::Found FrameReader::find_line(std::size_t most) {
  const std::size_t end = buffer_.find('\n', std::max(searched_, begin_));
  if (end == std::string::npos) {
    searched_ = buffer_.size();
    return buffer_.size() - begin_ > most ? Found::too_large : Found::none;
  }
  searched_ = end;
  frame_ = begin_;
  length_ = end - begin_;
  next_ = end + 1;
  return length_ > most ? Found::too_large : Found::frame;
}

FrameReader::Found FrameReader::find_prefixed(std::size_t most) {
  constexpr std::size_t kPrefixBytes = 4;
  if (buffer_.size() - begin_ < kPrefixBytes) return Found::none;
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < kPrefixBytes; ++i)
    length = length << 8 | static_cast<unsigned char>(buffer_[begin_ + i]);
  if (length > most) return Found::too_large;
  frame_ = begin_ + kPrefixBytes;
  length_ = length;
  next_ = frame_ + length;
  return buffer_.size() < next_ ? Found::none : Found::frame;
}

void FrameReader::pass() {
  begin_ = next_;
  if (!empty()) return;
  if (buffer_.capacity() > kKeptBytes) {
    std::string{}.swap(buffer_);
  } else {
    buffer_.clear();
  }
  begin_ = searched_ = 0;
}

void FrameReader::append(std::string_view bytes) {
  // What was passed goes once it is half of it: each byte is moved once at most, on average.
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    searched_ -= std::min(searched_, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

}  // namespace sluice::detail
