// SPDX-License-Identifier: Apache-2.0
// FrameReader: cuts the bytes of one connection into frames. Knows no socket.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/connect/frame.hpp>

namespace sluice::detail {

class FrameReader {
 public:
  enum class Found { none, frame, too_large };

  // Looks for a frame of at most `most` bytes in what has come. Takes time in what is new, however often it is asked. A
  // frame that is too large is found as soon as that can be known.
  Found find(Framing framing, std::size_t most);
  // The frame that was found, until it is passed.
  std::string_view frame() const noexcept { return std::string_view{buffer_}.substr(frame_, length_); }
  void pass();

  void append(std::string_view bytes);
  bool empty() const noexcept { return begin_ == buffer_.size(); }

 private:
  Found find_line(std::size_t most);
  Found find_prefixed(std::size_t most);

  std::string buffer_;
  std::size_t begin_ = 0;     // Of what was not passed.
  std::size_t searched_ = 0;  // No line ends before this.
  std::size_t frame_ = 0;
  std::size_t length_ = 0;
  std::size_t next_ = 0;  // Where what comes behind the frame begins.
};

}  // namespace sluice::detail
