// SPDX-License-Identifier: Apache-2.0
// A channel of somebody else's whose receiver lets events gather as Watcher does, so that
// nobody can say that a peer would win with the same pauses.
//
// Its receiver pauses for as long as ours when a stream has run dry; popping one by one also after every kRun
// events that came without an empty look, where more of them (128, 512) and fewer (32) are slower. What reads
// many at a look is faster without. As with ours an event that comes alone is never made to wait.
#pragma once

#include <cstddef>
#include <string>

#include <sluice/ipc/relax.hpp>

#include "traffic.hpp"
#include "watcher.hpp"

namespace sluice::bench {

template <template <std::size_t> class Channel>
struct Paced {
  template <std::size_t kBytes>
  struct Of : Channel<kBytes> {
    class Receiver {
     public:
      Receiver(const Of& channel, std::size_t direction) : receiver_{channel, direction} {}
      bool pop(Event<kBytes>& event) {
        if (run_ >= kRun) pause();
        return count(receiver_.pop(event) ? 1 : 0) != 0;
      }
      template <class Read>
      std::size_t read(Read&& read) {
        return count(receiver_.read(read));
      }

     private:
      std::size_t count(std::size_t found) noexcept {
        if (found != 0) {
          run_ += found;
        } else {
          if (run_ > 1) pause();
          run_ = 0;
        }
        return found;
      }
      void pause() noexcept {
        for (int i = 0; i < kGatherRelaxes; ++i)
          ipc::relax();
        run_ = 0;
      }

      static constexpr std::size_t kRun = 64;
      typename Channel<kBytes>::Receiver receiver_;
      std::size_t run_ = 0;  // Events since the last pause or empty look.
    };
  };
};

// A ring of somebody else's: as it is, and paced.
template <template <std::size_t> class Channel>
void add_ring_peer(const std::string& subject) {
  add_ring<Channel>(subject);
  add_sizes<Paced<Channel>::template Of>(subject + "_paced", true);
}

}  // namespace sluice::bench
