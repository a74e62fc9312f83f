// SPDX-License-Identifier: Apache-2.0
// Capture files on disk: raw, one gzip file an instrument and day, or merged, one zstd file for everything.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "feed.hpp"
#include "instruments.hpp"
#include "malformed.hpp"

namespace simulator {

// The day as a file name writes it, 20250303.
std::string day_name(std::int64_t time_ns);

// Neither format notes the time of writing, so that the same records give the same bytes. Every member
// function throws std::runtime_error with the file's name when a file cannot be written.
class CaptureWriter {
 public:
  virtual ~CaptureWriter() = default;
  virtual void write(const Instrument& instrument, const Record& record) = 0;
  // Writes a spoilt copy of the record in the record's place.
  virtual void write(const Instrument& instrument, const Record& record, const MalformedLine& line) = 0;
  virtual void close() = 0;
};

std::unique_ptr<CaptureWriter> raw_writer(const std::filesystem::path& directory);
std::unique_ptr<CaptureWriter> merged_writer(const std::filesystem::path& directory);

}  // namespace simulator
