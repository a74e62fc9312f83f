// SPDX-License-Identifier: Apache-2.0
// The file of a worker's dead letters: each is written before the commit that moves its event, and counts with it.
//
// Used by Poison. The file is opened for each letter, which are few, so that one that has vanished, or a directory that
// cannot be written for a while, is found out before an event is moved. Then nothing is: Unavailable is thrown, the
// event stays in its lane, and the worker waits until the letter can be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <sluice/detail/descriptor.hpp>
#include <sluice/worker.hpp>

#include "worker/run_mark.hpp"

namespace sluice::detail {

class LetterFile {
 public:
  // Claims its state; opens nothing yet.
  LetterFile(Worker& worker, std::filesystem::path directory);

  // Opens the file that the next letter goes to. False when that is another file than the last commit knows, the first
  // one or one in the place of a file that is gone: that has to be committed before a letter is written, so that a
  // replacement knows what stands in it. Throws Unavailable when it cannot be opened.
  bool ready();
  // Behind a ready() that was true: writes a letter, to be counted by the next commit. Throws Unavailable when it cannot
  // be written as a whole.
  void append(std::string_view letter);

 private:
  struct Committed {
    std::uint64_t length_bytes;
    std::uint64_t mark;  // Which file it is: file_mark.hpp.
    std::uint64_t inode;
  };

  std::string name() const;
  bool is_the_one(int file) const noexcept;
  [[noreturn]] void unavailable(const std::string& why) const;

  std::filesystem::path directory_;
  std::string stage_;
  unsigned replica_;
  Recoverable<RunMark> run_;
  Recoverable<Committed> committed_;
  Descriptor file_;
};

}  // namespace sluice::detail
