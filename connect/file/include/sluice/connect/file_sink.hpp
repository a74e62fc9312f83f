// SPDX-License-Identifier: Apache-2.0
// FileSink: events become files that are published whole, each event's text in them exactly once, whatever
// dies.
//
//     trades.to<sluice::FileSink<Trade>>(
//         "archive", sluice::RollingFileOptions{.directory = "/data/trades", .rotate_bytes = 64 << 20,
//                                               .compression = sluice::FileCompression::zstd},
//         [](const Trade& trade) { return to_line(trade); });
//
// The worker ARCHIVE/0 writes archive-0-000001.log.zst.part, which loses its .part when the file is complete,
// and goes on with archive-0-000002. A name without .part is never written again, unless a start goes back to a checkpoint:
// what was published behind that is taken back. archive-0.manifest gets a
// line of JSON for each complete file, by the commit that completes it; what it names with a .part still on
// it is about to be renamed. A later run goes on behind the numbers that are there. A start of the same run with another suffix
// or compression completes the file that was begun, as it is, and begins the next one with them.
//
// At the end of the stream the last file is published. Not when a drain has interrupted a source before its end
// (Worker::interrupted()): what the last file has by then stays in its .part, and is reported as a problem.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/detail/no_function.hpp>
#include <sluice/event.hpp>
#include <sluice/worker.hpp>

namespace sluice {

enum class FileCompression { none, zstd };

// What is brought to the disk, and when. The death of any process costs nothing in either way; these are
// about power losses.
enum class FileSync {
  none,     // Nothing: a file may be short, or empty, after a power loss.
  publish,  // A file before it is published: what has no .part is whole. Four fsyncs a file.
  commit,   // Every commit as well: what was committed is there too. One a batch, and one more a file.
};

struct RollingFileOptions {
  std::string directory{};  // It must be there.
  std::string name{};  // The stage's name if nothing is said: 1 to 100 of letters, digits, '-', '_' and '.'.
  std::string suffix{"log"};
  // A file that holds so many bytes, or is so old, is completed by the next commit, or, where no events come, about a second
  // later; 0: none is until the end. Files are larger by up to a batch. One that would be empty is not made.
  std::uint64_t rotate_bytes = 0;
  std::chrono::nanoseconds rotate_after{0};
  // A zstd frame for each commit, with a checksum: a reader has all that was committed, also of a .part.
  // Small batches compress badly: batch.linger makes them larger.
  FileCompression compression = FileCompression::none;
  int level = 3;
  FileSync sync = FileSync::publish;
};

// For handlers that have more to do than FileSink. Made in the handler's constructor, used in its calls.
class RollingFile {
 public:
  // Throws Error that says what is wrong with the options, the directory or what a predecessor has left
  // there; Unavailable when the disk is full.
  RollingFile(Worker& worker, const RollingFileOptions& options);
  ~RollingFile();
  RollingFile(const RollingFile&) = delete;
  RollingFile& operator=(const RollingFile&) = delete;

  // Adds `text` as it stands, for the event in the handler. Does not block; it is written before the commit. Throws Error where
  // no event is in the handler: in its constructor, in an action of when_idle().
  void append(std::string_view text);
  // The same with a newline behind it.
  void append_line(std::string_view text);
  // The handler's bool finish() returns what this does: true until the last file is published.
  bool finish();

 private:
  class Files;
  std::unique_ptr<Files> files_;
};

// A line for each event: `text_of` gives it, without the newline. Bytes need none.
template <Event E>
class FileSink {
 public:
  FileSink(Worker& worker, const RollingFileOptions& options, std::function<std::string(const E&)> text_of)
      : file_{worker, options}, text_of_{std::move(text_of)} {
    detail::refuse_no_function(text_of_, "write lines in stage", worker.stage());
  }
  FileSink(Worker& worker, const RollingFileOptions& options) requires std::same_as<E, Bytes>
      : FileSink{worker, options, [](const Bytes& bytes) { return std::string{bytes.text()}; }} {}

  void operator()(const E& event) { file_.append_line(text_of_(event)); }
  bool finish() { return file_.finish(); }

 private:
  RollingFile file_;
  std::function<std::string(const E&)> text_of_;
};

}  // namespace sluice
