// SPDX-License-Identifier: Apache-2.0
// What tests that read files share: files of their own, archives, and the recorded data if it is there.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "support/recorded_data.hpp"

namespace sluice::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "sluice-files-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error{"mkdtemp " + path};
    path_ = path;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string write(std::string_view name, std::string_view content) const {
    const std::filesystem::path path = path_ / name;
    std::ofstream file{path, std::ios::binary};
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!file.flush()) throw std::runtime_error{"write " + path.string()};
    return path.string();
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) throw std::runtime_error{"open " + path.string()};
  std::stringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

// One gzip member, with a file name in its header as gzip writes it if `name` is not empty.
inline std::string gzip(std::string_view text, std::string name = {}, int level = 6) {
  constexpr int kGzip = MAX_WBITS + 16;
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc{};
  gz_header header{};
  std::string extra = "extra";
  if (!name.empty()) {
    header.name = reinterpret_cast<Bytef*>(name.data());
    header.comment = reinterpret_cast<Bytef*>(name.data());
    header.extra = reinterpret_cast<Bytef*>(extra.data());
    header.extra_len = static_cast<uInt>(extra.size());
    header.hcrc = 1;
    deflateSetHeader(&stream, &header);
  }
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error{"deflate"};
  return out;
}

// One zstd frame.
inline std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  if (ZSTD_isError(size) != 0) throw std::runtime_error{ZSTD_getErrorName(size)};
  out.resize(size);
  return out;
}

// A test on the recorded captures. Without them it is skipped, unless SLUICE_TEST_DATA promises them.
class RecordedData : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* promised = sluice::test::recorded_data();
    data_ = std::filesystem::path{promised != nullptr ? promised : RECORDED_DATA_DEFAULT} / "binance";
    if (std::filesystem::exists(data_ / "answers")) return;
    if (promised != nullptr)
      FAIL() << "SLUICE_TEST_DATA is set, but " << data_ << " holds no recorded captures";
    GTEST_SKIP() << "no recorded captures in " << data_ << "; set SLUICE_TEST_DATA to the folder of the data";
  }

  std::filesystem::path data_;
};

}  // namespace sluice::test
