// SPDX-License-Identifier: Apache-2.0
#include "bytes.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <zlib.h>
#include <zstd.h>

namespace reference {
namespace {

constexpr std::size_t kChunkBytes = 1 << 16;

// The packed file: a window of bytes that the unpackers eat from the front.
class Packed {
 public:
  explicit Packed(std::string path) : path_{std::move(path)} {
    file_ = path_ == "-" ? stdin : std::fopen(path_.c_str(), "rb");
    if (file_ == nullptr) fail("cannot open", std::generic_category().message(errno));
  }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  ~Packed() {
    if (file_ != nullptr && file_ != stdin) std::fclose(file_);
  }

  // Makes the window non-empty; false at the end of the file.
  bool fill() {
    if (!window_.empty()) return true;
    const std::size_t got = std::fread(buffer_.data(), 1, buffer_.size(), file_);
    if (std::ferror(file_) != 0) fail("cannot read", std::generic_category().message(errno));
    window_ = {buffer_.data(), got};
    return got > 0;
  }

  std::string_view window() const { return window_; }
  void eat(std::size_t bytes) { window_.remove_prefix(bytes); }

  [[noreturn]] void fail(const char* what, const std::string& why) const {
    throw std::runtime_error{std::string{what} + " " + (path_ == "-" ? "standard input" : path_) + ": " +
                             why};
  }

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
  std::array<char, kChunkBytes> buffer_{};
  std::string_view window_;
};

class Plain final : public Bytes {
 public:
  explicit Plain(std::unique_ptr<Packed> packed) : packed_{std::move(packed)} {}

  std::size_t read(char* target, std::size_t capacity) override {
    if (!packed_->fill()) return 0;
    const std::size_t bytes = std::min(capacity, packed_->window().size());
    std::memcpy(target, packed_->window().data(), bytes);
    packed_->eat(bytes);
    return bytes;
  }

 private:
  std::unique_ptr<Packed> packed_;
};

class Gzip final : public Bytes {
 public:
  explicit Gzip(std::unique_ptr<Packed> packed) : packed_{std::move(packed)} {
    constexpr int kGzipOnly = MAX_WBITS + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) packed_->fail("cannot unpack", "zlib has no memory");
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { inflateEnd(&stream_); }

  std::size_t read(char* target, std::size_t capacity) override {
    stream_.next_out = reinterpret_cast<Bytef*>(target);
    stream_.avail_out = static_cast<uInt>(capacity);
    while (stream_.avail_out == capacity) {
      if (!packed_->fill()) {
        if (inside_member_) packed_->fail("cannot unpack", "the archive is truncated");
        return 0;
      }
      inside_member_ = true;
      const std::string_view window = packed_->window();
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(window.data()));
      stream_.avail_in = static_cast<uInt>(window.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      packed_->eat(window.size() - stream_.avail_in);
      if (status == Z_STREAM_END) {  // Another member may follow.
        inside_member_ = false;
        inflateReset(&stream_);
      } else if (status != Z_OK) {
        packed_->fail("cannot unpack", stream_.msg != nullptr ? stream_.msg : "the archive is damaged");
      }
    }
    return capacity - stream_.avail_out;
  }

 private:
  std::unique_ptr<Packed> packed_;
  z_stream stream_{};
  bool inside_member_ = false;
};

class Zstd final : public Bytes {
 public:
  explicit Zstd(std::unique_ptr<Packed> packed) : packed_{std::move(packed)}, stream_{ZSTD_createDStream()} {
    if (stream_ == nullptr) packed_->fail("cannot unpack", "zstd has no memory");
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  std::size_t read(char* target, std::size_t capacity) override {
    ZSTD_outBuffer out{target, capacity, 0};
    while (out.pos == 0) {
      // A full output may have left unpacked bytes inside the stream, so an empty input is no end by itself.
      const bool more = packed_->fill();
      const std::string_view window = packed_->window();
      ZSTD_inBuffer in{window.data(), window.size(), 0};
      if (!more && !inside_frame_) return 0;
      const std::size_t status = ZSTD_decompressStream(stream_, &out, &in);
      packed_->eat(in.pos);
      if (ZSTD_isError(status) != 0) packed_->fail("cannot unpack", ZSTD_getErrorName(status));
      inside_frame_ = status != 0;
      if (!more && inside_frame_ && out.pos == 0) packed_->fail("cannot unpack", "the archive is truncated");
    }
    return out.pos;
  }

 private:
  std::unique_ptr<Packed> packed_;
  ZSTD_DStream* stream_;
  bool inside_frame_ = false;
};

}  // namespace

std::unique_ptr<Bytes> open_bytes(const std::string& path) {
  auto packed = std::make_unique<Packed>(path);
  packed->fill();
  if (packed->window().starts_with("\x1f\x8b")) return std::make_unique<Gzip>(std::move(packed));
  if (packed->window().starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<Zstd>(std::move(packed));
  return std::make_unique<Plain>(std::move(packed));
}

}  // namespace reference
