// SPDX-License-Identifier: Apache-2.0
// How far a NatsReader is behind its stream, where its worker's state has room for telling that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/detail/source_lag.hpp>
#include <sluice/worker.hpp>

#include "client.hpp"

namespace sluice::detail {

class ReaderLag {
 public:
  // With the first call. `position`: the name of the piece of state that begins with it.
  void claim(Worker& worker, const std::string& what, const std::string& key, const std::string& position);
  // For the bytes, of which the server says nothing.
  void note_sizes_of(const std::vector<NatsMessagePtr>& pulled) noexcept;
  void tell(std::uint64_t events);
  bool is_behind() const noexcept { return lag_ && (*lag_)->events != 0; }

 private:
  std::optional<Recoverable<SourceLag>> lag_;
  bool looked_for_room_ = false;
  std::uint64_t mean_bytes_ = 0;
};

}  // namespace sluice::detail
