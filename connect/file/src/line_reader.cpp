// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <tuple>
#include <utility>

#include <sluice/connect/line_reader.hpp>
#include <sluice/error.hpp>

#include "decoder.hpp"
#include "files_there.hpp"

namespace sluice {
namespace {

// How much is decompressed at once: small enough to be still in the second-level cache when the lines are
// read.
constexpr std::size_t kChunkBytes = std::size_t{128} << 10;

constexpr std::size_t kPrefixBytes = 4;

// Of the longest line: where a quoted field that has not ended by then is taken for one that nobody has closed.
constexpr std::uint64_t kLongestFields = 16;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// What the prefix there says.
std::uint32_t length_at(const char* prefix) {
  std::uint32_t length = 0;
  for (std::size_t byte = 0; byte < kPrefixBytes; ++byte)
    length = length << 8U | static_cast<unsigned char>(prefix[byte]);
  return length;
}

detail::FileDescriptor open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) detail::throw_if_away(errno, path);
  if (fd < 0) throw Error{{"open the file", path, errno_text(), "check the path and the right to read it"}};
  return detail::FileDescriptor::owned(fd);
}

}  // namespace

LineReader::LineReader(const std::string& path, const LineReaderOptions& options)
    : LineReader{std::make_unique<detail::ByteSource>(open_file(path)), path, options} {
  detail::throw_if_away(read_error(), path);
  check_beginning();
}

LineReader::LineReader(int descriptor, std::string name, const LineReaderOptions& options)
    : LineReader{std::make_unique<detail::ByteSource>(detail::FileDescriptor::borrowed(descriptor)),
                 std::move(name), options} {
  check_beginning();
}

LineReader::LineReader(std::unique_ptr<detail::ByteSource> source, std::string name,
                       const LineReaderOptions& options)
    : name_{std::move(name)},
      source_{std::move(source)},
      max_line_bytes_{options.max_line_bytes},
      capacity_bytes_{kBeforeBytes + options.max_line_bytes + kPrefixBytes + kChunkBytes},
      point_every_bytes_{options.access_point_every_bytes},
      at_once_{options.at_once},
      growing_{options.growing},
      quoted_{options.quoted},
      prefixed_{options.framing == Framing::length_prefixed},
      buffer_{std::make_unique_for_overwrite<char[]>(capacity_bytes_ + kReadableBehind)} {
  std::memset(buffer_.get() + capacity_bytes_, 0, kReadableBehind);
  // By one look: what comes behind it must not decide half of this.
  guarded_ = undecided_ = growing_ && source_->can_seek() && detail::kind_is_open(*source_);
  if (undecided_) {
    decoder_ = detail::make_plain_decoder(*source_);
  } else {
    decide_kind();
  }
}

void LineReader::check_beginning() const {
  if (read_error() == 0) return;
  throw Error{{"read the file", name_, errno_text(read_error()), "name a readable file, not a directory"}};
}

// By the first bytes, which are at hand or are read.
void LineReader::decide_kind() {
  undecided_ = false;
  compressed_ = detail::starts_gzip(*source_) || detail::starts_zstd(*source_);
  growing_ = guarded_ = growing_ && !compressed_;
  decoder_ = detail::make_decoder(*source_, point_every_bytes_);
}

LineReader::LineReader(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

FileLine LineReader::next() {
  reading_since_ = {};
  if (!catch_up()) return no_line(LineStatus::pending);
  if (prefixed_) return next_frame();
  if (skipped_bytes_ > 0) return skip_long_line();
  for (;;) {  // Every turn reads on in the file; its end ends the loop.
    if (const char* newline = find_newline(); newline != nullptr) return deliver(newline);
    if (end_ - begin_ > max_line_bytes_) return skip_long_line();
    if (!refill()) return finish();
  }
}

// Whether this call has read for as long as it may. Asked for with each piece that it has read.
bool LineReader::is_over() {
  if (at_once_.count() == 0) return false;
  const auto now = std::chrono::steady_clock::now();
  if (reading_since_.time_since_epoch().count() == 0) reading_since_ = now;
  return now - reading_since_ >= at_once_;
}

FileLine LineReader::next_at_hand(std::size_t most_bytes) {
  most_bytes = std::min(most_bytes, max_line_bytes_);
  if (skipped_bytes_ > 0 || frame_bytes_ != 0) return {};
  if (prefixed_) {
    if (!frame_at_hand()) return {};
    const std::uint32_t length = length_at(buffer_.get() + begin_);
    return length <= most_bytes ? deliver_frame(length) : FileLine{};
  }
  const char* newline = find_newline();
  if (newline == nullptr) return {};
  if (static_cast<std::size_t>(newline - buffer_.get()) - begin_ <= most_bytes) return deliver(newline);
  scanned_ = static_cast<std::size_t>(newline - buffer_.get());  // The quotes before it have been counted.
  return {};
}

// The end of the line at begin_, or null when more must be read.
const char* LineReader::find_newline() {
  while (scanned_ < end_) {
    const char* const from = buffer_.get() + scanned_;
    const auto* newline = static_cast<const char*>(std::memchr(from, '\n', end_ - scanned_));
    const char* const to = newline != nullptr ? newline : buffer_.get() + end_;
    if (quoted_) pass_quotes(from, to);
    if (newline != nullptr && (!in_quotes_ || is_never_closed(newline))) return newline;
    scanned_ = static_cast<std::size_t>(to - buffer_.get()) + (newline != nullptr ? 1 : 0);
  }
  return nullptr;
}

// A field that takes so much along: its row ends at the newline.
bool LineReader::is_never_closed(const char* newline) const {
  const auto here = static_cast<std::uint64_t>(newline - buffer_.get()) - begin_;
  return skipped_bytes_ + here > kLongestFields * max_line_bytes_;
}

// The quotes between the two, in the row that begins at begin_, or before it, where it is too long. One that neither opens a
// field, at its beginning, nor closes it nor stands for another within it is text: what is wrong with its row is no reason to
// take the next ones along.
void LineReader::pass_quotes(const char* from, const char* to) {
  // With what stands before a quote, which has been skipped if the row is too long.
  const char* const row = buffer_.get() + begin_ - (skipped_bytes_ > 0 ? 1 : 0);
  for (const char* quote = from; quote != to; ++quote) {
    quote = static_cast<const char*>(std::memchr(quote, '"', static_cast<std::size_t>(to - quote)));
    if (quote == nullptr) return;
    const auto at = static_cast<std::size_t>(quote - row);
    if (in_quotes_) {
      in_quotes_ = false;
      closing_quote_ = at;
    } else {
      in_quotes_ = begins_field(row, at) || at == closing_quote_ + 1;
    }
  }
}

bool LineReader::begins_field(const char* row, std::size_t at) const {
  const bool behind_mark = position_.offset_bytes == 0 && skipped_bytes_ == 0 &&
                           at == kByteOrderMark.size() && std::string_view{row, at} == kByteOrderMark;
  return at == 0 || row[at - 1] == ',' || behind_mark;
}

bool LineReader::line_at_hand() const {
  if (prefixed_) return frame_at_hand();
  return std::memchr(buffer_.get() + begin_, '\n', end_ - begin_) != nullptr;
}

// Makes room behind what was not delivered yet, and what stands before that, and decompresses into it; false at the end or
// the damage.
bool LineReader::refill() {
  if (undecided_) {
    if (growing_ && detail::kind_is_open(*source_)) return false;
    decide_kind();
  }
  if (begin_ > kBeforeBytes) {
    const std::size_t gone = begin_ - kBeforeBytes;
    std::memmove(buffer_.get(), buffer_.get() + gone, end_ - gone);
    begin_ -= gone;
    end_ -= gone;
    scanned_ -= gone;
  }
  const std::uint64_t offset = source_->offset_bytes();
  const std::size_t got = decoder_->read(buffer_.get() + end_, kChunkBytes);
  if (guarded_ && !still_stands(offset)) {
    changed_ = true;
    decoder_->fail("it was cut or written anew");
    return false;
  }
  end_ += got;
  return got > 0;
}

// What was read before `offset_bytes`, as far as it is at hand. Asked for when more has been read: what the file held by then
// is behind what it held before.
bool LineReader::still_stands(std::uint64_t offset_bytes) const {
  char now[kBeforeBytes];
  const std::size_t bytes = std::min(end_, kBeforeBytes);
  return source_->read_at(offset_bytes - bytes, now, bytes) == bytes &&
         std::memcmp(now, buffer_.get() + end_ - bytes, bytes) == 0;
}

FileLine LineReader::deliver(const char* newline) {
  const char* const start = buffer_.get() + begin_;
  const auto length = static_cast<std::size_t>(newline - start);
  begin_ += length + 1;
  scanned_ = begin_;
  forget_quotes();
  position_.offset_bytes += length + 1;
  ++position_.line_number;
  if (length > max_line_bytes_) {
    return {LineStatus::too_long, {start, std::min(length, kLongLineBytes)}, position_.line_number, length};
  }
  return {LineStatus::line, {start, length}, position_.line_number, length};
}

void LineReader::forget_quotes() {
  in_quotes_ = false;
  closing_quote_ = kNone;
}

// What is there of a line that is too long; the byte before begin_ stays at hand.
void LineReader::drop_what_is_there() {
  const std::size_t before = skipped_bytes_ > 0 ? 1 : 0;  // closing_quote_ counts from there.
  const bool just_closed = closing_quote_ != kNone && closing_quote_ + 1 == end_ - begin_ + before;
  if (end_ != begin_) closing_quote_ = just_closed ? 0 : kNone;
  skipped_bytes_ += end_ - begin_;
  begin_ = scanned_ = end_;
}

// It has not ended within the maximum: what follows is dropped chunk by chunk until it does.
FileLine LineReader::skip_long_line() {
  if (skipped_bytes_ == 0) long_line_.assign(buffer_.get() + begin_, std::min(end_ - begin_, kLongLineBytes));
  for (;;) {  // Every turn reads on in the file; its end ends the loop.
    drop_what_is_there();
    if (is_over()) return no_line(LineStatus::pending);
    if (!refill()) {
      // The damage took the end of this line, so it is no line.
      if (!decoder_->failure().empty()) return no_line(LineStatus::broken);
      if (growing_) return no_line(LineStatus::end);
      return deliver_long_line(std::exchange(skipped_bytes_, 0), 0);
    }
    const char* const newline = find_newline();
    if (newline == nullptr) continue;
    const auto rest = static_cast<std::size_t>(newline - buffer_.get()) - begin_;
    begin_ = scanned_ = begin_ + rest + 1;
    return deliver_long_line(std::exchange(skipped_bytes_, 0) + rest, 1);
  }
}

FileLine LineReader::deliver_long_line(std::uint64_t length_bytes, std::uint64_t newline_bytes) {
  position_.offset_bytes += length_bytes + newline_bytes;
  forget_quotes();
  return {LineStatus::too_long, long_line_, ++position_.line_number, length_bytes};
}

// Nothing more comes. A last line without newline is a line; one that the damage cut off is not.
FileLine LineReader::finish() {
  if (!decoder_->failure().empty()) return no_line(LineStatus::broken);
  if (begin_ == end_ || growing_) return no_line(LineStatus::end);
  const FileLine last{
      LineStatus::line, {buffer_.get() + begin_, end_ - begin_}, position_.line_number + 1, end_ - begin_};
  position_.offset_bytes += end_ - begin_;
  ++position_.line_number;
  begin_ = scanned_ = end_;
  return last;
}

bool LineReader::frame_at_hand() const {
  const std::size_t there = end_ - begin_;
  return there >= kPrefixBytes && there - kPrefixBytes >= length_at(buffer_.get() + begin_);
}

FileLine LineReader::next_frame() {
  if (frame_bytes_ != 0) return skip_long_frame();
  for (;;) {  // Every turn reads on in the file; its end ends the loop.
    if (end_ - begin_ >= kPrefixBytes) {
      const std::uint32_t length = length_at(buffer_.get() + begin_);
      if (length > max_line_bytes_) {
        frame_bytes_ = std::uint64_t{length} + kPrefixBytes;
        long_line_.assign(buffer_.get() + begin_ + kPrefixBytes,
                          std::min({end_ - begin_ - kPrefixBytes, kLongLineBytes, std::size_t{length}}));
        return skip_long_frame();
      }
      if (frame_at_hand()) return deliver_frame(length);
    }
    if (!refill()) return finish_frames();
  }
}

FileLine LineReader::deliver_frame(std::uint32_t length_bytes) {
  const char* const start = buffer_.get() + begin_ + kPrefixBytes;
  begin_ += kPrefixBytes + length_bytes;
  scanned_ = begin_;
  position_.offset_bytes += kPrefixBytes + length_bytes;
  ++position_.line_number;
  return {LineStatus::line, {start, length_bytes}, position_.line_number, length_bytes};
}

// What there is of it is dropped, chunk by chunk.
FileLine LineReader::skip_long_frame() {
  for (;;) {  // Every turn reads on in the file; its end ends the loop.
    const std::uint64_t left = frame_bytes_ - skipped_bytes_;
    const std::size_t dropped = left < end_ - begin_ ? static_cast<std::size_t>(left) : end_ - begin_;
    skipped_bytes_ += dropped;
    scanned_ = begin_ += dropped;
    if (dropped == left) {
      skipped_bytes_ = 0;
      return deliver_long_line(std::exchange(frame_bytes_, 0) - kPrefixBytes, kPrefixBytes);
    }
    if (is_over()) return no_line(LineStatus::pending);
    if (!refill()) return finish_frames();
  }
}

// Nothing more comes. What there is of a record is none.
FileLine LineReader::finish_frames() {
  const bool whole = begin_ == end_ && frame_bytes_ == 0;
  if (decoder_->failure().empty() && !growing_ && !whole) decoder_->fail("it ends within a record");
  const bool broken = !decoder_->failure().empty();
  return no_line(broken ? LineStatus::broken : LineStatus::end);
}

bool LineReader::take_access_point(AccessPoint& out) {
  const AccessPoint* point = decoder_->point();
  if (point == nullptr || point->uncompressed_bytes > position_.offset_bytes) return false;
  out = *point;
  decoder_->drop_point();
  return true;
}

void LineReader::resume(const LinePosition& position, const AccessPoint* point) {
  if (!source_->can_seek()) {
    if (position == LinePosition{} && position_ == LinePosition{} && end_ == 0) return;
    throw Error{{.tried = "resume reading",
                 .object = name_,
                 .why = "it is a pipe, and what was read from it is gone",
                 .remedy = "name a file instead of piping it in"}};
  }
  begin_ = end_ = scanned_ = 0;
  skipped_bytes_ = frame_bytes_ = 0;
  changed_ = false;
  forget_quotes();
  position_ = position;
  // What stands there now need not be of the kind of what stood there before.
  if (guarded_ && position.offset_bytes == 0) undecided_ = true;
  if (decoder_->seek(position.offset_bytes)) {
    const std::size_t bytes = std::min(position.offset_bytes, std::uint64_t{kBeforeBytes});
    begin_ = source_->read_at(position.offset_bytes - bytes, buffer_.get(), bytes);
    end_ = scanned_ = begin_;
    return;
  }
  const bool usable =
      point != nullptr && decoder_->accepts(*point) && point->uncompressed_bytes <= position.offset_bytes;
  decoder_->restart(usable ? point : nullptr);
  if (at_once_.count() == 0) std::ignore = catch_up();
}

// Passes again what stands before the position; false while there is more of it.
bool LineReader::catch_up() {
  while (decoder_->produced_bytes() < position_.offset_bytes && decoder_->failure().empty()) {
    const std::uint64_t left = position_.offset_bytes - decoder_->produced_bytes();
    const std::size_t kept = std::min(end_, kBeforeBytes);
    std::memmove(buffer_.get(), buffer_.get() + end_ - kept, kept);
    const std::size_t got = decoder_->read(buffer_.get() + kept,
                                           left < kChunkBytes ? static_cast<std::size_t>(left) : kChunkBytes);
    begin_ = end_ = scanned_ = kept + got;
    if (got == 0 && decoder_->failure().empty()) decoder_->fail(detail::kShorterThanPosition);
    if (got < left && is_over()) return false;
  }
  return true;
}

int LineReader::read_error() const noexcept {
  return source_->error_number();
}

bool LineReader::ends_early() const noexcept {
  return decoder_->ends_early();
}

std::string LineReader::failure() const {
  const std::string& why = decoder_->failure();
  if (why.empty()) return {};
  return name_ + ": at byte " + std::to_string(decoder_->produced_bytes()) + " of its text, behind " +
         (prefixed_ ? "record " : "line ") + std::to_string(position_.line_number) + ": " + why;
}

}  // namespace sluice
