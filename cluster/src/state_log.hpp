// SPDX-License-Identifier: Apache-2.0
// The log of a partition's checkpoints: a subject of a JetStream stream. It is the one thing of a cluster that is fenced: what a
// host lets out waits for a checkpoint that is stored here, and whoever cannot store one lets nothing out.
//
// Every message expects the sequence of the one before it on its subject, and is answered before the next is sent:
//
//     claim    an epoch; from here on whoever is of a lower one stores nothing
//     part     of a checkpoint's file; all of them in their order are the file, and the checkpoint counts. The last one of a delta may say
//              that with all files from a number on it is a base
//
//     host A, epoch 7:   claim 7   base 12 1/2   base 12 2/2   delta 13 1/1   ..frozen..   delta 14 1/1: refused, Fenced
//     host B, epoch 8:                                                      claim 8   fetches 12, 13   delta 14 1/1  ...
//
// An answer that is lost loses nothing: the last message of the subject says whether it was stored. Once a base is whole, what
// was before it is purged, so that at every instant there is a whole chain: state_chain.hpp says what that is.
//
// Made and used by one thread of a process that starts no pipeline (libnats has threads of its own), or in that which ships
// checkpoints. Connects when it has to.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/checkpoint_shipper.hpp>
#include <sluice/connect/nats_server.hpp>
#include <sluice/detail/readied_shipper.hpp>
#include <sluice/error.hpp>

#include "claim_order.hpp"
#include "client.hpp"
#include "state_chain.hpp"
#include "state_copy.hpp"
#include "state_message.hpp"

namespace sluice::detail {

// Another process has claimed the partition with an epoch that is not lower, or the claim of this one is not there any more: it
// has nothing to say any more.
class Fenced : public Error {
 public:
  using Error::Error;
};

struct StateLogOptions {
  NatsServer server{};
  std::string cluster{};
  unsigned partition = 0;
  std::string host{};  // Of this process.
};

// What the last message says.
struct StateLogStatus {
  std::uint64_t epoch = 0;
  std::string host{};
  std::uint64_t sequence = 0;
  std::int64_t time_ns = 0;  // By the server's clock, since 1970.
  std::uint64_t bytes = 0;   // From the last whole base on: what a takeover reads; 0: there is none.
  std::string file{};        // Empty for a claim.
  std::string part{};        // "3/12".
  std::string reads{};  // What the newest whole checkpoint holds of what the sources read (source_reads.hpp).
};

// The names of the cluster's stream and of a partition's subject in it: "SLUICE_orders", "sluice.orders.state.3".
std::string state_stream(const std::string& cluster);
std::string state_subject(const std::string& cluster, unsigned partition);

enum class MissingStream { make, refuse };
// How large a message of it may be, headers and all; nothing: as large as the server takes it. Throws Error if the stream is one that would lose
// something, or takes nothing that is worth a message.
std::optional<std::size_t> prepare_state_stream(const NatsClient& client, const std::string& cluster,
                                                MissingStream missing = MissingStream::make);

// Of a partition; nothing if there is none. Throws as StateLog does.
std::optional<StateLogStatus> state_log_status(const NatsClient& client, const std::string& cluster,
                                               unsigned partition);

class StateLog {
 public:
  using Told = std::function<bool(const FetchedState&)>;

  explicit StateLog(StateLogOptions options);

  // All of these connect if need be, and throw Unavailable when the server is away, and Error for what only a person can mend.
  //
  // Makes the stream if it is not there. Throws Fenced if an epoch that is as high or higher was claimed before. Nobody else stores anything from here on.
  void claim(std::uint64_t epoch);
  // The newest whole base and its whole deltas, into a directory that is made; none if there are none. Whoever has claimed it
  // gets all that ever counted. What follow() has left there is gone on with, if its files are as they were written and the
  // server has the message that it ends with; else it is removed, as all else of a chain. Some MiB of memory, whatever their size.
  FetchedState fetch(const std::filesystem::path& directory);
  // The same, and goes on with what is stored from then on, for as long as told() returns true; it is called each time that
  // everything is there. Claims nothing and stores nothing. Throws Error for a chain that is damaged and for a disk that takes no
  // more, and nothing of the chain is in the directory then.
  void follow(const std::filesystem::path& directory, const Told& told) { follow(directory, told, nullptr); }
  // The same, until somebody gives the order to claim it, and then as claim() and fetch(), by the connection that there is. Nothing if
  // told() has ended it before. `copied` of what it gives is what was there when it heard of it.
  std::optional<FetchedState> follow(const std::filesystem::path& directory, const Told& told,
                                     ClaimOrder* order);

  // `epoch` was claimed by another process of this host: append() goes on for it. `newest` is the number of the last file that it
  // has fetched: a delta that follows it may come first. 0: there was none.
  void go_on_with(std::uint64_t epoch, std::uint64_t newest = 0) noexcept {
    epoch_ = epoch;
    newest_ = newest;
    recorded_ = newest != 0;
  }
  // Connects and looks where the log of that epoch ends, so that the first append() does not. Stores nothing; throws as append() does.
  void ready();
  // Stores a checkpoint's file. Throws Fenced; and it has failed then, whatever of it is stored: a base comes next. Gives the
  // message that made it whole, and how many bytes it has. Where the server has lost all of the partition, and the bucket says
  // that it is this host's with this epoch, it is claimed once more, and goes on with a base. `whole_from`: of a delta that stands
  // alone with all from that number on (ShippedCheckpoint).
  // `reads`: of that checkpoint, as StateLogStatus has it.
  CopiedMessage append(const std::filesystem::path& file, std::uint64_t whole_from = 0,
                       const std::string& reads = {});

  // Whether any checkpoint was ever stored, whatever is there now. The bucket says so once one is stored, or was read by fetch() or
  // follow(): before anybody lets out what stands on it.
  bool was_stored();

  // Nothing if nobody has ever claimed it.
  std::optional<StateLogStatus> status() {
    return state_log_status(client(MissingStream::make), options_.cluster, options_.partition);
  }

 private:
  struct Last {
    std::uint64_t sequence = 0;  // 0: there is none.
    std::optional<StateMessage> message{};
    std::string reads{};
  };
  enum class Stored { yes, no, unknown };

  const NatsClient& client(MissingStream missing = MissingStream::refuse);
  void look_at_stream(const NatsClient& client, MissingStream missing);
  Last last();
  Last last_known();
  StateMessage headers() const;
  bool catch_up_with_what_is_there();
  void catch_up();
  void claim_what_was_lost();
  CopiedMessage write(const std::filesystem::path& file, const std::string& name, std::uint64_t whole_from,
                      const std::string& reads);
  void note_file(const StateFileName& name, std::uint64_t first, std::uint64_t bytes, bool whole);
  void store(const StateMessage& headers, std::span<const char> bytes);
  Stored try_to_store(const StateMessage& headers, std::span<const char> bytes);
  bool is_stored(const StateMessage& headers);
  void purge();
  void record(const NatsClient& client, const FetchedState& state);
  struct Following {
    const Told& told;
    ClaimOrder* order = nullptr;
    bool claimed = false;
    std::uint64_t copied = 0;  // That was there before it was claimed.
  };
  bool tell(const NatsClient& client, const Following& following, const FetchedState& state);
  // Up to the message `end`; and with told() from then on, until it says no, or up to the claim that is ordered.
  void read(std::uint64_t end, StateChain& chain, Following* following = nullptr);
  std::optional<FetchedState> follow_once(const std::filesystem::path& directory, Following& following);
  bool claim_if_ordered(Following& following, const StateChain& chain, std::chrono::milliseconds limit);
  bool has(const CopiedMessage& message);
  void forget_what_is_over(StateChain& chain);
  [[noreturn]] void fence(const StateMessage& other) const;
  std::string object() const;

  StateLogOptions options_;
  std::string stream_;
  std::string subject_;
  std::string writer_;  // No other has it.
  std::unique_ptr<NatsClient> client_;
  std::uint64_t connections_ = 0;                   // How many were made.
  std::chrono::steady_clock::time_point looked_{};  // At what the stream is.
  std::uint64_t epoch_ = 0;
  std::optional<std::uint64_t> expected_;  // The last sequence, once it is known to be of this epoch.
  std::size_t part_bytes_ = 0;
  bool base_is_due_ = true;
  bool recorded_ = false;  // That something is stored.
  std::uint64_t newest_ = 0;
  bool only_claimed_ = false;  // Nothing of this epoch but the claim is stored.
  std::uint64_t stored_ = 0;
  std::string reads_;  // Of the newest checkpoint that is whole with the message to be stored.
  std::uint64_t purge_before_ = 0;
  // What this object has stored since the newest base, in the order of its numbers, without a gap.
  struct StoredFile {
    std::uint64_t number = 0;
    std::uint64_t first = 0;  // Sequence.
    std::uint64_t bytes = 0;
  };
  std::deque<StoredFile> files_;
};

// Stores each checkpoint in the log, for Engine::ship_checkpoints(): connects in the process that ships, before its first one. Writes
// down beside the files which of them are stored (state_copy.hpp).
ReadiedShipper state_log_shipper(StateLogOptions options, std::uint64_t epoch, std::uint64_t newest = 0);

}  // namespace sluice::detail
