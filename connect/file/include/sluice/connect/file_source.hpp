// SPDX-License-Identifier: Apache-2.0
// FileSource: the lines, or the records with their length in front, of files and directories, each exactly once, whatever dies.
//
//     auto lines = pipeline.source<sluice::FileSource>("read", {.workers = 2}, sluice::FileSourceOptions{.paths = {"/data/day"}});
//
// Files are plain, gzip or zstd, told apart by their first bytes. How far each was read is recoverable state: a replacement
// goes on behind the last line that was committed, within compressed data too, without starting over. A file is known by its
// inode and its first bytes: the number of its file system may be another after a boot.
//
// With `follow` a file is read as tail -F does, one by each worker: what is appended comes as it is written, line by line; a file
// that is renamed and made anew is read to its end first, one that is truncated from its beginning. A worker that starts finds a file that was renamed
// meanwhile under its new name in the same directory. What was written to a file that is gone by then, or was compressed, is lost:
// that is reported (Worker::report), not passed over.
//
// Several workers share the files out: the paths in turn, those of a directory by their names. A directory is read in the
// order of its names, without those that begin with a dot and without directories in it; with `follow` it is looked at again and
// again for files that were not there before, each of which is read once: rename it into the directory when it is whole. A pipe or a terminal cannot be read twice: it is the host's to read
// (docs/guide/sources.md).
#pragma once

#include <chrono>
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
  std::vector<std::string> paths;  // Of files and directories. The same, in the same order, for every start.
  bool follow = false;             // Go on for ever, with what is appended.
  bool header = false;             // The first line of each file is none of its lines.
  std::size_t max_line_bytes = std::size_t{1} << 20;  // A longer line is left out and reported.
  Framing framing = Framing::lines;  // With length_prefixed "line" means a record here, without its prefix.
  std::uint64_t max_files = 4096;    // That a worker remembers as read; more are an Error.
};

// Where a line stands.
struct FileLineHead {
  std::uint64_t file = 0;    // file_key() of its path.
  std::uint64_t line = 0;    // From 1; lines that were left out count.
  std::uint64_t offset = 0;  // In bytes of the text, uncompressed, of the line's first byte, or its prefix.
};

// The same for the same path, in every process and every life.
std::uint64_t file_key(std::string_view path) noexcept;

namespace detail {

// What is made of the lines of files.
class LineTaker {
 public:
  virtual ~LineTaker() = default;
  // A file begins, or is taken up again: its first line if that is a header. What is wrong with it: then the file is left out.
  virtual std::string begin_file(std::string_view header) = 0;
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
  struct Position {
    std::uint64_t file = 0;  // file_key() of the path; 0 for none.
    LinePosition line;
    // Which file it is, also after a boot: the number of its file system may be another then.
    std::uint64_t inode = 0;
    std::uint64_t head_bytes = 0;  // Of the file, compressed or not: so many of its first were told apart,
    std::uint64_t head = 0;        // and this is their file_key().
  };
  class DirectoryWatch;

  const char* noun() const noexcept { return options_.framing == Framing::lines ? "line" : "record"; }
  void check_paths() const;
  void take(LineTaker& taker, const FileLine& line, std::uint64_t offset);
  void take_more(LineTaker& taker);
  bool mine(const std::string& path, std::size_t index, bool of_directory) const;
  std::vector<std::string> files() const;
  bool begin_file(LineTaker& taker, std::string_view header);
  std::string current_path(const std::vector<std::string>& all) const;
  bool go_on();
  void open(const std::string& path, const std::string& name);
  void take_up(const std::string& path);
  bool is_of_position(const std::string& name) const;
  std::string find_renamed(const std::string& path) const;
  void note_head();
  void close_file();
  void forget_file();
  SourceState at_end();
  SourceState wait();

  Worker& worker_;
  FileSourceOptions options_;
  bool quoted_;
  Recoverable<Position> position_;
  Recoverable<AccessPoint> access_point_;
  Table<std::uint64_t, std::uint8_t> done_;
  AccessPoint new_access_point_;
  std::string path_;                   // Of the file that is read.
  std::optional<std::string> header_;  // Of that file, until it has been told.
  std::unique_ptr<LineReader> reader_;
  std::uint64_t device_ = 0;      // Of the reader's file.
  detail::Descriptor head_file_;  // The same file, while its head is not known whole.
  bool followed_ = false;         // The reader's file may still grow,
  bool renamed_ = false;          // has no longer its path,
  bool ending_ = false;           // and grows no more.
  std::unique_ptr<DirectoryWatch> watch_;
};

}  // namespace detail

class FileSource {
 public:
  // Throws Error for a path that is not there, or is neither file nor directory.
  FileSource(Worker& worker, FileSourceOptions options) : files_{worker, std::move(options), false} {}

  SourceState operator()(Output<Record<FileLineHead>>& out) {
    Pusher pusher{out};
    return files_.read(pusher);
  }

 private:
  struct Pusher final : detail::LineTaker {
    explicit Pusher(Output<Record<FileLineHead>>& output) : out{output} {}
    std::string begin_file(std::string_view) override { return {}; }
    std::string take(const FileLineHead& head, std::string_view line) override {
      out.push(head, line);
      return {};
    }
    // A few calls find room in a lane: it is not to be filled and emptied in turns.
    std::uint64_t bytes_at_once() const override { return out.most_body_bytes() / 8; }
    Output<Record<FileLineHead>>& out;
  };

  detail::FileLines files_;
};

}  // namespace sluice
