// SPDX-License-Identifier: Apache-2.0
// Reads one file line by line: gzip, zstd or plain, told apart by its first bytes, from a path or a descriptor. Where its
// lines end at a newline is for options to say: records with their length in front are lines as well, in what follows.
//
// One thread of one process uses an object; next() reads ahead and may block on the file. A reader that is
// killed leaves nothing behind that matters: a new object resumes at the position that was kept, exactly, and
// with the access point that was kept beside it without decompressing more than about half a mebibyte.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include <sluice/connect/access_point.hpp>
#include <sluice/connect/frame.hpp>

namespace sluice {

namespace detail {

class ByteSource;
class Decoder;

}  // namespace detail

// Where the lines delivered so far end; zeros is the beginning of the file.
struct LinePosition {
  std::uint64_t offset_bytes = 0;  // Of the uncompressed stream, behind the last line and its newline.
  std::uint64_t line_number = 0;   // Of the last line, counted from 1; lines that were too long count.

  bool operator==(const LinePosition&) const = default;
};

static_assert(std::is_trivially_copyable_v<LinePosition>);
static_assert(std::has_unique_object_representations_v<LinePosition>);

enum class LineStatus : std::uint8_t {
  line,      // `text` is the line without its newline.
  too_long,  // The line is longer than the maximum: it was skipped, `length_bytes` is its length and `text` its
             // beginning, kLongLineBytes of it.
  pending,  // It has read for LineReaderOptions::at_once, and there is no line yet: ask again.
  end,      // The file was read to its end, and so it is ever after, unless it is `growing`.
  broken,   // The file is damaged or truncated behind the last line: see failure(). So it is ever after.
};

struct FileLine {  // What LineReader gives.
  LineStatus status = LineStatus::end;
  std::string_view text;           // In the reader's buffer, valid until the next call of a member function.
  std::uint64_t number = 0;        // Counted from 1.
  std::uint64_t length_bytes = 0;  // Without the newline.
};

struct LineReaderOptions {
  std::size_t max_line_bytes = std::size_t{1} << 20;
  // The least distance of two access points in the text, 0 for none. They lie where the archive allows it and
  // at most one in what is read at once (128 KiB), so that 256 KiB gives points 300 to 400 KiB apart in gzip
  // files.
  std::size_t access_point_every_bytes = std::size_t{256} << 10;
  // More may be appended: what is behind the last newline is no line yet, and `end` only says that nothing more is there
  // now. For plain files; what such a file is, is decided once its first bytes are there.
  bool growing = false;
  // A newline between double quotes is part of its line, as CSV has it: between one at the beginning of a field and the one that
  // closes it. A quote elsewhere is a character like others. A line that is too long ends behind its quotes, too; in a field that
  // is not closed within sixteen times the maximum, at the next newline.
  bool quoted = false;
  // With length_prefixed a file that ends within a record is broken, and `text` may hold any bytes. With lines a carriage
  // return stays.
  Framing framing = Framing::lines;
  // About how long next() may read in search of a line before it gives `pending`; 0: until there is one. A line that is too long,
  // and the text that resume() has to pass again, may be of any length.
  std::chrono::nanoseconds at_once{0};
};

class LineReader {  // Reads a file line by line.
 public:
  // A line may be read this many bytes behind its end: what those bytes are means nothing (simdjson's
  // padding).
  static constexpr std::size_t kReadableBehind = 64;

  static constexpr std::size_t kBeforeBytes = 64;  // Of before().

  // What is told of a line that is too long, if the maximum is not less.
  static constexpr std::size_t kLongLineBytes = 256;

  // Throws sluice::Error when the file cannot be opened or its first bytes cannot be read, and Unavailable where that is since
  // the storage that has it is away: to be called in a handler.
  explicit LineReader(const std::string& path, const LineReaderOptions& options = {});
  // Reads from where the descriptor stands now, which its owner closes after this object; `name` is for messages.
  LineReader(int descriptor, std::string name, const LineReaderOptions& options = {});
  LineReader(LineReader&&) noexcept;
  ~LineReader();

  FileLine next();
  // gzip or zstd: such a file is never `growing`. Of one that has none of its bytes yet next() finds it out.
  bool compressed() const noexcept { return compressed_; }
  // Nothing more is appended: what is behind the last newline is a line.
  void stop_growing() noexcept { growing_ = false; }

  // What next() would return, if it is a line of at most `most_bytes` that needs no more of the input: the reader is behind
  // it then. Otherwise `end`, which says nothing of the input, and the reader stands where it stood.
  FileLine next_at_hand(std::size_t most_bytes);

  // True when next() can return a line without reading more of the input.
  bool line_at_hand() const;

  // Behind the last line that next() returned.
  const LinePosition& position() const { return position_; }
  // The last bytes of the text before that, as far as they are at hand: kBeforeBytes at most. Valid as a line's text is.
  std::string_view before() const {
    const std::size_t bytes = begin_ < kBeforeBytes ? begin_ : kBeforeBytes;
    return {buffer_.get() + begin_ - bytes, bytes};
  }
  // A file that is `growing` is looked at each time when it has been read: whether what was read before still stands in it.
  // If not, it was cut or written anew, nothing of what was read now counts, and next() returned `broken`.
  bool changed() const noexcept { return changed_; }

  // Copies a new access point to `out` if one is due and lies at or before position(); call it after each
  // batch of lines. Plain files need none and never give one.
  bool take_access_point(AccessPoint& out);

  // Goes to a position that an object reading the same file had. The point, of the same file and taken at or
  // before that position, spares decompressing from the beginning; null or one of kind none is no point. before() is
  // what stands there now.
  // Throws sluice::Error for what is no seekable file, unless the position is the beginning and nothing was
  // read. With `at_once` next() does what takes long of it.
  void resume(const LinePosition& position, const AccessPoint* point = nullptr);

  // Why next() has returned `broken`: the file ends where more of the archive had to come, which may be written yet. resume()
  // goes on.
  bool ends_early() const noexcept;
  // Why next() returns `broken`: the file's name, the offset in its text and the reason.
  std::string failure() const;
  // The kernel's number of the error if it could not be read, which is why next() returns `broken`; 0 otherwise.
  int read_error() const noexcept;
  const std::string& name() const { return name_; }

 private:
  LineReader(std::unique_ptr<detail::ByteSource> source, std::string name, const LineReaderOptions& options);

  void decide_kind();
  void check_beginning() const;
  bool catch_up();
  bool refill();
  bool is_over();
  bool still_stands(std::uint64_t offset_bytes) const;
  const char* find_newline();
  bool is_never_closed(const char* newline) const;
  void pass_quotes(const char* from, const char* to);
  bool begins_field(const char* row, std::size_t at) const;
  FileLine deliver(const char* newline);
  void forget_quotes();
  void drop_what_is_there();
  FileLine no_line(LineStatus status) const { return {status, {}, position_.line_number, 0}; }
  FileLine skip_long_line();
  FileLine deliver_long_line(std::uint64_t length_bytes, std::uint64_t newline_bytes);
  FileLine finish();
  bool frame_at_hand() const;
  FileLine next_frame();
  FileLine deliver_frame(std::uint32_t length_bytes);
  FileLine skip_long_frame();
  FileLine finish_frames();

  std::string name_;
  std::unique_ptr<detail::ByteSource> source_;
  std::unique_ptr<detail::Decoder> decoder_;
  std::size_t max_line_bytes_;
  std::size_t capacity_bytes_;
  std::size_t point_every_bytes_;
  std::chrono::nanoseconds at_once_;
  std::chrono::steady_clock::time_point reading_since_{};  // Of this call, once it has read more; or none.
  bool growing_;
  bool quoted_;
  bool prefixed_;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  bool in_quotes_ = false;  // At scanned_.
  // The last one before that, from begin_, or from the byte before it in a line that is skipped.
  std::size_t closing_quote_ = kNone;
  bool compressed_ = false;
  bool undecided_ = false;  // Of which kind the file is: nothing of it has been used.
  bool guarded_ = false;
  bool changed_ = false;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;    // The first byte that was not delivered; behind those before it, in order.
  std::size_t scanned_ = 0;  // No newline lies between begin_ and here.
  std::size_t end_ = 0;      // Behind the last decompressed byte.
  std::uint64_t skipped_bytes_ = 0;  // Of a line that is too long and has not ended.
  std::uint64_t frame_bytes_ = 0;    // With the prefix, of a record that is too long and has not ended.
  std::string long_line_;            // The beginning of the last line that was too long.
  LinePosition position_;
};

}  // namespace sluice
