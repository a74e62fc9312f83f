// SPDX-License-Identifier: Apache-2.0
// What the kernel itself offers: a pipe, a Unix socket, a POSIX message queue. None of their calls blocks:
// who waits asks again, which is faster here than to sleep and be woken.
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mqueue.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "messages.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error{fmt::format("{} failed: {}", what, std::strerror(errno))};
}

// The bytes that a call which may not block moved; 0 when it would have blocked.
std::size_t moved(ssize_t result, const char* what) {
  if (result >= 0) return static_cast<std::size_t>(result);
  if (errno == EAGAIN || errno == EINTR) return 0;
  fail(what);
}

struct Descriptors {
  int sending = -1;
  int receiving = -1;
};

class Pipe {
 public:
  explicit Pipe(std::size_t /*largest*/) {
    for (Descriptors& way : ways_) {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) fail("pipe2");
      way = {ends[1], ends[0]};
      (void)::fcntl(way.sending, F_SETPIPE_SZ, 1 << 20);  // The limit of who is not root; smaller works too.
    }
  }
  ~Pipe() {
    for (const Descriptors& way : ways_) {
      ::close(way.sending);
      ::close(way.receiving);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  // A pipe carries bytes: what exceeds PIPE_BUF may go in parts, and come in parts.
  class Sender {
   public:
    Sender(const Pipe& pipe, std::size_t direction) : descriptor_{pipe.ways_[direction].sending} {}
    bool send(const void* data, std::size_t bytes) {
      std::size_t sent = moved(::write(descriptor_, data, bytes), "write to a pipe");
      if (sent == 0) return false;
      while (sent < bytes)
        sent +=
            moved(::write(descriptor_, static_cast<const std::byte*>(data) + sent, bytes - sent), "write");
      return true;
    }

   private:
    int descriptor_;
  };
  class Receiver {
   public:
    Receiver(const Pipe& pipe, std::size_t direction) : descriptor_{pipe.ways_[direction].receiving} {}
    // `unit` divides whatever is sent.
    std::size_t receive(void* data, std::size_t capacity, std::size_t unit) {
      std::size_t came = moved(::read(descriptor_, data, capacity), "read from a pipe");
      while (came % unit != 0)
        came += moved(::read(descriptor_, static_cast<std::byte*>(data) + came, unit - came % unit), "read");
      return came;
    }

   private:
    int descriptor_;
  };

 private:
  std::array<Descriptors, 2> ways_;
};

class UnixSocket {
 public:
  explicit UnixSocket(std::size_t /*largest*/) {
    for (Descriptors& way : ways_) {
      std::array<int, 2> ends{};
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
        fail("socketpair");
      way = {ends[0], ends[1]};
    }
  }
  ~UnixSocket() {
    for (const Descriptors& way : ways_) {
      ::close(way.sending);
      ::close(way.receiving);
    }
  }
  UnixSocket(const UnixSocket&) = delete;
  UnixSocket& operator=(const UnixSocket&) = delete;

  class Sender {
   public:
    Sender(const UnixSocket& socket, std::size_t direction) : descriptor_{socket.ways_[direction].sending} {}
    bool send(const void* data, std::size_t bytes) {
      return moved(::send(descriptor_, data, bytes, MSG_NOSIGNAL), "send") != 0;
    }

   private:
    int descriptor_;
  };
  class Receiver {
   public:
    Receiver(const UnixSocket& socket, std::size_t direction)
        : descriptor_{socket.ways_[direction].receiving} {}
    std::size_t receive(void* data, std::size_t capacity, std::size_t /*unit*/) {
      return moved(::recv(descriptor_, data, capacity, 0), "recv");
    }

   private:
    int descriptor_;
  };

 private:
  std::array<Descriptors, 2> ways_;
};

class PosixQueue {
 public:
  explicit PosixQueue(std::size_t largest) {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      const std::string name = fmt::format("/sluice-bench-{}-{}", ::getpid(), i);
      mq_attr attributes{};
      attributes.mq_maxmsg = 10;  // What a user who is not root may have.
      attributes.mq_msgsize = static_cast<long>(largest);
      queues_[i] = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
      if (queues_[i] == -1) fail("mq_open");
      ::mq_unlink(name.c_str());
    }
  }
  ~PosixQueue() {
    for (const mqd_t queue : queues_)
      ::mq_close(queue);
  }
  PosixQueue(const PosixQueue&) = delete;
  PosixQueue& operator=(const PosixQueue&) = delete;

  class Sender {
   public:
    Sender(const PosixQueue& queue, std::size_t direction) : queue_{queue.queues_[direction]} {}
    bool send(const void* data, std::size_t bytes) {
      if (::mq_send(queue_, static_cast<const char*>(data), bytes, 0) == 0) return true;
      if (errno == EAGAIN) return false;
      fail("mq_send");
    }

   private:
    mqd_t queue_;
  };
  class Receiver {
   public:
    Receiver(const PosixQueue& queue, std::size_t direction) : queue_{queue.queues_[direction]} {}
    std::size_t receive(void* data, std::size_t capacity, std::size_t /*unit*/) {
      return moved(::mq_receive(queue_, static_cast<char*>(data), capacity, nullptr), "mq_receive");
    }

   private:
    mqd_t queue_;
  };

 private:
  std::array<mqd_t, 2> queues_{};
};

template <std::size_t kBytes>
using PipeChannel = Messages<Pipe, kBytes>;
template <std::size_t kBytes>
using SocketChannel = Messages<UnixSocket, kBytes>;
template <std::size_t kBytes>
using QueueChannel = Messages<PosixQueue, kBytes, 8192>;  // The largest message of who is not root.

const ListedPeer listed{[](const Options& options) {
  add_messages<PipeChannel>("peer:pipe", options);
  add_messages<SocketChannel>("peer:unix_socket", options);
  add_messages<QueueChannel>("peer:posix_mq", options);
}};

}  // namespace
}  // namespace sluice::bench
