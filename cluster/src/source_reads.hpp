// SPDX-License-Identifier: Apache-2.0
// What a checkpoint of a partition holds of what its sources read from streams, in a header of its messages; and how much there is
// behind that: the partition's lag, whoever owns it, and if nobody does.
#pragma once

#include <cstdint>
#include <nats/nats.h>
#include <optional>
#include <string>
#include <vector>

#include <sluice/checkpoint_shipper.hpp>

#include "client.hpp"

namespace sluice::detail {

// Of one source: a stream, subjects in it with * and > as in NATS, and the sequence from which on nothing is in the checkpoint.
struct SourceRead {
  std::string stream{};
  std::string subjects{};
  std::uint64_t next = 0;

  friend bool operator==(const SourceRead&, const SourceRead&) = default;
};

// "ORDERS orders.3 1274", one behind the other; what is read from elsewhere is left out.
std::string to_source_reads(const std::vector<ReadPosition>& reads);
// Nothing of a text that is not so.
std::vector<SourceRead> parse_source_reads(const std::string& text);

// The header of a message; empty if it has none.
std::string read_source_reads(natsMsg* message);
natsStatus write_source_reads(natsMsg* message, const std::string& text);

struct PartitionLag {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;  // About: by the mean size of a message of the stream.
};

// What the server has behind that, of all of them. Nothing for none. Throws Unavailable, and Error: a stream is gone, or the server
// does not allow a consumer. Two requests for a source that is behind, one for others: the server counts, by a consumer that lives for
// that long.
std::optional<PartitionLag> lag_behind(const NatsClient& client, const std::vector<SourceRead>& reads);

}  // namespace sluice::detail
