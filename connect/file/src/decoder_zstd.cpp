// SPDX-License-Identifier: Apache-2.0
// Reads zstd archives of one or many frames; resumes at the start of a frame, the only place that zstd
// allows.

#include <algorithm>
#include <string>

#include <zstd.h>

#include "decoder.hpp"

namespace sluice::detail {
namespace {

constexpr std::size_t kMagicBytes = 4;

// As far as the source has bytes, at most those of a magic number.
bool agrees_with_magic(const ByteSource& source) {
  std::uint32_t magic = 0;
  std::uint32_t known = 0;
  for (std::size_t at = 0; at < std::min(kMagicBytes, source.size()); ++at) {
    magic |= static_cast<std::uint32_t>(source.data()[at]) << (8 * at);
    known |= std::uint32_t{0xff} << (8 * at);
  }
  return ((magic ^ ZSTD_MAGICNUMBER) & known) == 0 ||
         ((magic ^ ZSTD_MAGIC_SKIPPABLE_START) & ZSTD_MAGIC_SKIPPABLE_MASK & known) == 0;
}

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder(ByteSource& source, std::size_t point_every_bytes)
      : Decoder{source, point_every_bytes}, stream_{ZSTD_createDStream()} {
    if (!stream_) fail("no memory for the zstd decoder");
  }

  std::size_t read(char* out, std::size_t bytes) override {
    if (!failure_.empty()) return 0;
    ZSTD_outBuffer to{out, bytes, 0};
    while (to.pos == 0) {  // Every turn consumes input, puts something out or ends the loop.
      const bool input_ended = source_.empty();
      if (!inside_frame_) {
        if (input_ended) return source_.error_number() != 0 ? fail_truncated("the file") : 0;
        if (!begins_frame()) return fail("what follows the last zstd frame is no zstd frame");
        if (produced_bytes_ > 0 && point_due()) new_point(AccessPoint::Kind::zstd_frame);
      }
      ZSTD_inBuffer from{source_.data(), next_input_bytes(), 0};
      const std::size_t hint = ZSTD_decompressStream(stream_.get(), &to, &from);
      if (ZSTD_isError(hint) != 0) {
        return fail(std::string{"the zstd frame is damaged: "} + ZSTD_getErrorName(hint));
      }
      source_.consume(from.pos);
      produced_bytes_ += to.pos;
      // A frame may still hold output when all input is used, so only its end may mean the end of the file.
      inside_frame_ = hint != 0;
      hint_bytes_ = hint;
      output_waits_ = to.pos == to.size;
      if (input_ended && to.pos == 0 && inside_frame_) return fail_truncated("a zstd frame");
    }
    return to.pos;
  }

  void restart(const AccessPoint* point) override {
    source_.seek(point != nullptr ? point->compressed_bytes : 0);
    ZSTD_DCtx_reset(stream_.get(), ZSTD_reset_session_only);
    inside_frame_ = false;
    output_waits_ = false;
    begin_at(point);
  }
  bool accepts(const AccessPoint& point) const override {
    return point.kind == AccessPoint::Kind::zstd_frame;
  }

 private:
  static constexpr std::size_t kBlockHeaderBytes = 3;
  static constexpr std::size_t kFirstBytes = 5;  // Of a frame, enough to tell the size of its header.

  // What follows may be shorter than a magic number, and is not truncated for that.
  bool begins_frame() {
    source_.fill(kMagicBytes);
    return agrees_with_magic(source_);
  }

  // A call that fails loses what it put out, so no call gets more than one step can fail on: what waits to be
  // put out goes alone, and a block goes without the header of the next, which the hint counts in. Then the
  // text before a damage is the same wherever reading began and however large the caller's buffer is.
  std::size_t next_input_bytes() const {
    if (output_waits_) return 0;
    const std::size_t hint = inside_frame_ ? hint_bytes_ : kFirstBytes;
    return std::min(hint > kBlockHeaderBytes ? hint - kBlockHeaderBytes : hint, source_.size());
  }

  std::unique_ptr<ZSTD_DStream, FreeStream> stream_;
  std::size_t hint_bytes_ = 0;  // What zstd expects next, while inside a frame.
  bool inside_frame_ = false;
  bool output_waits_ = false;  // The last call filled the caller's buffer, so there may be more.
};

}  // namespace

bool starts_zstd(ByteSource& source) {
  return source.fill(kMagicBytes) && agrees_with_magic(source);
}

std::unique_ptr<Decoder> make_zstd_decoder(ByteSource& source, std::size_t point_every_bytes) {
  return std::make_unique<ZstdDecoder>(source, point_every_bytes);
}

}  // namespace sluice::detail
