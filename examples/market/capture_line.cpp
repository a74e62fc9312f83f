// SPDX-License-Identifier: Apache-2.0
#include "market/capture_line.hpp"

#include <charconv>
#include <system_error>

namespace market {
namespace {

char upper(char letter) {
  return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}

// Cuts what stands before the separator off the line; false if there is no separator.
bool cut(std::string_view& line, char separator, std::string_view& part) {
  const std::size_t end = line.find(separator);
  if (end == std::string_view::npos) return false;
  part = line.substr(0, end);
  line.remove_prefix(end + 1);
  return true;
}

// Nanoseconds are digits and nothing else; from_chars would take a minus sign too.
bool parse_time(std::string_view text, std::int64_t& time_ns) {
  if (text.empty() || text.front() == '-') return false;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, time_ns);
  return error == std::errc{} && stopped == end;
}

CaptureLine rejected(std::string_view reason) {
  CaptureLine line;
  line.reject_reason = reason;
  return line;
}

CaptureLine split_raw(const Instrument& file_instrument, std::string_view line) {
  CaptureLine result;
  std::string_view time;
  const bool separated = cut(line, ' ', time);
  if (!parse_time(separated ? time : line, result.receive_time_ns)) return rejected("no receive time");
  if (!separated || line.empty()) return rejected("no JSON behind the receive time");
  result.instrument = file_instrument;
  result.json = line;
  return result;
}

CaptureLine split_merged(std::string_view line) {
  CaptureLine result;
  std::string_view time;
  std::string_view venue;
  std::string_view symbol;
  const bool separated = cut(line, '\t', time);
  if (!parse_time(separated ? time : line, result.receive_time_ns)) return rejected("no receive time");
  if (!separated || !cut(line, '\t', venue)) return rejected("no venue behind the receive time");
  if (!cut(line, '\t', symbol)) return rejected("no symbol behind the venue");
  if (line.empty()) return rejected("no JSON behind the symbol");
  const MadeInstrument made = make_instrument(venue, symbol);
  if (!made.fault.empty()) return rejected(made.fault);
  result.instrument = made.instrument;
  result.json = line;
  return result;
}

}  // namespace

CaptureName read_capture_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const std::size_t first = name.find('_');
  const std::size_t last = name.rfind('_');
  if (first == last) return {{}, "its name is not VENUE_SYMBOL_DAY"};
  if (last + 1 == name.size() || name[last + 1] == '.') return {{}, "its name has no day"};
  std::string symbol{name.substr(first + 1, last - first - 1)};
  for (char& letter : symbol)
    letter = upper(letter);
  const MadeInstrument made = make_instrument(name.substr(0, first), symbol);
  return {made.instrument, made.fault};
}

CaptureFormat detect_format(bool name_is_raw, std::string_view first_line) {
  const std::size_t digits = first_line.find_first_not_of("0123456789");
  const char behind_digits = digits == std::string_view::npos || digits == 0 ? '\0' : first_line[digits];
  if (behind_digits == '\t') return CaptureFormat::merged;
  if (behind_digits == ' ') return CaptureFormat::raw;
  if (name_is_raw) return CaptureFormat::raw;
  // A merged file may begin with a damaged line; its tabs tell it still.
  return first_line.find('\t') != std::string_view::npos ? CaptureFormat::merged : CaptureFormat::unknown;
}

CaptureLine split_capture_line(CaptureFormat format, const Instrument& file_instrument,
                               std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) return rejected("empty line");
  switch (format) {
    case CaptureFormat::raw:
      return split_raw(file_instrument, line);
    case CaptureFormat::merged:
      return split_merged(line);
    case CaptureFormat::unknown:
      break;
  }
  return rejected("not a capture file: neither \"<ns> <JSON>\" nor \"ns TAB venue TAB SYMBOL TAB JSON\"");
}

std::optional<std::int64_t> receive_time_ns(std::string_view line) {
  const std::size_t end = line.find_first_of(" \t");
  std::int64_t time_ns = 0;
  if (end == std::string_view::npos || !parse_time(line.substr(0, end), time_ns)) return std::nullopt;
  return time_ns;
}

}  // namespace market
