// SPDX-License-Identifier: Apache-2.0
// What one line of a capture is: when it was received, of which instrument, and its JSON.
//
// Two formats: a recorder's raw file, named VENUE_SYMBOL_DAY.gz (any extension or none), with lines
// "<ns> <JSON>"; and a merged file, of any name, with lines "ns TAB venue TAB SYMBOL TAB JSON". Which of them
// a file has is decided once for the file; a line that does not fit is answered with a reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "market/instrument.hpp"

namespace market {

enum class CaptureFormat : std::uint8_t {
  raw,      // The venue and the symbol are in the file's name.
  merged,   // They are in each line.
  unknown,  // Neither the name nor the first line is of a capture: every line is rejected.
};

struct CaptureName {
  Instrument instrument;
  std::string_view fault;  // Why the name gives no instrument; empty when it does.
};

// Reads the last part of a path as VENUE_SYMBOL_DAY[.ext...]: the venue stands before the first underscore,
// the day behind the last one, the symbol between, upper-cased.
CaptureName read_capture_name(std::string_view path);

// The format of a file from whether its name is a raw file's and from its first line; the line has the last
// word.
CaptureFormat detect_format(bool name_is_raw, std::string_view first_line);

struct CaptureLine {
  Instrument instrument;
  std::int64_t receive_time_ns = 0;  // Since the epoch, by the recorder's clock.
  std::string_view json;             // A part of the line.
  std::string_view reject_reason;    // Empty when the line is one; else the other members mean nothing.
};

// The file's instrument is used for raw files only. A carriage return at the line's end is dropped.
CaptureLine split_capture_line(CaptureFormat format, const Instrument& file_instrument,
                               std::string_view line);

// The receive time at the beginning of a line of either format, if it has one.
std::optional<std::int64_t> receive_time_ns(std::string_view line);

}  // namespace market
