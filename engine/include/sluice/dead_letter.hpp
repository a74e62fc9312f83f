// SPDX-License-Identifier: Apache-2.0
// Dead letters: events that killed their worker too often. Each was moved out of its worker's way by a
// commit, into a file of that worker, with everything that is known of it.
//
// The file is a row of letters, each a head, the texts and the payload; all integers little-endian, as the
// machine has them. It is read by the `sluice dead` command and by a pipeline that is to retry letters. Every run
// has files of its own, which its later lives go on in, and nothing in them is ever overwritten but for a letter's mark
// that it was retried.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/event_id.hpp>

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
  std::string backtrace;  // A line a frame, innermost first: "file+0xoffset build id 1f2e...". Empty if none.
  std::chrono::system_clock::time_point time;
  std::string payload;           // The event, or the record's head and body.
  std::uint32_t retried_by = 0;  // A number of the worker that retried it; 0 if none did.
  EventId event;                 // Its name when it was moved; 0 throughout in one of the former form.
  EventId first_event;           // Its first name, if it was retried and became a letter again; else 0.
  // What letters are in order by: as the time, but behind all that its worker had written or was to retry, though the
  // clock was set back. 0: the time.
  std::int64_t order_ns = 0;
  // Where it was read from.
  std::filesystem::path file;
  std::uint64_t offset = 0;
};

// The bytes of a letter as they stand in a file. Pure.
std::string encode(const DeadLetter& letter);

// Whether one comes before the other, by order_ns.
bool comes_before(const DeadLetter& one, const DeadLetter& other) noexcept;

// All whole letters of a file, in the order in which they were written: one that is being appended at this
// moment is not among them. Holds all of them. Throws Error for a file that cannot be read or that
// holds something else, with the byte where that begins. Any process that may read the file may call it, at
// any time.
std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& file);

// The letters of a file, or of all files of dead letters in a directory (not in those below it), in order of
// time. Throws Error as read_dead_letters() does, and for a path that is not there.
std::vector<DeadLetter> find_dead_letters(const std::filesystem::path& file_or_directory);

// Marks a letter that was read from a file as retried. False, with errno, when the file cannot be written.
bool mark_retried(const DeadLetter& letter, std::uint32_t retried_by);

// Its backtrace with the names of functions. Where a file is gone, file and offset as in the letter; where it was rebuilt
// since, by its build id, the same, and it says so. (A file that was linked without a build id is not known again: the names
// are those that it has now.) Reads debug information: may take seconds. Throws nothing but std::bad_alloc.
std::string named_backtrace(const DeadLetter& letter);

// The name of a file of a worker, without a directory: of `run`, and of its files the one with that number, from 1. A
// worker has more than one where somebody has put another file in its place. "parse-0.1f2e3d4c5.dead",
// "parse-0.1f2e3d4c5-2.dead".
std::string dead_letters_file(std::string_view stage, unsigned replica, std::uint64_t run,
                              std::uint32_t number);

}  // namespace sluice
