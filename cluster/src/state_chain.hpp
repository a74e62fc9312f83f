// SPDX-License-Identifier: Apache-2.0
// Puts the files of a partition's newest whole base and its deltas together, from the messages of its log in their order
// (state_log.hpp).
//
// What a writer left unfinished never counted, and is dropped: a file whose parts end in the midst, before a claim, a base, or the
// end of the log. A claim may be followed by a delta of the last whole file: who claimed it has restored that. Whatever else does not
// follow what is before it is damage: messages that are missing, or of somebody else. A whole base behind it makes good for it, and so
// do deltas that are one, of which the last says so (StateMessage::whole_from): what is before them goes then. Without any it is an Error,
// since what came after the last whole file may have been seen outside. A file has its name once it is whole.
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

#include "state_copy.hpp"
#include "state_message.hpp"

namespace sluice::detail {

struct FetchedState {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t copied = 0;  // Of these bytes: they were in the directory already.
  std::uint64_t newest = 0;  // The number of the last file; 0: there are none.

  // Wherever it came from.
  friend bool operator==(const FetchedState& one, const FetchedState& other) noexcept {
    return one.files == other.files && one.bytes == other.bytes;
  }
};

class StateChain {
 public:
  // Makes the directory for this user alone, locks it for as long as this lives, and keeps what a former one has written down
  // there (state_copy.hpp) of the chain of that subject: last_kept() is the message that it ends with, and the next is
  // that behind it. Removes all else of a chain. Throws Error.
  StateChain(const std::filesystem::path& directory, const std::string& subject);
  StateChain(const StateChain&) = delete;
  StateChain& operator=(const StateChain&) = delete;

  const std::optional<CopiedMessage>& last_kept() const noexcept { return last_kept_; }
  // What was kept is of another chain, or of one that is over: nothing is there.
  void forget_kept();
  // The next message, which is written down; nothing for one that is none of ours. `sequence` is for errors. Throws Error when it cannot be written.
  void take(const std::optional<StateMessage>& message, std::uint64_t sequence, std::span<const char> bytes);
  // Why nothing can be gone on with until the next base; empty: nothing is wrong.
  const std::string& damage() const noexcept { return damage_; }
  // Of what it has now.
  FetchedState state() const noexcept;
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
    std::uint64_t number;
    CopiedMessage copied;

    const std::string& name() const noexcept { return copied.message.file; }
  };

  std::string misplaced(const StateMessage& message) const;
  void begin(const StateMessage& message);
  void write(std::span<const char> bytes);
  void lock();
  void remove_all_but(const std::vector<CopiedMessage>& kept) const;
  void finish_file(const StateMessage& last, std::uint64_t sequence);
  bool may_begin_with(const StateMessage& message) const;
  void begin_without_base();
  bool is_whole_from(std::uint64_t number) const noexcept;
  void begin_with(std::uint64_t number);
  void drop_file();
  void damage(std::uint64_t sequence, const std::string& why);
  void remove(const std::string& name) const;
  [[noreturn]] void fail(const char* tried, const std::string& name, int reason) const;

  OwnDirectory directory_;
  StateCopy copy_;
  Descriptor locked_;
  std::optional<CopiedMessage> last_kept_;
  std::uint64_t kept_bytes_ = 0;
  std::optional<std::uint64_t> epoch_;
  std::optional<File> file_;
  std::vector<WholeFile> whole_;  // One behind the other.
  bool based_ = false;  // They begin with a base, or with deltas that are one; and are written down.
  bool open_ = false;   // A delta may follow.
  std::string damage_;
};

}  // namespace sluice::detail
