// SPDX-License-Identifier: Apache-2.0
// What a directory has of a partition's chain of checkpoints, written down beside its files, so that a later process of this host
// can go on from there instead of reading everything again. Written by who follows or fetches the chain, and by who stores it: a
// partition that comes back finds what this host had of it.
//
// A line for each claim and each whole file, in their order, with the message that it came with: its sequence, its headers, and
// the file's checksum and mark. A new base begins the list anew. Each line ends with a checksum, whose seed is that of the line before
// it, the first one's the partition's subject: lines of another partition, of another list, or cut off are none.
//
// Nothing here is synced. After a power cut files and lines may be anything; what the list and the checksums of the files do not
// bear out, to the byte, is not there. A file that nobody has written to since, in the same boot of the machine, is believed by
// its mark, so that a takeover does not read all of a large state only to see that it is as it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/detail/own_directory.hpp>

#include "state_message.hpp"

namespace sluice::detail {

// Where all of it lies is an option of the host, and no setting: what errors tell to change.
inline constexpr const char* kDataOption = "--data";

// What tells, in one boot of the machine, that a file is the one that was written, and that nobody has written to it since.
struct FileMark {
  std::uint64_t boot = 0;  // 0: it is not known.
  std::uint64_t inode = 0;
  std::int64_t changed_ns = 0;

  friend bool operator==(const FileMark&, const FileMark&) = default;
};

struct CopiedMessage {
  std::uint64_t sequence = 0;
  StateMessage message{};      // A claim, or the last part of a file.
  std::uint64_t bytes = 0;     // Of the file.
  std::uint64_t checksum = 0;  // Of all of it.
  FileMark mark{};
};

class StateCopy {
 public:
  // `directory` must outlive it. Nothing is read or written yet.
  StateCopy(const OwnDirectory& directory, const std::string& subject);

  // The list as far as it and the files are whole: claims, a base and its deltas. Reads all of the files. Whatever is wrong
  // ends it, and is no error: it is a copy.
  std::vector<CopiedMessage> whole_part();
  // The list is these from here on. Throws Error when it cannot be written, as add() does.
  void begin(const std::vector<CopiedMessage>& list);
  void add(const CopiedMessage& message);
  // Another process of this host has written the list down, to its end: add() goes on behind that. False if there is none.
  bool go_on();
  // There is no list; nobody goes on with what is there.
  void forget();

  // Of a file in the directory. Throws Error.
  std::uint64_t checksum_of_file(const std::string& name) const;
  FileMark mark_of_file(const std::string& name) const;

 private:
  std::string line_of(const CopiedMessage& message);
  std::optional<std::string> text(std::int64_t& changed_ns) const;
  void write(const std::string& text, int flags, const char* name) const;
  bool bears_out(const CopiedMessage& message, std::int64_t list_changed_ns) const;
  [[noreturn]] void fail(const char* tried, const char* name, int reason) const;

  const OwnDirectory& directory_;
  std::uint64_t seed_;  // Of the first line.
  std::uint64_t sum_;   // Of the last one.
};

}  // namespace sluice::detail
