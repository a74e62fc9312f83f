// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <zlib.h>
#include <zstd.h>

namespace simulator {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw std::runtime_error{"cannot write " + path.string()};
}

class GzipFile {
 public:
  explicit GzipFile(std::filesystem::path path)
      : path_{std::move(path)}, file_{gzopen(path_.c_str(), "wb4")} {
    if (file_ == nullptr) fail(path_);
  }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  ~GzipFile() {
    if (file_ != nullptr) gzclose(file_);
  }

  void write(const std::string& text) {
    if (gzwrite(file_, text.data(), static_cast<unsigned>(text.size())) == 0) fail(path_);
  }
  void close() {
    if (gzclose(std::exchange(file_, nullptr)) != Z_OK) fail(path_);
  }

 private:
  std::filesystem::path path_;
  gzFile file_;
};

class ZstdFile {
 public:
  explicit ZstdFile(std::filesystem::path path)
      : path_{std::move(path)},
        file_{std::fopen(path_.c_str(), "wb")},
        stream_{ZSTD_createCStream()},
        buffer_(ZSTD_CStreamOutSize()) {
    if (file_ == nullptr || stream_ == nullptr) fail(path_);
  }
  ZstdFile(const ZstdFile&) = delete;
  ZstdFile& operator=(const ZstdFile&) = delete;
  ~ZstdFile() {
    ZSTD_freeCStream(stream_);
    if (file_ != nullptr) std::fclose(file_);
  }

  void write(const std::string& text) { compress(text, ZSTD_e_continue); }
  void close() {
    compress({}, ZSTD_e_end);
    if (std::fclose(std::exchange(file_, nullptr)) != 0) fail(path_);
  }

 private:
  void compress(std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(stream_, &out, &in, directive);
      if (ZSTD_isError(left) != 0 || std::fwrite(buffer_.data(), 1, out.pos, file_) != out.pos) fail(path_);
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  std::filesystem::path path_;
  std::FILE* file_;
  ZSTD_CStream* stream_;
  std::vector<char> buffer_;
};

class RawWriter final : public CaptureWriter {
 public:
  explicit RawWriter(std::filesystem::path directory) : directory_{std::move(directory)} {}

  void write(const Instrument& instrument, const Record& record) override {
    file(instrument, record).write(std::to_string(record.receive_ns) + " " + record.json + "\n");
  }
  void write(const Instrument& instrument, const Record& record, const MalformedLine& line) override {
    const std::string start = line.whole_line ? "" : std::to_string(record.receive_ns) + " ";
    file(instrument, record).write(start + line.text + "\n");
  }
  void close() override {
    for (auto& [path, file] : files_)
      file.close();
  }

 private:
  GzipFile& file(const Instrument& instrument, const Record& record) {
    std::string name = std::string{venue_name(instrument.venue)} + "_" + instrument.symbol;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    const std::filesystem::path path = directory_ / (name + "_" + day_name(record.receive_ns) + ".gz");
    return files_.try_emplace(path, path).first->second;
  }

  std::filesystem::path directory_;
  std::map<std::filesystem::path, GzipFile> files_;
};

class MergedWriter final : public CaptureWriter {
 public:
  explicit MergedWriter(const std::filesystem::path& directory) : file_{directory / "capture.tsv.zst"} {}

  void write(const Instrument& instrument, const Record& record) override {
    file_.write(start(instrument, record) + record.json + "\n");
  }
  void write(const Instrument& instrument, const Record& record, const MalformedLine& line) override {
    file_.write((line.whole_line ? "" : start(instrument, record)) + line.text + "\n");
  }
  void close() override { file_.close(); }

 private:
  static std::string start(const Instrument& instrument, const Record& record) {
    return std::to_string(record.receive_ns) + "\t" + std::string{venue_name(instrument.venue)} + "\t" +
           instrument.symbol + "\t";
  }

  ZstdFile file_;
};

}  // namespace

std::string day_name(std::int64_t time_ns) {
  using std::chrono::days;
  const std::chrono::sys_time<std::chrono::nanoseconds> time{std::chrono::nanoseconds{time_ns}};
  const std::chrono::year_month_day date{std::chrono::floor<days>(time)};
  const auto number = static_cast<unsigned>(static_cast<int>(date.year())) * 10000 +
                      static_cast<unsigned>(date.month()) * 100 + static_cast<unsigned>(date.day());
  return std::to_string(number);
}

std::unique_ptr<CaptureWriter> raw_writer(const std::filesystem::path& directory) {
  return std::make_unique<RawWriter>(directory);
}

std::unique_ptr<CaptureWriter> merged_writer(const std::filesystem::path& directory) {
  return std::make_unique<MergedWriter>(directory);
}

}  // namespace simulator
