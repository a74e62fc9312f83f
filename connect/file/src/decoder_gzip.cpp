// SPDX-License-Identifier: Apache-2.0
// Reads gzip archives (RFC 1952) of one or many members, and resumes in the middle of one.
//
// zlib inflates the raw deflate stream; header, checksum and length are read here, so that a member that is
// resumed half way is still checked to its end. The way to resume is that of zlib's examples/zran.c: stop at
// the end of a deflate block, keep the unused bits of the last byte and the 32 KiB that were put out last.

#include <algorithm>
#include <iterator>
#include <string>

#include <zlib.h>

#include "decoder.hpp"

namespace sluice::detail {
namespace {

constexpr unsigned char kMagic[] = {0x1f, 0x8b};
constexpr unsigned char kDeflate = 8;
constexpr int kRawDeflate = -MAX_WBITS;
constexpr std::size_t kTrailerBytes = 8;

// What the flag bits of a member's header announce.
constexpr unsigned kHasHeaderCrc = 2;
constexpr unsigned kHasExtra = 4;
constexpr unsigned kHasName = 8;
constexpr unsigned kHasComment = 16;
constexpr unsigned kReserved = 0xe0;

// What zlib reports in data_type when it returns (see Z_BLOCK in zlib.h).
constexpr int kUnusedBits = 7;
constexpr int kLastBlock = 64;
constexpr int kBlockEnded = 128;

std::uint32_t little_endian(const unsigned char* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder(ByteSource& source, std::size_t point_every_bytes) : Decoder{source, point_every_bytes} {
    if (inflateInit2(&stream_, kRawDeflate) != Z_OK) fail("no memory for the gzip decoder");
  }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;
  ~GzipDecoder() override { inflateEnd(&stream_); }

  std::size_t read(char* out, std::size_t bytes) override {
    std::size_t written = 0;
    while (written < bytes && failure_.empty() && part_ != Part::end) {
      // What a pipe has brought so far is handed on rather than kept waiting for more.
      if (written > 0 && source_.size() == 0) break;
      switch (part_) {
        case Part::header:
          read_header();
          break;
        case Part::body:
          written += inflate_some(out + written, bytes - written);
          break;
        case Part::trailer:
          read_trailer();
          break;
        case Part::end:
          break;
      }
    }
    return written;
  }

  void restart(const AccessPoint* point) override {
    begin_at(point);
    const bool inside_member = point != nullptr && point->kind == AccessPoint::Kind::gzip_block;
    source_.seek(point == nullptr ? 0 : point->compressed_bytes - (point->bits != 0 ? 1 : 0));
    inflateReset(&stream_);
    members_ = 0;
    part_ = inside_member ? Part::body : Part::header;
    if (!inside_member) return;
    member_bytes_ = point->member_bytes;
    crc_ = point->crc;
    if (point->bits != 0) {
      unsigned char last = 0;
      if (!next_byte(last)) return;
      const int bits = static_cast<int>(point->bits);
      inflatePrime(&stream_, bits, last >> (8 - bits));
    }
    inflateSetDictionary(&stream_, point->window, point->window_bytes);
  }

  bool accepts(const AccessPoint& point) const override {
    return point.kind == AccessPoint::Kind::gzip_member ||
           (point.kind == AccessPoint::Kind::gzip_block && point.bits < 8 && point.compressed_bytes > 0 &&
            point.window_bytes <= kWindowBytes);
  }

 private:
  enum class Part { header, body, trailer, end };

  bool next_byte(unsigned char& byte) {
    if (source_.empty()) {
      fail_truncated("a gzip member");
      return false;
    }
    byte = *source_.data();
    source_.consume(1);
    return true;
  }

  bool skip(std::size_t bytes) {
    for (unsigned char ignored = 0; bytes > 0; --bytes) {
      if (!next_byte(ignored)) return false;
    }
    return true;
  }

  bool skip_text() {
    for (unsigned char byte = 1; byte != 0;) {
      if (!next_byte(byte)) return false;
    }
    return true;
  }

  // Zeros behind a member are padding, as tapes and block devices leave it.
  bool at_end_of_archive() {
    while (produced_bytes_ + members_ > 0 && !source_.empty() && *source_.data() == 0)
      source_.consume(1);
    return source_.empty();
  }

  void read_header() {
    if (at_end_of_archive()) {
      part_ = Part::end;
      if (source_.error_number() != 0) fail_truncated("the file");
      return;
    }
    if (produced_bytes_ > 0 && point_due()) new_point(AccessPoint::Kind::gzip_member);
    unsigned char fixed[10] = {};  // Magic, method, flags, time, extra flags, system.
    for (std::size_t at = 0; at < std::size(fixed); ++at) {
      if (!next_byte(fixed[at])) return;
      // At its first byte: what follows may be shorter than a header, and is not truncated for that.
      if (at < std::size(kMagic) && fixed[at] != kMagic[at]) {
        fail("what follows the last gzip member is no gzip member");
        return;
      }
    }
    if (fixed[2] != kDeflate || (fixed[3] & kReserved) != 0) {
      fail("the gzip member is of an unknown kind");
      return;
    }
    const unsigned flags = fixed[3];
    if ((flags & kHasExtra) != 0) {
      unsigned char length[2] = {};
      if (!next_byte(length[0]) || !next_byte(length[1])) return;
      if (!skip(static_cast<std::size_t>(length[0]) + 256 * static_cast<std::size_t>(length[1]))) return;
    }
    if ((flags & kHasName) != 0 && !skip_text()) return;
    if ((flags & kHasComment) != 0 && !skip_text()) return;
    if ((flags & kHasHeaderCrc) != 0 && !skip(2)) return;
    inflateReset(&stream_);
    member_bytes_ = 0;
    crc_ = 0;
    part_ = Part::body;
  }

  std::size_t inflate_some(char* out, std::size_t bytes) {
    if (source_.empty()) return fail_truncated("a gzip member");
    stream_.next_in = const_cast<unsigned char*>(source_.data());  // zlib reads it only.
    stream_.avail_in = static_cast<uInt>(source_.size());
    stream_.next_out = reinterpret_cast<unsigned char*>(out);
    stream_.avail_out = static_cast<uInt>(bytes);
    const int result = inflate(&stream_, Z_BLOCK);
    source_.consume(source_.size() - stream_.avail_in);
    const std::size_t written = bytes - stream_.avail_out;
    produced_bytes_ += written;
    member_bytes_ += written;
    crc_ = static_cast<std::uint32_t>(
        crc32(crc_, reinterpret_cast<const unsigned char*>(out), static_cast<uInt>(written)));
    if (result == Z_STREAM_END) {
      part_ = Part::trailer;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail(std::string{"the gzip member is damaged: "} +
           (stream_.msg != nullptr ? stream_.msg : zError(result)));
    } else if ((stream_.data_type & kBlockEnded) != 0 && (stream_.data_type & kLastBlock) == 0 &&
               point_due()) {
      keep_block_point();
    }
    return written;
  }

  void keep_block_point() {
    AccessPoint& point = new_point(AccessPoint::Kind::gzip_block);
    point.bits = static_cast<std::uint32_t>(stream_.data_type & kUnusedBits);
    point.member_bytes = member_bytes_;
    point.crc = crc_;
    uInt window_bytes = kWindowBytes;
    inflateGetDictionary(&stream_, point.window, &window_bytes);
    point.window_bytes = window_bytes;
  }

  void read_trailer() {
    if (!source_.fill(kTrailerBytes)) {
      fail_truncated("a gzip member");
      return;
    }
    const std::uint32_t crc = little_endian(source_.data());
    const std::uint32_t length = little_endian(source_.data() + 4);
    if (crc != crc_ || length != static_cast<std::uint32_t>(member_bytes_)) {
      fail("the gzip member is damaged: its checksum is wrong");
      return;
    }
    source_.consume(kTrailerBytes);
    ++members_;
    part_ = Part::header;
  }

  z_stream stream_{};
  Part part_ = Part::header;
  std::uint64_t member_bytes_ = 0;
  std::uint64_t members_ = 0;  // Read to their end since the beginning or the last restart.
  std::uint32_t crc_ = 0;
};

}  // namespace

bool starts_gzip(ByteSource& source) {
  return source.fill(2) && std::equal(std::begin(kMagic), std::end(kMagic), source.data());
}

std::unique_ptr<Decoder> make_gzip_decoder(ByteSource& source, std::size_t point_every_bytes) {
  return std::make_unique<GzipDecoder>(source, point_every_bytes);
}

}  // namespace sluice::detail
