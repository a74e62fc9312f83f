// SPDX-License-Identifier: Apache-2.0
// What the tests of observers share: a place for sockets that other users can reach, and a pipeline to look
// at.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <sluice/detail/descriptor.hpp>

#include "engine/pipelines.hpp"
#include "engine/processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

namespace fs = std::filesystem;

inline constexpr uid_t kNobody = 65534;

class WithSocket : public WithProcesses {
 protected:
  WithSocket() {
    std::string pattern = (fs::temp_directory_path() / "observer-test-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    // Others may come as far as the socket.
    fs::permissions(directory_, fs::perms{0755});
    socket_ = (directory_ / "observe.sock").string();
    ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  }
  ~WithSocket() override { clear_away(directory_); }

  Settings settings(const std::string& socket) const {
    Settings settings = test_settings();
    settings.set("observe.socket", socket);
    settings.set("report.path", (directory_ / "reports").string());
    return settings;
  }
  Settings settings() const { return settings(socket_); }
  std::string reports() const {
    std::ifstream file{directory_ / "reports" / "deaths.jsonl"};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  fs::path directory_;
  std::string socket_;
};

// The socket of something that is no pipeline.
inline detail::Descriptor listening_at(const fs::path& path) {
  detail::Descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::listen(made.get(), 16), 0);
  return made;
}

inline std::string error_of_attaching(const std::string& pipeline) {
  return error_of([&] { Observer::attach(pipeline); });
}

// The host of a pipeline that is up, with something in it to be seen.
class Watched {
 public:
  explicit Watched(const Settings& settings) : engine{counting_pipeline(2), settings} {
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (const Item& item : items(kItems, 7))
      EXPECT_EQ(in.push(item), PushResult::accepted);
    EXPECT_TRUE(eventually([this] { return engine.stats().stages[0].events_out() == kItems; }));
  }
  ~Watched() { engine.stop(); }

  static constexpr std::uint32_t kItems = 300;
  Engine engine;
};

}  // namespace sluice::test
