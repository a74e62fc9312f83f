// SPDX-License-Identifier: Apache-2.0
// The chain of a partition's checkpoints in JetStream: the one thing that is fenced.
//
// One subject of the cluster's stream. Each message expects the last sequence of the subject, so that it comes behind what its
// writer knows, or not at all. A claim raises the epoch: from then on whoever wrote before finds that something came behind his
// last message, and that it is of a higher epoch. What a checkpoint holds has been let out only once it is stored here whole, so
// that who cannot write here lets nothing out.
//
//   claim              Sluice-Epoch, Sluice-Host
//   part of a file     Sluice-Epoch, Sluice-File, Sluice-Part: 3/12; Sluice-Stored: bytes since the base began
//
// A file that was cut off is followed by a claim or by the first part of another: it counts for nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <sluice/checkpoint_shipper.hpp>
#include <sluice/error.hpp>

#include "client.hpp"

namespace sluice::detail {

// Another host has claimed the partition.
class Fenced : public Error {
 public:
  using Error::Error;
};

struct StateLogOptions {
  NatsServer server{};
  std::string cluster{};
  unsigned partition = 0;
  std::string host{};
};

// What the last message says.
struct StateLogStatus {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::int64_t time_ns = 0;  // By the server's clock, since 1970.
  std::uint64_t bytes = 0;   // From the last base on; 0: there is none.
  std::string file{};        // Empty for a claim.
  std::string part{};
};

// The names of the cluster's stream and of a partition's subject in it.
std::string state_stream(const std::string& cluster);
std::string state_subject(const std::string& cluster, unsigned partition);

// Makes the stream if it is not there. Throws Error if it is one that would lose something.
void prepare_state_stream(const NatsClient& client, const std::string& cluster);

// Of a partition; nothing if there is none. Throws as StateLog does.
std::optional<StateLogStatus> state_log_status(const NatsClient& client, const std::string& cluster,
                                               unsigned partition);

class StateLog {
 public:
  // Connects. All that follows throws Unavailable when the server is away, and Error for what only a person can mend.
  explicit StateLog(StateLogOptions options);

  // Takes the chain: from here on it stands still, but for who writes with this epoch. Fenced if somebody has a higher one, or the
  // same.
  void claim(std::uint64_t epoch);

  struct Fetched {
    std::size_t files = 0;
    std::uint64_t bytes = 0;
  };
  // Writes the files of the newest whole base, and of the deltas behind it, into the directory, in the place of all checkpoints
  // that are there. Up to the last message that there is now.
  Fetched fetch(const std::filesystem::path& directory) const;

  // Stores a file, and removes what is before it if it is a base. Fenced if the partition was claimed.
  void append(const std::filesystem::path& file, bool base, std::uint64_t epoch);

  std::optional<StateLogStatus> status() const {
    return state_log_status(client_, options_.cluster, options_.partition);
  }

 private:
  struct Message;

  // Stores it behind the last message; what else came behind that is looked at.
  void publish(const Message& message);
  void store(const Message& message);
  [[noreturn]] void refuse(const StateLogStatus& last, std::uint64_t epoch) const;
  void purge_before(std::uint64_t sequence) const;

  StateLogOptions options_;
  std::string stream_;
  std::string subject_;
  NatsClient client_;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t stored_ = 0;
  bool knows_last_ = false;
};

// Stores each checkpoint before it counts. Connects in the process that calls it.
CheckpointShipper state_log_shipper(const StateLogOptions& options, std::uint64_t epoch);

}  // namespace sluice::detail
