// Reads zstd archives of one or many frames; resumes at the start of a frame, the only place that zstd
// allows.

#include <string>

#include <zstd.h>

#include "market/capture_file_decoder.hpp"

namespace market {
namespace {

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
    // Every turn consumes input or ends the loop; skippable and empty frames make output-free turns.
    while (to.pos == 0) {
      // A frame may still hold output when all input is used, so only its end may mean the end of the file.
      const bool input_ended = source_.empty();
      if (input_ended && !inside_frame_) return source_.error_number() != 0 ? fail_truncated("the file") : 0;
      ZSTD_inBuffer from{source_.data(), source_.size(), 0};
      const std::size_t wanted = ZSTD_decompressStream(stream_.get(), &to, &from);
      source_.consume(from.pos);
      produced_bytes_ += to.pos;
      if (ZSTD_isError(wanted) != 0) {
        fail(std::string{"the zstd frame is damaged: "} + ZSTD_getErrorName(wanted));
        return to.pos;
      }
      inside_frame_ = wanted != 0;
      if (!inside_frame_ && point_due()) new_point(AccessPoint::Kind::zstd_frame);
      if (input_ended && to.pos == 0 && inside_frame_) return fail_truncated("a zstd frame");
    }
    return to.pos;
  }

  void restart(const AccessPoint* point) override {
    source_.seek(point != nullptr ? point->compressed_bytes : 0);
    ZSTD_DCtx_reset(stream_.get(), ZSTD_reset_session_only);
    inside_frame_ = false;
    begin_at(point);
  }
  bool accepts(const AccessPoint& point) const override {
    return point.kind == AccessPoint::Kind::zstd_frame;
  }

 private:
  std::unique_ptr<ZSTD_DStream, FreeStream> stream_;
  bool inside_frame_ = false;
};

}  // namespace

bool starts_zstd(ByteSource& source) {
  if (!source.fill(4)) return false;
  const unsigned char* first = source.data();
  const auto magic = static_cast<std::uint32_t>(first[0]) | static_cast<std::uint32_t>(first[1]) << 8 |
                     static_cast<std::uint32_t>(first[2]) << 16 | static_cast<std::uint32_t>(first[3]) << 24;
  return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

std::unique_ptr<Decoder> make_zstd_decoder(ByteSource& source, std::size_t point_every_bytes) {
  return std::make_unique<ZstdDecoder>(source, point_every_bytes);
}

}  // namespace market
