// SPDX-License-Identifier: Apache-2.0
#include "capture.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace reference {
namespace {

constexpr std::size_t kPieceBytes = 1 << 16;

bool is_day(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

std::int64_t receive_time(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    throw BadLine{"no receive time"};
  }
  return value;
}

bool has_tab_behind_time(std::string_view line) {
  const std::size_t digits = line.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && line[digits] == '\t';
}

// Cuts the text before the separator off the front of the rest.
std::string_view cut(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  if (at == std::string_view::npos) throw BadLine{"not a capture line"};
  const std::string_view front = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return front;
}

}  // namespace

CaptureName capture_name(std::string_view path) {
  std::string_view base = path.substr(path.rfind('/') + 1);  // npos + 1 is 0: no directory.
  base = base.substr(0, base.find('.'));
  const std::size_t first = base.find('_');
  const std::size_t last = base.rfind('_');
  CaptureName name;
  if (first == std::string_view::npos || first == last || first == 0 || last == first + 1) return name;
  if (!is_day(base.substr(last + 1))) return name;
  name.raw = true;
  name.venue = base.substr(0, first);
  name.symbol = base.substr(first + 1, last - first - 1);
  for (char& letter : name.symbol)
    letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return name;
}

CaptureLine split_line(const CaptureName& name, std::string_view line) {
  CaptureLine result;
  if (name.raw) {
    result.receive_ns = receive_time(cut(line, ' '));
    result.venue = name.venue;
    result.symbol = name.symbol;
  } else {
    result.receive_ns = receive_time(cut(line, '\t'));
    result.venue = cut(line, '\t');
    result.symbol = cut(line, '\t');
    if (result.venue.empty() || result.symbol.empty()) throw BadLine{"no venue or no symbol"};
  }
  result.json = line;
  return result;
}

Capture::Capture(const std::string& path)
    : path_{path}, name_{capture_name(path)}, bytes_{open_bytes(path)}, chunk_(kPieceBytes) {
  read_ahead();
}

void Capture::read_ahead() {
  try {
    std::string line;
    while (read_line(line)) {
      ahead_.push_back(line);
      if (has_tab_behind_time(line)) name_.raw = false;
      try {
        first_receive_ns_ = split_line(name_, line).receive_ns;
        return;
      } catch (const BadLine&) {
        continue;  // It is rejected when its turn comes.
      }
    }
  } catch (const std::runtime_error&) {
    ahead_error_ = std::current_exception();
  }
}

bool Capture::next(std::string& line) {
  if (!ahead_.empty()) {
    line = std::move(ahead_.front());
    ahead_.pop_front();
  } else {
    if (ahead_error_) std::rethrow_exception(std::exchange(ahead_error_, nullptr));
    if (!read_line(line)) return false;
  }
  ++line_number_;
  return true;
}

bool Capture::read_line(std::string& line) {
  line.clear();
  for (;;) {
    if (unread_.empty()) {
      const std::size_t got = bytes_->read(chunk_.data(), chunk_.size());
      if (got == 0) return !line.empty();
      unread_ = {chunk_.data(), got};
    }
    const std::size_t end = unread_.find('\n');
    line.append(unread_.substr(0, end));
    if (end != std::string_view::npos) {
      unread_.remove_prefix(end + 1);
      return true;
    }
    unread_ = {};
  }
}

}  // namespace reference
