// SPDX-License-Identifier: Apache-2.0
// FileSource: the lines, or the records with their length in front, of files and directories, each exactly once, whatever dies.
//
//     auto lines = pipeline.source<sluice::FileSource>("read", {.workers = 2}, sluice::FileSourceOptions{.paths = {"/data/day"}});
//
// Files are plain, gzip or zstd, told apart by their first bytes. How far each was read is recoverable state: a replacement
// goes on behind the last line that was committed, within compressed data too, without starting over. A file is known by its
// inode and its first bytes: the number of its file system may be another after a boot.
//
// With `follow` a file is read as tail -F does, one by each worker: what is appended comes as it is written, line by line. (A
// compressed one is read once, to its end, which is waited for while it is being written; what is appended to it then is reported, and what
// takes its name is read.) When the path names another file, the one before is read on until nothing has come for `rotation_grace`; then those that came and went
// meanwhile, known by their names (log.1, log-20260101, log.2.gz), in the order in which they were written; then the new one. What
// was beside the file at the first start is none of them. A worker that starts finds its file under a new name in the same
// directory, or compressed.
//
// A file that is cut and filled again is found out at the next look, by its length, its first bytes and the 64 before the position:
// it is read from its beginning, and from a copy beside it what was not read before. What is not there any more is lost:
// that is reported (Worker::report), not passed over. So is what is written into a file that was done with, and that a log was removed
// before it was done with: one that came and went behind it would not be found.
//
// Several workers share the files out: the paths in turn, those of a directory by their inodes. A directory is read in the
// order of its names, without those that begin with a dot and without directories, pipes, sockets and devices in it (a link that leads nowhere is reported); with
// `follow` it is looked at again and again for files that were not there before, each of which is read once, whatever it is called: rename it into the directory when
// it is whole. A file that has several names there, by links, or is named itself beside its directory, is read once.
// A pipe cannot be read twice: that is what PipeSource is for (pipe_source.hpp).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/connect/access_point.hpp>
#include <sluice/connect/frame.hpp>
#include <sluice/connect/line_reader.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/event.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct FileSourceOptions {
  // Of files and directories. The same, in the same order, for every start. They may be spelled otherwise, as "d", "./d" and "d/", as a
  // whole path instead of one from the working directory, or as a link to what was named: what was read is known by each. What a link
  // was named for, and another working directory, are not known again.
  std::vector<std::string> paths;
  bool follow = false;  // Go on for ever, with what is appended.
  bool header = false;  // The first line of each file is none of its lines.
  // A longer line is left out and reported, and so is one that no lane can take.
  std::size_t max_line_bytes = std::size_t{1} << 20;
  Framing framing = Framing::lines;  // With length_prefixed "line" means a record here, without its prefix.
  // That a worker remembers as read. When they are so many those that are gone are forgotten; more are an Error.
  std::uint64_t max_files = 4096;
  // How long a file that was renamed is looked at behind the last that came into it, once there is one to go on with: whoever
  // writes may have it open still.
  std::chrono::nanoseconds rotation_grace = std::chrono::seconds{5};
};

// Where a line stands.
struct FileLineHead {
  std::uint64_t file = 0;    // file_key() of its path, as it was when its reading began.
  std::uint64_t line = 0;    // From 1; lines that were left out count.
  std::uint64_t offset = 0;  // In bytes of the text, uncompressed, of the line's first byte, or its prefix.
};

// What the events of a FileSource are: text() is the line, body the record.
using FileRecord = Record<FileLineHead>;

// The same for the same path, in every process and every life.
std::uint64_t file_key(std::string_view path) noexcept;

namespace detail {

class ReadFiles;
class TextOfFile;
struct FileId;
struct FileStatus;
struct FileThere;

// What is wrong with a line that no lane can take, where `most_bytes` is the longest that each can.
std::string beyond_the_lane(std::uint64_t bytes, std::uint64_t most_bytes);

// What is made of the lines of files.
class LineTaker {
 public:
  virtual ~LineTaker() = default;
  // A file begins, or is taken up again: its first line if that is a header, or the beginning of one that is longer than
  // max_line_bytes (`whole`). What is wrong with it: then the file is left out.
  virtual std::string begin_file(std::string_view header, bool whole) = 0;
  // What is wrong with a line; empty when nothing is. It is reported.
  virtual std::string take(const FileLineHead& head, std::string_view line) = 0;
  // How many bytes of lines a call of the source may take together, which must find room in one lane; 0: one line a call.
  virtual std::uint64_t bytes_at_once() const { return 0; }
};

// The lines of this worker's files, one after the other. The state is of the worker whose source owns this.
class FileLines {
 public:
  // `quoted` as in LineReaderOptions.
  FileLines(Worker& worker, FileSourceOptions options, bool quoted);
  FileLines(const FileLines&) = delete;
  FileLines& operator=(const FileLines&) = delete;
  ~FileLines();

  // One line, and with it those behind it that are at hand and short.
  SourceState read(LineTaker& taker);

 private:
  // How far, and what stands there.
  struct Reached {
    LinePosition line;
    std::uint64_t before_bytes = 0;
    char before[LineReader::kBeforeBytes] = {};
  };
  struct Position {
    std::uint64_t file = 0;   // file_key() of the path; 0 for none.
    std::uint64_t place = 0;  // That of its FileId.
    Reached reached;
    // Which file it is, also after a boot: the number of its file system may be another then.
    std::uint64_t inode = 0;
    std::uint64_t head_bytes = 0;  // Of the file, compressed or not: so many of its first were told apart,
    std::uint64_t head = 0;        // and this is their file_key().
    std::uint64_t compressed = 0;
  };
  struct Following {
    std::int64_t since_ns = 0;   // The first look, CLOCK_REALTIME; 0: there was none.
    std::uint64_t left_out = 0;  // The inode of a file whose header is none.
    std::uint64_t told = 0;      // That the directory cannot be read.
  };
  class DirectoryWatch;
  // At directories, or the whole text of files: they may be large.
  static constexpr std::chrono::minutes kLongestLook{10};

  const char* noun() const noexcept { return options_.framing == Framing::lines ? "line" : "record"; }
  void check_paths() const;
  void settle_paths();
  void take(LineTaker& taker, const FileLine& line, std::uint64_t offset);
  void take_more(LineTaker& taker);
  void note_reached();
  bool mine(std::uint64_t number) const { return number % worker_.replicas() == worker_.replica(); }
  std::vector<std::pair<FileId, FileThere>> files();
  void look();
  OutsideCall long_look() const { return worker_.outside(kLongestLook); }
  bool begin_file(LineTaker& taker, std::string_view header, bool whole);
  bool go_on();
  bool open_next();
  void open(const std::string& path, const std::string& name, std::uint64_t place);
  LineReaderOptions reader_options() const;
  void open_reader(const std::string& name, const LineReaderOptions& options);
  void take_up();
  void lose();
  bool stands(int file) const;
  bool is_of_position(const std::string& name) const;
  std::string find_renamed(const std::string& path) const;
  void note_head();
  FileId id() const;
  void close_file();
  void forget_file();
  SourceState at_end();
  SourceState wait(std::chrono::nanoseconds limit);

  // Of a file that is followed: file_follow.cpp.
  std::optional<std::string> followed_path() const;
  bool follow(const std::string& path);
  bool is_done_with(const std::string& path, const FileStatus& now);
  void begin_to_follow(const std::string& path);
  std::optional<FileThere> next_rotated(const std::string& path, const std::optional<FileStatus>& now);
  bool is_to_be_read(const FileId& id, const FileThere& file);
  std::vector<FileThere> rotated(const std::string& path);
  void take_up_followed(const std::string& path);
  std::string take_up_copy(const std::string& path);
  std::string go_on_in_copy(const std::string& path, const FileThere& file, const TextOfFile& text);
  std::optional<TextOfFile> text_if_copy(const FileThere& file) const;
  void begin_again();
  SourceState at_end_of_followed();
  void check_is_there();
  std::chrono::nanoseconds grace_left(const FileStatus& own);
  std::chrono::nanoseconds left_to_be_written();

  Worker& worker_;
  FileSourceOptions options_;
  bool quoted_;
  Recoverable<Position> position_;
  Recoverable<AccessPoint> access_point_;
  std::unique_ptr<ReadFiles> read_;
  Recoverable<Following> following_;
  AccessPoint new_access_point_;
  std::string path_;                   // Of the file that is read.
  std::optional<std::string> header_;  // Of that file, until it has been told.
  std::unique_ptr<LineReader> reader_;
  std::uint64_t device_ = 0;      // Of the reader's file.
  detail::Descriptor same_file_;  // The same, to look at.
  std::vector<std::pair<FileId, FileThere>>
      there_;  // At the last look: those before next_ have had their turn.
  std::size_t next_ = 0;
  bool nothing_left_ = false;     // Of all files, at the last look.
  bool followed_ = false;         // The path is followed,
  bool ending_ = false;           // and its file, which was renamed, grows no more.
  std::uint64_t left_bytes_ = 0;  // Of a renamed one at its last growth, which was then.
  std::chrono::steady_clock::time_point left_at_{};
  std::unique_ptr<DirectoryWatch> watch_;
};

}  // namespace detail

class FileSource {
 public:
  // Throws Error for a path that is not there, or is neither file nor directory.
  FileSource(Worker& worker, FileSourceOptions options) : files_{worker, std::move(options), false} {}

  SourceState operator()(Output<FileRecord>& out) {
    Pusher pusher{out};
    return files_.read(pusher);
  }

 private:
  struct Pusher final : detail::LineTaker {
    explicit Pusher(Output<FileRecord>& output) : out{output}, most_bytes{output.most_body_bytes()} {}
    std::string begin_file(std::string_view, bool) override { return {}; }
    std::string take(const FileLineHead& head, std::string_view line) override {
      if (line.size() > most_bytes) return detail::beyond_the_lane(line.size(), most_bytes);
      out.push(head, line);
      return {};
    }
    // A few calls find room in a lane: it is not to be filled and emptied in turns.
    std::uint64_t bytes_at_once() const override { return most_bytes / 8; }
    Output<FileRecord>& out;
    std::uint64_t most_bytes;
  };

  detail::FileLines files_;
};

}  // namespace sluice
