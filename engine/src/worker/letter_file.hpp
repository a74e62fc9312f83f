// SPDX-License-Identifier: Apache-2.0
// The file of a worker's dead letters: each is written before the commit that moves its event, and counts with it.
//
// Used by Poison. The file is opened for each letter, which are few, so that one that has vanished, or a directory that
// cannot be written for a while, is found out before an event is moved. Then nothing is: Unavailable is thrown, the
// event stays in its lane, and the worker waits until the letter can be written.
//
// A file is known by the run. What lies behind the committed length was written by a batch that never committed, and is
// cut off; but not where the state was restored from a checkpoint: a letter from behind it has been seen, and what is
// outside may have gone on behind its event. Such letters stay, and their events, which come again, are passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/worker.hpp>

namespace sluice::detail {

// Where the letters of a worker are.
struct LetterPlace {
  std::filesystem::path directory;
  bool restored = false;  // The state is a checkpoint's, or was once.
  bool synced = false;    // A letter is on the disk before it counts.
};

class LetterFile {
 public:
  // Whether there is one to go on in: in this state, or in the directory. Throws Unavailable when that cannot be seen.
  static bool is_there(const Worker& worker, std::span<const std::byte> state, const LetterPlace& place);

  // Of a state that was restored, before anybody goes on with it: there may be letters that it does not know of. Said in the
  // state, since the life that restored it may be lost before its worker has looked.
  static void note_restore(std::span<std::byte> state);
  // Claims its state. `to_come`: whether an event of this worker is still to be handled. Throws Unavailable when the
  // letters of before a restore cannot be read.
  LetterFile(Worker& worker, LetterPlace place, const std::function<bool(const EventId&)>& to_come);

  // The letters of before a restore whose events are to come.
  std::vector<DeadLetter> take_written() { return std::move(written_); }

  // Opens the file that the next letter goes to. False when that is another file than the last commit knows, the first
  // one or one in the place of a file that is gone: that has to be committed before a letter is written, so that a
  // replacement knows what stands in it. Throws Unavailable when it cannot be opened.
  bool ready();
  // Behind a ready() that was true: writes a letter, to be counted by the next commit. Its order is made that of one
  // behind all others here and behind `floor_ns`. Throws Unavailable when it cannot be written as a whole.
  void append(DeadLetter& letter, std::int64_t floor_ns);

 private:
  struct Committed {
    std::uint64_t length_bytes;
    std::uint64_t mark;  // Which file it is: file_mark.hpp.
    std::uint64_t inode;
    std::int64_t order_ns;  // Of the last letter.
    std::uint64_t
        life;  // Which Worker::life() has begun it, or gone on in it behind a restore; 0: none yet, since then.
    std::uint32_t number;   // dead_letters_file().
    std::uint32_t awaited;  // Not 0: events may be to come of which a letter of before the restore is here.
  };
  static constexpr std::string_view kState = "sluice.letters";

  Committed fresh() const;
  std::string name(std::uint32_t number) const;
  void go_on(const std::function<bool(const EventId&)>& to_come);
  void cut_what_never_counted() const;
  bool is_the_one(int file) const noexcept;
  [[noreturn]] void unavailable(const std::string& why) const;

  LetterPlace place_;
  std::string stage_;
  unsigned replica_;
  std::uint64_t run_;
  std::uint64_t life_;
  std::uint64_t origin_;  // Of the events of its lane 0.
  Recoverable<Committed> committed_;
  std::vector<DeadLetter> written_;
  Descriptor file_;
};

}  // namespace sluice::detail
