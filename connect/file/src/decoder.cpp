// SPDX-License-Identifier: Apache-2.0
#include "decoder.hpp"

#include <algorithm>
#include <iterator>
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

using namespace std::string_view_literals;

struct Magic {
  std::string_view bytes;
  std::string_view first_block;  // Of bzip2, behind a digit: some text may begin with its first bytes.
  const char* kind;
};
// Source: the formats' own descriptions.
constexpr Magic kOtherKinds[] = {{"BZh"sv, "1AY&SY"sv, "bzip2"},
                                 {"\xfd"
                                  "7zXZ\0"sv,
                                  {},
                                  "xz"},
                                 {"\x04\"M\x18"sv, {}, "lz4"},
                                 {"PK\x03\x04"sv, {}, "zip"}};

// What its first bytes say; nullptr for none of those. No more are asked for than those so far leave open: a pipe may not bring
// more for a while.
const char* other_compression(ByteSource& source) {
  const auto begins = [&source](std::string_view bytes, std::size_t at) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (!source.fill(at + i + 1) || static_cast<char>(source.data()[at + i]) != bytes[i]) return false;
    }
    return true;
  };
  for (const Magic& magic : kOtherKinds) {
    if (begins(magic.bytes, 0) && begins(magic.first_block, magic.bytes.size() + 1)) return magic.kind;
  }
  return nullptr;
}

// Whether `there` is less than `magic`, and as it begins.
bool is_begun(std::string_view there, std::string_view magic) {
  return there.size() < magic.size() && magic.starts_with(there);
}

bool is_begun(std::string_view there, const Magic& magic) {
  if (is_begun(there, magic.bytes)) return true;
  if (magic.first_block.empty() || !there.starts_with(magic.bytes)) return false;
  return there.size() == magic.bytes.size() ||
         is_begun(there.substr(magic.bytes.size() + 1), magic.first_block);
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
  ends_early_ = false;
}

std::size_t Decoder::fail(std::string why) {
  failure_ = std::move(why);
  return 0;
}

std::size_t Decoder::fail_truncated(const char* inside_what) {
  if (source_.error_number() != 0)
    return fail("cannot be read: " + sluice::errno_text(source_.error_number()));
  ends_early_ = true;
  return fail(std::string{"the file ends inside "} + inside_what + ", it is truncated");
}

bool kind_is_open(ByteSource& source) {
  // RFC 1952; RFC 8878, whose frames that are skipped have any of 16 first bytes.
  constexpr auto kGzip = "\x1f\x8b"sv;
  constexpr auto kZstd = "\x28\xb5\x2f\xfd"sv;
  constexpr auto kSkipped = "\x2a\x4d\x18"sv;
  source.seek(0);
  source.fill(ByteSource::kMinimumMost);
  if (source.error_number() != 0) return false;
  const std::string_view there{reinterpret_cast<const char*>(source.data()), source.size()};
  if (there.empty() || is_begun(there, kGzip) || is_begun(there, kZstd)) return true;
  const bool may_be_skipped = (static_cast<unsigned char>(there.front()) & 0xf0U) == 0x50;
  return (may_be_skipped && is_begun(there.substr(1), kSkipped)) ||
         std::any_of(std::begin(kOtherKinds), std::end(kOtherKinds),
                     [there](const Magic& magic) { return is_begun(there, magic); });
}

std::unique_ptr<Decoder> make_decoder(ByteSource& source, std::size_t point_every_bytes) {
  if (starts_gzip(source)) return make_gzip_decoder(source, point_every_bytes);
  if (starts_zstd(source)) return make_zstd_decoder(source, point_every_bytes);
  if (const char* kind = other_compression(source)) return std::make_unique<UnreadableDecoder>(source, kind);
  return make_plain_decoder(source);
}

std::unique_ptr<Decoder> make_plain_decoder(ByteSource& source) {
  return std::make_unique<PlainDecoder>(source);
}

}  // namespace sluice::detail
