// SPDX-License-Identifier: Apache-2.0
// The fan-out over ZeroMQ: PUSH and PULL sockets, ipc transport. A message is one event, which ZeroMQ batches
// by itself; packed, the application puts 32 of them into each.
#include <atomic>
#include <memory>
#include <string>
#include <zmq.h>

#include "fan_out/processes.hpp"

namespace sluice::bench {
namespace {

struct CloseContext {
  void operator()(void* context) const { ::zmq_ctx_term(context); }
};
struct CloseSocket {
  void operator()(void* socket) const { ::zmq_close(socket); }
};

// An address; contexts and sockets do not survive a fork.
struct ZeroMq {
  ZeroMq() {
    static std::atomic<unsigned> links{0};
    address = "ipc:///tmp/sluice-bench-" + std::to_string(::getpid()) + "-" + std::to_string(links++);
  }
  std::string address;

  class Socket {
   public:
    explicit Socket(int type) : context_{::zmq_ctx_new()}, socket_{::zmq_socket(context_.get(), type)} {
      constexpr int kLongestWaitMs = 5000;
      for (const int option : {ZMQ_RCVTIMEO, ZMQ_SNDTIMEO, ZMQ_LINGER})
        ::zmq_setsockopt(socket_.get(), option, &kLongestWaitMs, sizeof(kLongestWaitMs));
    }
    void* get() const { return socket_.get(); }

   private:
    std::unique_ptr<void, CloseContext> context_;
    std::unique_ptr<void, CloseSocket> socket_;
  };

  // Whoever receives binds.
  class Sender {
   public:
    explicit Sender(const ZeroMq& link) : socket_{ZMQ_PUSH} {
      if (::zmq_connect(socket_.get(), link.address.c_str()) != 0) ::_exit(1);
    }
    void send(const void* data, std::size_t bytes) {
      if (::zmq_send(socket_.get(), data, bytes, 0) < 0) ::_exit(1);
    }

   private:
    Socket socket_;
  };
  class Receiver {
   public:
    explicit Receiver(const ZeroMq& link) : socket_{ZMQ_PULL}, path_{link.address.substr(6)} {
      if (::zmq_bind(socket_.get(), link.address.c_str()) != 0) ::_exit(1);
    }
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    ~Receiver() { ::unlink(path_.c_str()); }
    std::size_t receive(void* data, std::size_t most_bytes) {
      const int bytes = ::zmq_recv(socket_.get(), data, most_bytes, 0);
      return bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
    }

   private:
    Socket socket_;
    std::string path_;
  };
};

const AddFanOut kZeroMq{
    {"peer:zeromq", 400'000, [](std::uint64_t events) { return fan_out_by<ZeroMq>(events, 1); }}};
const AddFanOut kPacked{{"peer:zeromq_packed", 2'000'000,
                         [](std::uint64_t events) { return fan_out_by<ZeroMq>(events, kPack); }}};

}  // namespace
}  // namespace sluice::bench
