// SPDX-License-Identifier: Apache-2.0
#include "decoder.hpp"

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

class PlainDecoder final : public Decoder {
 public:
  explicit PlainDecoder(ByteSource& source) : Decoder{source, 0} {}

  std::size_t read(char* out, std::size_t bytes) override {
    if (!failure_.empty()) return 0;
    const std::size_t got = source_.read(out, bytes);
    produced_bytes_ += got;
    if (got == 0 && source_.error_number() != 0) return fail_truncated("the file");
    return got;
  }
  void restart(const AccessPoint*) override {
    source_.seek(0);
    begin_at(nullptr);
  }
  bool accepts(const AccessPoint&) const override { return false; }
  bool seek(std::uint64_t offset_bytes) override {
    begin_at(nullptr);
    // The byte before the position tells whether the file still reaches that far.
    source_.seek(offset_bytes > 0 ? offset_bytes - 1 : 0);
    produced_bytes_ = offset_bytes;
    if (offset_bytes == 0) return true;
    if (source_.empty()) {
      fail(kShorterThanPosition);
    } else {
      source_.consume(1);
    }
    return true;
  }
};

// Of a file that is compressed in another way. As text it would be lines of noise, and nobody would be told.
class UnreadableDecoder final : public Decoder {
 public:
  UnreadableDecoder(ByteSource& source, const char* kind)
      : Decoder{source, 0}, why_{fmt::format("it is compressed by {}: plain, gzip and zstd are read", kind)} {
    fail(why_);
  }
  std::size_t read(char*, std::size_t) override { return 0; }
  void restart(const AccessPoint*) override {
    begin_at(nullptr);
    fail(why_);
  }
  bool accepts(const AccessPoint&) const override { return false; }

 private:
  std::string why_;
};

// What its first bytes say; nullptr for none of those. No more are asked for than those so far leave open: a pipe may not bring
// more for a while.
const char* other_compression(ByteSource& source) {
  struct Magic {
    std::string_view bytes;
    std::string_view first_block;  // Of bzip2, behind a digit: some text may begin with its first bytes.
    const char* kind;
  };
  using namespace std::string_view_literals;
  // Source: the formats' own descriptions.
  constexpr Magic kKinds[] = {{"BZh"sv, "1AY&SY"sv, "bzip2"},
                              {"\xfd"
                               "7zXZ\0"sv,
                               {},
                               "xz"},
                              {"\x04\"M\x18"sv, {}, "lz4"},
                              {"PK\x03\x04"sv, {}, "zip"}};
  const auto begins = [&source](std::string_view bytes, std::size_t at) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (!source.fill(at + i + 1) || static_cast<char>(source.data()[at + i]) != bytes[i]) return false;
    }
    return true;
  };
  for (const Magic& magic : kKinds) {
    if (begins(magic.bytes, 0) && begins(magic.first_block, magic.bytes.size() + 1)) return magic.kind;
  }
  return nullptr;
}

}  // namespace

AccessPoint& Decoder::new_point(AccessPoint::Kind kind) {
  if (!point_) point_ = std::make_unique<AccessPoint>();
  has_point_ = true;
  last_point_bytes_ = produced_bytes_;
  point_->kind = kind;
  point_->compressed_bytes = source_.offset_bytes();
  point_->uncompressed_bytes = produced_bytes_;
  point_->member_bytes = 0;
  point_->crc = 0;
  point_->bits = 0;
  point_->window_bytes = 0;
  return *point_;
}

void Decoder::begin_at(const AccessPoint* point) {
  produced_bytes_ = point != nullptr ? point->uncompressed_bytes : 0;
  last_point_bytes_ = produced_bytes_;
  has_point_ = false;
  failure_.clear();
}

std::size_t Decoder::fail(std::string why) {
  failure_ = std::move(why);
  return 0;
}

std::size_t Decoder::fail_truncated(const char* inside_what) {
  if (source_.error_number() != 0)
    return fail("cannot be read: " + sluice::errno_text(source_.error_number()));
  return fail(std::string{"the file ends inside "} + inside_what + ", it is truncated");
}

std::unique_ptr<Decoder> make_decoder(ByteSource& source, std::size_t point_every_bytes) {
  if (starts_gzip(source)) return make_gzip_decoder(source, point_every_bytes);
  if (starts_zstd(source)) return make_zstd_decoder(source, point_every_bytes);
  if (const char* kind = other_compression(source)) return std::make_unique<UnreadableDecoder>(source, kind);
  return std::make_unique<PlainDecoder>(source);
}

}  // namespace sluice::detail
