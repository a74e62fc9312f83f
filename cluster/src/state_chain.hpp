// SPDX-License-Identifier: Apache-2.0
// Puts the files of a partition's newest whole base and its deltas together, from the messages of its log in their order
// (state_log.hpp).
//
// What a writer left unfinished never counted, and is dropped: a file whose parts end in the midst, before a claim, a base, or the
// end of the log. Whatever else does not follow what is before it is damage: messages that are missing, or of somebody else. A
// whole base behind it makes good for it; without one it is an Error, since what came after the last whole file may have been seen
// outside. A file has its name once it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/own_directory.hpp>

#include "state_message.hpp"

namespace sluice::detail {

struct FetchedState {
  std::size_t files = 0;
  std::uint64_t bytes = 0;

  friend bool operator==(const FetchedState&, const FetchedState&) = default;
};

class StateChain {
 public:
  // Makes the directory for this user alone, or removes what is in it of a former chain. Throws Error.
  explicit StateChain(const std::filesystem::path& directory);

  // The next message; nothing for one that is none of ours. `sequence` is for errors. Throws Error when it cannot be written.
  void take(const std::optional<StateMessage>& message, std::uint64_t sequence, std::span<const char> bytes);
  // After the last one. Throws Error for damage; `object` is what is damaged.
  FetchedState finish(const std::string& object, const std::string& subject);

 private:
  struct File {
    StateMessage next;  // The part that goes on with it.
    StateFileName name;
    std::uint64_t bytes = 0;
    Descriptor descriptor;
  };
  struct WholeFile {
    std::string name;
    std::uint64_t number;
    std::uint64_t bytes;
  };

  std::string misplaced(const StateMessage& message) const;
  void begin(const StateMessage& message);
  void write(std::span<const char> bytes);
  void finish_file();
  void drop_file();
  void damage(std::uint64_t sequence, const std::string& why);
  void remove(const std::string& name) const;
  [[noreturn]] void fail(const char* tried, const std::string& name, int reason) const;

  OwnDirectory directory_;
  std::optional<std::uint64_t> epoch_;
  std::optional<File> file_;
  std::vector<WholeFile> whole_;
  bool open_ = false;  // A delta may follow.
  std::string damage_;
};

}  // namespace sluice::detail
