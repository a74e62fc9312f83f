// SPDX-License-Identifier: Apache-2.0
#include "bounded_lines.hpp"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice::command {

bool BoundedLines::fill() {
  if (at_ < filled_) return true;
  ssize_t got = 0;
  do {
    got = ::read(file_, chunk_.data(), chunk_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw Error{{"read", "a line", errno_text(), "name a file that can be read"}};
  at_ = 0;
  filled_ = static_cast<std::size_t>(got);
  read_ += filled_;
  return filled_ != 0;
}

// As far as it may be, or its end is there.
void BoundedLines::take_line() {
  line_.clear();
  has_end_ = false;
  while (!is_too_long() && fill()) {
    const char* const begin = chunk_.data() + at_;
    const char* const stop = begin + std::min(filled_ - at_, most_ + 1 - line_.size());
    const char* const end = std::find(begin, stop, '\n');
    line_.append(begin, end);
    at_ += static_cast<std::size_t>(end - begin);
    has_end_ = end != stop;
    if (!has_end_) continue;
    ++at_;
    return;
  }
}

bool BoundedLines::next() {
  while (is_too_long() && !has_end_)
    take_line();
  offset_ = read_ - (filled_ - at_);
  take_line();
  return has_end_ || !line_.empty();
}

}  // namespace sluice::command
