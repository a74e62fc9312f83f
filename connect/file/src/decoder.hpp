// SPDX-License-Identifier: Apache-2.0
// How the bytes of a file become its text: one decoder for each kind of file, told apart by the first
// bytes.
//
// A decoder is read from front to back. It ends by returning zero bytes; failure() then says whether that was
// the end of the file or the place where it is damaged. Everything returned before stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/connect/access_point.hpp>
#include <sluice/connect/detail/byte_source.hpp>

namespace sluice::detail {

class Decoder {
 public:
  virtual ~Decoder() = default;

  // Up to `bytes` (more than zero) of text; zero at the end or at the damage, and so ever after.
  virtual std::size_t read(char* out, std::size_t bytes) = 0;

  // Starts over at the point, which is of a kind that accepts() names, or at the beginning without one.
  virtual void restart(const AccessPoint* point) = 0;
  virtual bool accepts(const AccessPoint& point) const = 0;

  // Goes straight to an offset of the text, if this kind of file can: true, also when it failed on the way.
  virtual bool seek(std::uint64_t) { return false; }

  // The newest point that nobody took yet, or null. It may lie ahead of what the caller has used so far.
  const AccessPoint* point() const { return has_point_ ? point_.get() : nullptr; }
  void drop_point() { has_point_ = false; }

  const std::string& failure() const { return failure_; }           // Empty while all is well.
  bool ends_early() const { return ends_early_; }                   // The failure: more had to come.
  std::uint64_t produced_bytes() const { return produced_bytes_; }  // Offset in the uncompressed stream.
  // Marks the file as damaged here; returns zero, the bytes that came of it.
  std::size_t fail(std::string why);

 protected:
  Decoder(ByteSource& source, std::size_t point_every_bytes)
      : source_{source}, point_every_bytes_{point_every_bytes} {}

  // A new point is due only when the last one was taken: who takes none pays for one.
  bool point_due() const {
    return point_every_bytes_ > 0 && !has_point_ && produced_bytes_ - last_point_bytes_ >= point_every_bytes_;
  }
  // The point to be filled in; its window is left as it is.
  AccessPoint& new_point(AccessPoint::Kind kind);
  void begin_at(const AccessPoint* point);
  // The end of the file where more had to come, or the read error that looks like it.
  std::size_t fail_truncated(const char* inside_what);

  ByteSource& source_;
  std::uint64_t produced_bytes_ = 0;
  std::string failure_;
  bool ends_early_ = false;

 private:
  std::unique_ptr<AccessPoint> point_;
  std::size_t point_every_bytes_;
  std::uint64_t last_point_bytes_ = 0;
  bool has_point_ = false;
};

inline constexpr const char* kShorterThanPosition =
    "the file ends before the position that was read already, it was changed";

// Whether the bytes of the source are so few that what follows decides of which kind the file is. Of a source that can seek, at its
// beginning: what it has by then is looked at anew.
bool kind_is_open(ByteSource& source);

// Looks at the first bytes of the source and makes the decoder for them; the source outlives it.
std::unique_ptr<Decoder> make_decoder(ByteSource& source, std::size_t point_every_bytes);

bool starts_gzip(ByteSource& source);
bool starts_zstd(ByteSource& source);
std::unique_ptr<Decoder> make_plain_decoder(ByteSource& source);
std::unique_ptr<Decoder> make_gzip_decoder(ByteSource& source, std::size_t point_every_bytes);
std::unique_ptr<Decoder> make_zstd_decoder(ByteSource& source, std::size_t point_every_bytes);

}  // namespace sluice::detail
