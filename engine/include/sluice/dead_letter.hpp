// SPDX-License-Identifier: Apache-2.0
// Dead letters: events that killed their worker too often. Each was moved out of its worker's way by a
// commit, into a file of that worker, with everything that is known of it.
//
// The file is a row of letters, each a head, the texts and the payload; all integers little-endian, as the
// machine has them. It is read by the `sluice dead` command and by a pipeline that is to retry letters. Every run
// has files of its own, and nothing in them is ever overwritten but for a letter's mark that it was retried.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct DeadLetter {  // An event that killed its worker too often, and what is known of it.
  std::string stage;
  unsigned replica = 0;        // Of the worker that it killed,
  unsigned replicas = 1;       // of so many in its stage.
  std::string from;            // The process that produced it: "read/0", "host".
  std::uint64_t position = 0;  // In bytes since the lane from there began: with `from`, its idempotency key.
  std::string type;            // Of the event, as the compiler names it.
  bool record = false;
  std::uint64_t head_bytes = 0;  // Of a record's head; of a fixed-size event all of it.
  unsigned attempts = 0;
  int signal = 0;         // The last one; 0 if it was none.
  std::string cause;      // "signal 11 (Segmentation fault) at address 0x0"
  std::string backtrace;  // A line a frame, innermost first: "file+0xoffset". Empty if there is none.
  std::chrono::system_clock::time_point time;
  std::string payload;           // The event, or the record's head and body.
  std::uint32_t retried_by = 0;  // A number of the worker that retried it; 0 if none did.
  // Where it was read from.
  std::filesystem::path file;
  std::uint64_t offset = 0;
};

// The bytes of a letter as they stand in a file. Pure.
std::string encode(const DeadLetter& letter);

// All whole letters of a file, in the order in which they were written: one that is being appended at this
// moment is not among them. Reads the file into memory. Throws Error for a file that cannot be read or that
// holds something else, with the byte where that begins. Any process that may read the file may call it, at
// any time.
std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& file);

// The letters of a file, or of all files of dead letters in a directory (not in those below it), in order of
// time. Throws Error as read_dead_letters() does, and for a path that is not there.
std::vector<DeadLetter> find_dead_letters(const std::filesystem::path& file_or_directory);

// Marks a letter that was read from a file as retried. False, with errno, when the file cannot be written.
bool mark_retried(const DeadLetter& letter, std::uint32_t retried_by);

// Its backtrace with the names of functions, as long as the files it names are those that they were;
// elsewhere file and offset as in the letter. Reads debug information: may take seconds. Throws nothing but
// std::bad_alloc.
std::string named_backtrace(const DeadLetter& letter);

// The name of the file of a worker in a run that had its first letter then, without a directory:
// "parse-0.20270101T120000-1f2e3d4c.dead".
std::string dead_letters_file(std::string_view stage, unsigned replica,
                              std::chrono::system_clock::time_point time, std::uint32_t number);

}  // namespace sluice
