// SPDX-License-Identifier: Apache-2.0
// What a pipeline that was killed leaves of its observers' socket.
#include <cstdlib>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <sluice/detail/descriptor.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

class ObserverEdges : public WithProcesses {
 protected:
  ObserverEdges() {
    fs::create_directories(directory_ / "sluice");
    ::chmod((directory_ / "sluice").c_str(), 0700);
    ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  }
  ~ObserverEdges() override {
    ::unsetenv("XDG_RUNTIME_DIR");
    clear_away(directory_);
  }
  fs::path bound(const std::string& name) const {
    fs::path path = directory_ / "sluice" / name;
    bind_to(path);
    return path;
  }
  static detail::Descriptor bind_to(const fs::path& path) {
    detail::Descriptor made{::socket(AF_UNIX, SOCK_SEQPACKET, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return made;
  }

  fs::path directory_{fs::temp_directory_path() / ("sluice-run-" + std::to_string(::getpid()))};
};

TEST_F(ObserverEdges, SweepASocketThatWasLeftHalfMade) {
  constexpr const char* kNobody = "4194303";  // No process has so high a number here.
  const fs::path half = bound(std::string{"words."} + kNobody + ".sock.new");
  const fs::path whole = bound(std::string{"words."} + kNobody + ".sock");
  const fs::path living = bound("words." + std::to_string(::getppid()) + ".sock.new");
  Settings settings = test_settings();
  settings.set("observe.socket", "auto");
  Pipeline pipeline{"swept"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  EXPECT_FALSE(fs::exists(half));
  EXPECT_FALSE(fs::exists(whole));
  EXPECT_TRUE(fs::exists(living)) << "its host may be about to listen";
}

// A master that ends, or is killed, before it has come to who asks hangs up in this way.
TEST_F(ObserverEdges, SayWhatBecameOfAPipelineThatHangsUp) {
  const fs::path path = directory_ / "sluice" / "hangs-up.sock";
  detail::Descriptor listening = bind_to(path);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  std::thread master{[&] {
    pollfd asked{listening.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&asked, 1, 60'000), 1);
    listening.reset();
  }};
  const std::string why = error_of([&] { ask_to_park(path.string()); });
  master.join();
  EXPECT_THAT(why, testing::AllOf(testing::HasSubstr("is about to end"), testing::HasSubstr("sluice stats")));
}

}  // namespace
}  // namespace sluice::test
