// SPDX-License-Identifier: Apache-2.0
// The observer socket: a Unix socket at which observers ask for a look at the pipeline, and get it without
// costing the pipeline anything.
//
// Made by the host before its fork and inherited, so that it stays open while one master follows the other.
// Only the master answers. It keeps no connection: who belongs to its user, or to root, gets one message with
// a descriptor of the segment that cannot be written through and one of its description; then it is left
// alone, whatever it does. Nothing here waits for an observer. An operator who wants the pipeline to park or to
// drain says so by the name that its own end of the connection has, which is there when the master lets it in; the
// answer says that it was heard.
//
// The name appears once the observer socket is open: it is made under another name, and renamed. So an
// observer that the kernel refuses at a name with the right end has found the socket of a pipeline that is
// dead, and may remove it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "layout/resolved_settings.hpp"
#include "observer/attach_message.hpp"

namespace sluice::detail {

struct Client {
  uid_t uid = 0;
  pid_t pid = 0;
};

class ObserverSocket {
 public:
  // None: `observe.socket` is off.
  ObserverSocket() = default;
  // Opens `observe.socket`. Throws Error when that names a path and it cannot be made; a path chosen by
  // itself that cannot be made leaves the observer socket shut. `segment` has the descriptors for observers.
  ObserverSocket(const ObserverSettings& settings, const std::string& pipeline,
                 std::array<Descriptor, 3> segment, const std::string& description);

  bool open() const noexcept { return static_cast<bool>(listening_); }
  int fd() const noexcept { return listening_.get(); }
  // All that it holds, for a process that closes all but what it knows.
  std::array<int, 5> descriptors() const noexcept {
    return {listening_.get(), description_.get(), segment_[0].get(), segment_[1].get(), segment_[2].get()};
  }
  const std::string& path() const noexcept { return path_; }
  // Why there is none, where none of its own choice could be made; else empty.
  const std::string& trouble() const noexcept { return trouble_; }

  // This process has nothing to do with it any more; others may have.
  void let_go() noexcept;
  // Takes the name away, if it still is that of this observer socket.
  void remove() noexcept;

  // At most this many a call: a flood does not keep the master from the workers.
  static constexpr int kMostClients = 16;
  struct Answered {
    int clients = 0;  // kMostClients also when no more could be let in.
    int refused = 0;
    Client last_refused;
    Ask asked = Ask::nothing;  // By one of them.
  };
  Answered answer() const noexcept;

 private:
  void open_at(const std::string& path);
  void open_by_itself(const std::string& pipeline);

  std::string path_;
  std::string trouble_;
  Descriptor listening_;
  std::array<Descriptor, 3> segment_;  // Its files, as Segment::open_read_only() gives them.
  Descriptor description_;
  dev_t device_ = 0;  // Of the name, with the next: which socket it stands for.
  ino_t inode_ = 0;
};

// Where pipelines whose observe.socket is `auto` have their observer sockets: those of this user that exist.
std::vector<std::filesystem::path> observer_socket_directories();
// The observer sockets in there; for root, where it asks for all, those of other users too, in directories that belong to them
// alone. One of our own that no process is behind any more is removed.
enum class Whose { our_own, all_we_may };
std::vector<std::filesystem::path> find_observer_sockets(Whose whose = Whose::all_we_may);
// The pipeline and the process of its host, as they stand in the name of such an observer socket:
// "market.4711".
std::string name_of_observer_socket(const std::filesystem::path& path);
// As a name of a file: what could mean something else is replaced.
std::string file_name_of(std::string_view pipeline);

// The path of the socket of the running pipeline that a user means, by its name or the socket's path (Observer::attach()). Throws
// Error if there is none, or more than one.
std::string find_observer_socket(const std::string& pipeline);

// Connects, and asks for something. Holds nothing and leaves errno when no process can be reached within `limit`;
// at once for 0.
Descriptor connect_to_observer_socket(const std::string& path, std::chrono::milliseconds limit,
                                      Ask ask = Ask::nothing) noexcept;

}  // namespace sluice::detail
