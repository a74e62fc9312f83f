// SPDX-License-Identifier: Apache-2.0
// Partitioner: which partition of a cluster an event belongs to, by its key. Who sends events into the cluster's input uses it to
// choose the subject; whoever looks for a key uses it to know where.
#pragma once

#include <cstdint>
#include <stdexcept>

#include <sluice/key.hpp>

namespace sluice {

class Partitioner {
 public:
  // What of() answers never changes within a version: another hash would be another version. The hosts of a cluster agree on it
  // when they join; of what is sent nothing says by which it was sent.
  static constexpr unsigned kVersion = 1;

  // Throws std::invalid_argument for none.
  explicit Partitioner(unsigned partitions) : partitions_{partitions} {
    if (partitions == 0) throw std::invalid_argument{"a cluster has at least one partition"};
  }

  // The upper bits of the product of hash and number: no division, and each partition gets its share.
  template <Key K>
  unsigned of(const K& key) const noexcept {
    const std::uint64_t high = hash_key(key) >> 32U;
    return static_cast<unsigned>((high * partitions_) >> 32U);
  }

  unsigned partitions() const noexcept { return partitions_; }

 private:
  unsigned partitions_;
};

}  // namespace sluice
