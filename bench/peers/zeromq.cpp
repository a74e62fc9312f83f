// SPDX-License-Identifier: Apache-2.0
// ZeroMQ over ipc://, a pair of sockets a direction. Who waits sleeps in ZeroMQ for a while, because its own
// thread has to run on the same units.
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <zmq.h>

#include "messages.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

class ZeroMq {
 public:
  explicit ZeroMq(std::size_t /*largest*/) {
    static unsigned made = 0;
    for (std::string& address : addresses_)
      address = fmt::format("ipc://@sluice-bench-{}-{}", ::getpid(), made++);
  }

  // One end of a pair; each process has its own context, made after the fork.
  class End {
   public:
    End(const std::string& address, bool binds) : context_{::zmq_ctx_new()} {
      pin_to_all();
      socket_ = ::zmq_socket(context_, ZMQ_PAIR);  // Starts the context's thread.
      pin_back();
      constexpr int kWaitMs = 1;
      constexpr int kLingerMs = 1000;
      ::zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &kWaitMs, sizeof(kWaitMs));
      ::zmq_setsockopt(socket_, ZMQ_SNDTIMEO, &kWaitMs, sizeof(kWaitMs));
      ::zmq_setsockopt(socket_, ZMQ_LINGER, &kLingerMs, sizeof(kLingerMs));
      if ((binds ? ::zmq_bind(socket_, address.c_str()) : ::zmq_connect(socket_, address.c_str())) != 0)
        throw std::runtime_error{fmt::format("ZeroMQ at {}: {}", address, ::zmq_strerror(errno))};
    }
    ~End() {
      ::zmq_close(socket_);
      ::zmq_ctx_term(context_);
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

   protected:
    static std::size_t moved(int result) {
      if (result >= 0) return static_cast<std::size_t>(result);
      if (errno == EAGAIN || errno == EINTR) return 0;
      throw std::runtime_error{fmt::format("ZeroMQ: {}", ::zmq_strerror(errno))};
    }
    void* socket() const noexcept { return socket_; }

   private:
    void pin_to_all() noexcept {
      ::sched_getaffinity(0, sizeof(pinned_), &pinned_);
      cpu_set_t all;
      CPU_ZERO(&all);
      for (int unit = 0; unit < CPU_SETSIZE; ++unit)
        CPU_SET(unit, &all);
      ::sched_setaffinity(0, sizeof(all), &all);
    }
    void pin_back() noexcept { ::sched_setaffinity(0, sizeof(pinned_), &pinned_); }

    cpu_set_t pinned_{};
    void* context_;
    void* socket_ = nullptr;
  };

  class Sender : public End {
   public:
    Sender(const ZeroMq& pair, std::size_t direction) : End{pair.addresses_[direction], false} {}
    bool send(const void* data, std::size_t bytes) {
      return moved(::zmq_send(socket(), data, bytes, 0)) != 0;
    }
  };
  class Receiver : public End {
   public:
    Receiver(const ZeroMq& pair, std::size_t direction) : End{pair.addresses_[direction], true} {}
    std::size_t receive(void* data, std::size_t capacity, std::size_t /*unit*/) {
      return moved(::zmq_recv(socket(), data, capacity, 0));
    }
  };

 private:
  std::array<std::string, 2> addresses_;
};

template <std::size_t kBytes>
using Channel = Messages<ZeroMq, kBytes>;

const ListedPeer listed{[](const Options& options) { add_messages<Channel>("peer:zeromq", options); }};

}  // namespace
}  // namespace sluice::bench
