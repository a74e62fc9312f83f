// SPDX-License-Identifier: Apache-2.0
// The files that a worker of FileSource has read, in its recoverable state: a file that was renamed is none that is new, and one
// that has the name of another, or its number when that is gone, is.
//
// A row for each; those of files that are gone are forgotten when there is no more room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/state.hpp>
#include <sluice/worker.hpp>

#include "files_there.hpp"
#include "rotated_files.hpp"

namespace sluice::detail {

// Of a file that was named in the options, its path; of one that was found in a directory, where, and its inode.
struct FileId {
  std::uint64_t inode = 0;  // 0: the place is its path.
  std::uint64_t place = 0;

  bool operator==(const FileId&) const = default;
};

// Of a file that was found in a directory. The number of a device is none that lasts, so it counts only for what a link has led to.
FileId id_in(std::uint64_t place, const FileThere& file);

class ReadFiles {
 public:
  // In the constructor of the source.
  ReadFiles(Worker& worker, std::uint64_t rows);

  // Without a look at the file.
  bool contains(const FileId& id) const { return files_.contains(id); }
  // Whether that is a file that was read, and not another of its number, nor written anew. One that has grown since is
  // reported, once.
  bool knows(const FileId& id, const FileThere& file);
  // Whether what stands in a file under another number was read: it is a copy, or was compressed.
  bool knows_text(const FileThere& file, TextOfFile& text) const;

  // It was read, as far as `bytes`; throws Error when there is no room for more.
  void note(const FileId& id, int file, const FileStatus& status, std::uint64_t bytes);
  void note(const FileId& id, const FileThere& file);  // All of it.
  void note(const FileId& id) { files_[id] = {}; }

  // Whether any of that place is among them.
  bool has_place(std::uint64_t place) const;

  // Whether there is room for another; if not, it is made by forgetting those that are not `there`.
  bool has_room() const { return files_.size() < files_.capacity(); }
  void forget_all_but(std::vector<FileId> there);

 private:
  struct Mark {  // As the file was, as far as it was read.
    std::uint64_t bytes;
    std::int64_t written_ns;
    std::int64_t born_ns;
    std::uint64_t head_bytes;
    std::uint64_t head;
    std::uint64_t end_bytes;
    std::uint64_t end;
  };

  static bool stands_in(int file, const Mark& mark);
  void keep_apart(const FileId& id, const Mark& mark);

  Worker& worker_;
  Table<FileId, Mark> files_;
};

}  // namespace sluice::detail
