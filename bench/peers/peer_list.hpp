// SPDX-License-Identifier: Apache-2.0
// The other products that this build has found: each file of this directory adds its own.
#pragma once

#include "suite.hpp"

namespace sluice::bench {

class ListedPeer {
 public:
  using AddAll = void (*)(const Options&);
  explicit ListedPeer(AddAll add_all) noexcept : add_all_{add_all}, next_{first()} { first() = this; }
  static void add_every(const Options& options) {
    for (const ListedPeer* peer = first(); peer != nullptr; peer = peer->next_)
      peer->add_all_(options);
  }

 private:
  static const ListedPeer*& first() noexcept {
    static const ListedPeer* first = nullptr;
    return first;
  }
  AddAll add_all_;
  const ListedPeer* next_;
};

}  // namespace sluice::bench
